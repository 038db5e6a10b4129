//! The wire's way to the server, as the driver itself would open it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx_core::net::{
    Socket, SocketIntoBox,
    tls::{self, CertificateInput, TlsConfig},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::{Certificates, Result};

/// A connection to a driver or a server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) async fn connect(options: &PgConnectOptions, certificates: &Certificates) -> Result<Box<dyn Stream>> {
    let (host, port) = (options.get_host(), options.get_port());
    let named = options.get_socket().map(|dir| dir.display().to_string());
    match named.or_else(|| host.starts_with('/').then(|| host.into())) {
        Some(dir) => {
            let socket = UnixStream::connect(format!("{dir}/.s.PGSQL.{port}")).await?;
            upgrade(socket, options, certificates).await
        }
        None => {
            let socket = TcpStream::connect((host, port)).await?;
            socket.set_nodelay(true)?;
            upgrade(socket, options, certificates).await
        }
    }
}

/// Asks a server for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

async fn upgrade<S: Stream + Socket>(
    mut socket: S,
    options: &PgConnectOptions,
    certificates: &Certificates,
) -> Result<Box<dyn Stream>> {
    let mode = options.get_ssl_mode();
    if matches!(mode, PgSslMode::Allow | PgSslMode::Disable) {
        return Ok(Box::new(socket));
    }
    socket.write_all(&SSL_REQUEST).await?;
    match (socket.read_u8().await?, mode) {
        (b'S', _) => {}
        (b'N', PgSslMode::Prefer) => return Ok(Box::new(socket)),
        (b'N', _) => return Err(sqlx::Error::Tls("server does not support TLS".into())),
        _ => return Err(sqlx::Error::Protocol("an unexpected answer to the request for TLS".into())),
    }
    let file = |name: &Option<String>| name.clone().map(CertificateInput::from);
    let (root, client, key) = (file(&certificates.root), file(&certificates.client), file(&certificates.key));
    let config = TlsConfig {
        accept_invalid_certs: !matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull),
        accept_invalid_hostnames: !matches!(mode, PgSslMode::VerifyFull),
        hostname: options.get_host(),
        root_cert_path: root.as_ref(),
        client_cert_path: client.as_ref(),
        client_key_path: key.as_ref(),
    };
    Ok(Box::new(Encrypted(tls::handshake(socket, config, SocketIntoBox).await?)))
}

/// What the driver's own TLS gives, as a stream.
struct Encrypted(Box<dyn Socket>);

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut space = into.initialize_unfilled();
            match self.0.try_read(&mut space) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_read_ready(context))?,
                done => return Poll::Ready(done.map(|count| into.advance(count))),
            }
        }
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_write_ready(context))?,
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(context)
    }
}
