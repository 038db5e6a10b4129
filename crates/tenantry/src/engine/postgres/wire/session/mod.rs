//! [`Session`]: what goes through a wire, message by message. It does no input and output of its own.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::BytesMut;

use super::{
    frames::broken,
    orders::{Flush, Orders},
    own::Own,
    start::Start,
    statements::{Key, Statements},
};

mod driver;
mod server;

/// One connection: a driver on one side, a server on the other.
pub(super) struct Session {
    orders: Arc<Orders>,
    start: Option<Start>,
    own: Own,
    /// Where tenants have tables of their own: their statements.
    statements: Option<Statements>,
    /// The flush whose first message has come, and whose last has not.
    flush: Option<Flush>,
    /// What the rest of it is passed over for.
    refused: Option<BytesMut>,
    /// A statement is being prepared for the tenant; until the server has answered nothing is read from the driver.
    stalled: bool,
    /// It has just been.
    woken: bool,
    /// The driver was told that its statement is not the tenant's: it hears no more until the end of this flush.
    muted: bool,
    expected: VecDeque<Expect>,
    /// How much of a message's body is still to come from either side.
    from_driver: usize,
    from_server: Option<(usize, bool)>,
    /// The end of a statement, until it is known that it was committed.
    held: BytesMut,
    /// A transaction was not begun, or not in its scope.
    not_begun: bool,
    /// Nothing of the driver's is sent any more.
    over: bool,
    shape: BytesMut,
}

/// Whose an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Driver,
    /// The scope in front of a flush.
    Scope,
    /// The beginning of a transaction, and its scope.
    Begin,
    /// A tenant's own of the driver's statement.
    Own,
}

/// An answer that has to come, in the order of the questions.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Parse(For, Option<Key>),
    Bind(For),
    Describe(For, Option<Key>),
    /// The columns of a text of the simple protocol that goes as a statement; one without any has no such message there.
    Columns,
    Execute(For),
    Close(For),
    /// The driver's statement was closed here.
    Closed,
    /// All answers to a text of the simple protocol.
    Query,
    Ready(For),
}

impl Expect {
    const fn whose(self) -> For {
        match self {
            Self::Parse(whose, _)
            | Self::Bind(whose)
            | Self::Describe(whose, _)
            | Self::Execute(whose)
            | Self::Close(whose)
            | Self::Ready(whose) => whose,
            Self::Closed | Self::Columns | Self::Query => For::Driver,
        }
    }
}

impl Session {
    /// `start` is the secret that the driver has to know. `own_tables`: each tenant has tables of its own.
    pub(super) fn new(orders: Arc<Orders>, start: Start, own_tables: bool) -> Self {
        Self {
            orders,
            start: Some(start),
            own: Own::default(),
            statements: own_tables.then(Statements::default),
            flush: None,
            refused: None,
            stalled: false,
            woken: false,
            muted: false,
            expected: VecDeque::new(),
            from_driver: 0,
            from_server: None,
            held: BytesMut::new(),
            not_begun: false,
            over: false,
            shape: BytesMut::new(),
        }
    }

    /// Whether more is read from the driver now.
    pub(super) const fn listens(&self) -> bool {
        !self.stalled
    }

    /// Whether there is something from the driver that was not looked at while a statement was prepared.
    pub(super) fn is_behind(&mut self, input: &BytesMut) -> bool {
        std::mem::take(&mut self.woken) && !input.is_empty()
    }
}

fn cut_short() -> io::Error {
    broken("a message that ends too early")
}
