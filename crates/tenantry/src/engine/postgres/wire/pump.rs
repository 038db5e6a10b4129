//! [`Pump`]: moves bytes between a driver and a server through a [`Session`], as fast as both take them and no faster.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use sqlx_core::net::Socket;

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

impl<T: Socket> Side<T> {
    fn new(socket: T) -> Self {
        Self { socket, came: BytesMut::with_capacity(PIECE), goes: BytesMut::with_capacity(PIECE), unflushed: false }
    }

    /// Whether it has not taken what waits for it.
    fn is_full(&self) -> bool {
        self.goes.len() >= PIECE
    }

    /// Reads what is there. `Ready(false)`: nobody is at the other end any more.
    fn read(&mut self, piece: &mut [u8], context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            let mut space = &mut *piece;
            match self.socket.try_read(&mut space) {
                Ok(0) => return Poll::Ready(Ok(false)),
                Ok(count) => {
                    self.came.extend_from_slice(&piece[..count]);
                    return Poll::Ready(Ok(true));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::task::ready!(self.socket.poll_read_ready(context))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Writes as much as the other end takes.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.goes.is_empty() {
            match self.socket.try_write(&self.goes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.goes.advance(count);
                    self.unflushed = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.socket.poll_write_ready(context)?.is_pending() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if self.unflushed && self.socket.poll_flush(context)?.is_ready() {
            self.unflushed = false;
        }
        Ok(())
    }
}

impl<D: Socket, S: Socket> Pump<D, S> {
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

impl<D: Socket, S: Socket> Future for Pump<D, S> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.turn(context) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}
