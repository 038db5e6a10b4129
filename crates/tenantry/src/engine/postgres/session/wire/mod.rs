//! The wire: a proxy in this process between a driver's connection and the server's.
//!
//! Entering a tenant costs a driver round trips of its own, for it sends one statement and waits. The wire sends the scope
//! along with the statement: in front of it, under the same Sync, so that both are one transaction, and the statement
//! does not run if the scope fails. It takes the scope's answers out again, and holds the end of a statement back until
//! the server has committed it. A transaction's beginning goes along with its first statement.
//!
//! It stands behind the lease: who uses the connection says what to do by [`Orders`] before it speaks. No task runs it: it
//! moves while somebody waits for the connection, by [`drive`].

mod frames;
mod local;
mod orders;
mod own;
mod pump;
mod server;
mod session;
mod start;
mod statements;
#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use futures_util::{Stream as Items, StreamExt as _, stream::BoxStream};
use sqlx::{
    ConnectOptions as _,
    postgres::{PgConnectOptions, PgConnection, PgSslMode},
};

pub(in crate::engine::postgres) use self::{local::LocalSocket, orders::Orders};
use super::scram::new_password;
use local::{Local, PORT};
use pump::Pump;
use server::Stream;
use session::Session;
use start::{SECRET, Start};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// What a URL says about certificates; the driver's options do not tell it.
#[derive(Clone, Debug, Default)]
pub(in crate::engine::postgres) struct Certificates {
    pub(in crate::engine::postgres) root: Option<String>,
    pub(in crate::engine::postgres) client: Option<String>,
    pub(in crate::engine::postgres) key: Option<String>,
}

/// What stands behind a driver's connection. Whatever is said on that has to be waited for by [`drive`] or [`Driven`].
pub(in crate::engine::postgres) struct Wire(Pump<Local, Box<dyn Stream>>);

impl Wire {
    pub(in crate::engine::postgres) const fn orders(&self) -> &Orders {
        &self.0.session.orders
    }

    pub(in crate::engine::postgres) const fn orders_mut(&mut self) -> &mut Orders {
        &mut self.0.session.orders
    }

    /// Whether the server has gone, or said that it goes; looks what has come since somebody waited last.
    pub(in crate::engine::postgres) fn is_lost(&mut self) -> bool {
        // However much this task has done in one go: a look is no work that others would wait for.
        let look = tokio::task::unconstrained(poll_fn(|context| {
            self.0.listen(context);
            Poll::Ready(())
        }));
        let looked = pin!(look).poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(looked.is_ready(), "a look waits for nothing");
        self.0.is_lost()
    }

    /// What the driver has said last, and did not wait for, goes to the server.
    pub(in crate::engine::postgres) async fn say_last_words(mut self) {
        poll_fn(|context| {
            self.0.turn(context);
            Poll::Ready(())
        })
        .await;
    }
}

/// Opens a connection through a wire. `own_tables`: its tenants have tables of their own.
pub(in crate::engine::postgres) async fn connect(
    options: PgConnectOptions,
    certificates: &Certificates,
    own_tables: bool,
    local: LocalSocket,
) -> Result<(PgConnection, Wire)> {
    let server = server::connect(&options, certificates).await?;
    let secret = new_password().map_err(sqlx::Error::from)?;
    let way = options.socket(local.dir()).port(PORT).ssl_mode(PgSslMode::Disable).options([(SECRET, secret.as_str())]);
    let mut opening = pin!(way.connect());
    let driver = tokio::select! {
        driver = local.driver() => driver?,
        // It waits for an answer to its first words, which nobody can have given.
        opened = &mut opening => return Err(opened.err().unwrap_or(sqlx::Error::WorkerCrashed)),
    };
    let mut wire = Wire(Pump::new(Session::new(Start::new(secret), own_tables), driver, server));
    let connection = drive(Some(&mut wire), opening).await?;
    Ok((connection, wire))
}

/// Waits for what is said on a connection, and moves it through the wire behind that, if there is one. Dropped, it leaves on
/// its way what is on its way.
pub(in crate::engine::postgres) async fn drive<F: Future>(mut wire: Option<&mut Wire>, words: F) -> F::Output {
    let mut words = pin!(words);
    poll_fn(|context| {
        let done = words.as_mut().poll(context);
        if done.is_pending() {
            turn(wire.as_deref_mut(), context);
        }
        done
    })
    .await
}

/// The same for what comes bit by bit.
pub(in crate::engine::postgres) struct Driven<'l, T> {
    pub(in crate::engine::postgres) wire: Option<&'l mut Wire>,
    pub(in crate::engine::postgres) items: BoxStream<'l, T>,
}

impl<T> Items for Driven<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let item = self.items.poll_next_unpin(context);
        if item.is_pending() {
            turn(self.wire.as_deref_mut(), context);
        }
        item
    }
}

fn turn(wire: Option<&mut Wire>, context: &mut Context<'_>) {
    if let Some(wire) = wire {
        wire.0.turn(context);
    }
}
