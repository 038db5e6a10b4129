//! One keep-alive connection of the load.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::answer::{self, Head};

/// Connects when it has to.
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::with_capacity(16 * 1024) }
    }

    /// The status and the body. After an error the next request has a new connection.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<(u16, &[u8])> {
        // Taken out, so that an error or a dropped future leaves none behind.
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        stream.write_all(request).await?;
        let head = self.read(&mut stream).await?;
        if !head.closes {
            self.stream = Some(stream);
        }
        Ok((head.status, &self.buffer[head.length..]))
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn read(&mut self, stream: &mut TcpStream) -> io::Result<Head> {
        self.buffer.clear();
        let mut head = None;
        loop {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if head.is_none() {
                head = answer::head(&self.buffer).map_err(io::Error::other)?;
            }
            if let Some(head) = head.take_if(|head| self.buffer.len() >= head.length + head.body) {
                return Ok(head);
            }
        }
    }
}
