//! [`Pump`]: moves bytes between a driver and a server through a [`Session`], as fast as both take them and no faster.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::session::Session;

/// How much is read at once, and how much may wait for a side that does not take it.
const PIECE: usize = 16 * 1024;

/// Ends when either side has gone.
pub(super) struct Pump<D, S> {
    session: Session,
    driver: Side<D>,
    server: Side<S>,
    piece: Box<[u8]>,
}

struct Side<T> {
    socket: T,
    came: BytesMut,
    goes: BytesMut,
    unflushed: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Side<T> {
    fn new(socket: T) -> Self {
        Self { socket, came: BytesMut::with_capacity(PIECE), goes: BytesMut::with_capacity(PIECE), unflushed: false }
    }

    /// Whether it has not taken what waits for it.
    fn is_full(&self) -> bool {
        self.goes.len() >= PIECE
    }

    /// Reads what is there. `Ready(false)`: nobody is at the other end any more.
    fn read(&mut self, piece: &mut [u8], context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut piece = ReadBuf::new(piece);
        // Not by readiness: that would ask the system once more after each read that took all there was.
        std::task::ready!(Pin::new(&mut self.socket).poll_read(context, &mut piece))?;
        self.came.extend_from_slice(piece.filled());
        Poll::Ready(Ok(!piece.filled().is_empty()))
    }

    /// Writes as much as the other end takes.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.goes.is_empty() {
            match Pin::new(&mut self.socket).poll_write(context, &self.goes)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(count) => {
                    self.goes.advance(count);
                    self.unflushed = true;
                }
                Poll::Pending => return Ok(()),
            }
        }
        if self.unflushed && Pin::new(&mut self.socket).poll_flush(context)?.is_ready() {
            self.unflushed = false;
        }
        Ok(())
    }
}

impl<D, S> Pump<D, S>
where
    D: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(session: Session, driver: D, server: S) -> Self {
        Self { session, driver: Side::new(driver), server: Side::new(server), piece: vec![0; PIECE].into_boxed_slice() }
    }

    /// `Ready`: a side has gone.
    fn turn(&mut self, context: &mut Context<'_>) -> io::Result<Poll<()>> {
        loop {
            let mut moved = false;
            let full = [self.server.is_full(), self.driver.is_full()];
            if self.session.listens() && !self.server.is_full() {
                match self.driver.read(&mut self.piece, context)? {
                    Poll::Ready(true) => moved = true,
                    Poll::Ready(false) => return Ok(Poll::Ready(())),
                    Poll::Pending => {}
                }
            }
            self.session.driver(&mut self.driver.came, &mut self.server.goes)?;
            self.server.write(context)?;
            if !self.driver.is_full() {
                match self.server.read(&mut self.piece, context)? {
                    Poll::Ready(true) => moved = true,
                    Poll::Ready(false) => {
                        // What it has said before it went is still of use.
                        self.driver.write(context)?;
                        return Ok(Poll::Ready(()));
                    }
                    Poll::Pending => {}
                }
            }
            self.session.server(&mut self.server.came, &mut self.driver.goes)?;
            self.driver.write(context)?;
            // Nobody wakes this for a side that was not read because the other one did not take any more.
            moved |= full != [self.server.is_full(), self.driver.is_full()];
            // A session that has just begun to listen again may go on with what had come before.
            moved |= self.session.listens() && self.session.is_behind(&self.driver.came);
            if !moved {
                return Ok(Poll::Pending);
            }
        }
    }
}

impl<D, S> Future for Pump<D, S>
where
    D: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.turn(context) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}
