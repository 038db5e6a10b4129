//! [`Pump`]: moves bytes between a driver and a server through a [`Session`], as fast as both take them and no faster.

use std::{
    io,
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use tokio::io::ReadBuf;

use super::{server::Stream, session::Session};

/// How much is read at once, and how much may wait for a side that does not take it.
const PIECE: usize = 16 * 1024;

pub(super) struct Pump<D, S> {
    pub(super) session: Session,
    /// Until either has gone.
    sides: Option<Sides<D, S>>,
}

impl<D: Stream, S: Stream> Pump<D, S> {
    pub(super) fn new(session: Session, driver: D, server: S) -> Self {
        let piece = vec![0; PIECE].into_boxed_slice();
        Self { session, sides: Some(Sides { driver: Side::new(driver), server: Side::new(server), piece }) }
    }

    /// Moves what can be moved. The context is woken when the server can take or give more; of the driver it is known by
    /// whoever polls that.
    pub(super) fn turn(&mut self, context: &mut Context<'_>) {
        self.try_to(|sides, session| sides.turn(session, context));
    }

    /// Takes what has come from the server, to its end if that has come, and nothing of the driver's.
    pub(super) fn listen(&mut self, context: &mut Context<'_>) {
        self.try_to(|sides, session| {
            loop {
                match sides.hear_server(session, context)? {
                    Poll::Ready(0) => return Ok(ControlFlow::Break(())),
                    Poll::Ready(_) => {}
                    Poll::Pending => return Ok(ControlFlow::Continue(())),
                }
            }
        });
    }

    /// Whether a side has gone, or the server has said that it goes.
    pub(super) const fn is_lost(&self) -> bool {
        self.sides.is_none() || self.session.orders.is_lost()
    }

    fn try_to(&mut self, act: impl FnOnce(&mut Sides<D, S>, &mut Session) -> io::Result<ControlFlow<()>>) {
        // Taken out: after a panic nobody knows how far the session has come, and both sides hear that it is over.
        let Some(mut sides) = self.sides.take() else { return };
        match act(&mut sides, &mut self.session) {
            Ok(ControlFlow::Continue(())) => self.sides = Some(sides),
            Ok(ControlFlow::Break(())) => {}
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "a wire has ended"),
        }
    }
}

struct Sides<D, S> {
    driver: Side<D>,
    server: Side<S>,
    piece: Box<[u8]>,
}

impl<D: Stream, S: Stream> Sides<D, S> {
    /// `Break`: a side has gone.
    fn turn(&mut self, session: &mut Session, context: &mut Context<'_>) -> io::Result<ControlFlow<()>> {
        // Nothing comes from the driver while this runs: once it had nothing more, it is not asked again.
        let mut has_more = true;
        loop {
            let mut moved = false;
            let full = [self.server.is_full(), self.driver.is_full()];
            if has_more && session.listens() && !self.server.is_full() {
                let count = self.driver.read(&mut self.piece, context)?;
                if count == Poll::Ready(0) {
                    return Ok(ControlFlow::Break(()));
                }
                moved |= count.is_ready();
                has_more = count == Poll::Ready(PIECE);
            }
            session.driver(&mut self.driver.came, &mut self.server.goes)?;
            if let Err(error) = self.server.write(context) {
                // A server that has gone may have said why.
                let _heard = self.hear_server(session, context)?;
                return Err(error);
            }
            let count = self.hear_server(session, context)?;
            if count == Poll::Ready(0) {
                return Ok(ControlFlow::Break(()));
            }
            moved |= count.is_ready();
            // Nobody wakes this for a side that was not read because the other one did not take any more.
            moved |= full != [self.server.is_full(), self.driver.is_full()];
            // A session that has just begun to listen again may go on with what had come before.
            moved |= session.listens() && session.is_behind(&self.driver.came);
            if !moved {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    /// How much has come from the server. 0: it has gone.
    fn hear_server(&mut self, session: &mut Session, context: &mut Context<'_>) -> io::Result<Poll<usize>> {
        let count = if self.driver.is_full() { Poll::Pending } else { self.server.read(&mut self.piece, context)? };
        // What it has said before it went is still of use.
        session.server(&mut self.server.came, &mut self.driver.goes)?;
        self.driver.write(context)?;
        Ok(count)
    }
}

struct Side<T> {
    socket: T,
    came: BytesMut,
    goes: BytesMut,
    unflushed: bool,
}

impl<T: Stream> Side<T> {
    fn new(socket: T) -> Self {
        Self { socket, came: BytesMut::with_capacity(PIECE), goes: BytesMut::with_capacity(PIECE), unflushed: false }
    }

    /// Whether it has not taken what waits for it.
    fn is_full(&self) -> bool {
        self.goes.len() >= PIECE
    }

    /// Reads what is there. 0: nobody is at the other end any more.
    fn read(&mut self, piece: &mut [u8], context: &mut Context<'_>) -> io::Result<Poll<usize>> {
        let mut piece = ReadBuf::new(piece);
        // Not by readiness: that would ask the system once more after each read that took all there was.
        let read = Pin::new(&mut self.socket).poll_read(context, &mut piece)?;
        self.came.extend_from_slice(piece.filled());
        Ok(read.map(|()| piece.filled().len()))
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
