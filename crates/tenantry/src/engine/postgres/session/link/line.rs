//! [`Line`]: the way to say something on a link, which counts as busy until the end was read.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};
use sqlx::postgres::PgConnection;

use super::idle::Idle;
use crate::engine::postgres::session::{
    outcome::{at_rest, explain, holds_what_is_gone},
    wire::{Driven, Wire, drive},
};

pub(crate) struct Line<'l> {
    connection: &'l mut PgConnection,
    wire: Option<&'l mut Wire>,
    busy: &'l mut bool,
    spoiled: &'l mut bool,
    idle: &'l mut Idle,
}

impl<'l> Line<'l> {
    pub(super) const fn new(
        connection: &'l mut PgConnection,
        wire: Option<&'l mut Wire>,
        (busy, spoiled): (&'l mut bool, &'l mut bool),
        idle: &'l mut Idle,
    ) -> Self {
        Self { connection, wire, busy, spoiled, idle }
    }

    /// Says something and waits for its end.
    pub(crate) async fn say<T, F>(mut self, words: impl FnOnce(&'l mut PgConnection) -> F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<T, sqlx::Error>>,
    {
        let too_late = self.idle.is_over();
        let result = drive(self.wire.as_deref_mut(), words(self.connection)).await;
        *self.busy = !at_rest(&result);
        *self.spoiled |= holds_what_is_gone(&result);
        self.idle.wait_anew();
        result.map_err(|error| explain(self.wire, error, too_late))
    }

    /// Says something and gives what comes back, bit by bit.
    pub(crate) fn hear<T>(
        self,
        words: impl FnOnce(&'l mut PgConnection) -> BoxStream<'l, Result<T, sqlx::Error>>,
    ) -> Heard<'l, T> {
        let too_late = self.idle.is_over();
        let items = Driven { wire: self.wire, items: words(self.connection) };
        Heard { items, busy: self.busy, spoiled: self.spoiled, failed: false, idle: self.idle, too_late }
    }

    /// What a COPY writes. The link stays busy, whatever comes of it.
    pub(crate) async fn copy_out(
        mut self,
        statement: &str,
    ) -> Result<BoxStream<'l, Result<Bytes, sqlx::Error>>, sqlx::Error> {
        let pieces = drive(self.wire.as_deref_mut(), self.connection.copy_out_raw(statement)).await?;
        Ok(Driven { wire: self.wire, items: pieces }.boxed())
    }

    /// Says something after which the link stays busy, whatever comes of it.
    pub(crate) async fn only_say<F: Future>(self, words: impl FnOnce(&'l mut PgConnection) -> F) -> F::Output {
        drive(self.wire, words(self.connection)).await
    }
}

/// Items as they come; the link is at rest once their end was read.
pub(crate) struct Heard<'l, T> {
    items: Driven<'l, Result<T, sqlx::Error>>,
    busy: &'l mut bool,
    spoiled: &'l mut bool,
    failed: bool,
    idle: &'l mut Idle,
    /// When the words were said, the transaction had waited for too long.
    too_late: bool,
}

impl<T> Stream for Heard<'_, T> {
    type Item = Result<T, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.items.poll_next_unpin(context));
        match &item {
            Some(item) => {
                self.failed |= !at_rest(item);
                *self.spoiled |= holds_what_is_gone(item);
            }
            None => {
                *self.busy = self.failed;
                self.idle.wait_anew();
            }
        }
        let too_late = self.too_late;
        Poll::Ready(item.map(|item| item.map_err(|error| explain(self.items.wire.as_deref_mut(), error, too_late))))
    }
}
