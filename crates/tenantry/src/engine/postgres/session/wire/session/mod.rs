//! [`Session`]: what goes through a wire, message by message. It does no input and output of its own.

use std::{collections::VecDeque, io};

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
    pub(super) orders: Orders,
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
    /// Why the driver hears nothing of this flush but this, at its end: the server is not done with it before.
    muted: Option<BytesMut>,
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

/// How a tenant's own of a statement was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HowPrepared {
    /// Nothing else goes to the server before its answer has come.
    Before,
    /// Along with its use, which does no harm whatever it turns out to be: it only reads.
    WithRead,
    /// Along with its use. It gives no columns, and the driver told the types of its parameters.
    WithWrite,
}

/// An answer that has to come, in the order of the questions.
#[derive(Clone, Copy, Debug)]
enum Expect {
    Parse(For, Option<Key>),
    Bind(For),
    Describe(Option<Key>),
    /// A tenant's own of the driver's statement.
    DescribeOwn(Key, HowPrepared),
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
            | Self::Execute(whose)
            | Self::Close(whose)
            | Self::Ready(whose) => whose,
            Self::DescribeOwn(..) => For::Own,
            Self::Describe(_) | Self::Closed | Self::Columns | Self::Query => For::Driver,
        }
    }
}

impl Session {
    /// `start` is the secret that the driver has to know. `own_tables`: each tenant has tables of its own.
    pub(super) fn new(start: Start, own_tables: bool) -> Self {
        Self {
            orders: Orders::default(),
            start: Some(start),
            own: Own::default(),
            statements: own_tables.then(Statements::default),
            flush: None,
            refused: None,
            stalled: false,
            woken: false,
            muted: None,
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
