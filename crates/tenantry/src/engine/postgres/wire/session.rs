//! [`Session`]: what goes through a wire, message by message. It does no input and output of its own.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::message::frontend;

use super::{
    frames::{self, HEAD, Head, broken},
    orders::{Before, Flush, Orders},
    own::{self, Own},
    start::Start,
    statements::{Key, Statements, Use},
};
use crate::engine::postgres::text;

/// What the driver takes for a sign that a statement has to be prepared again.
const STALE: (&str, &str, &str) = ("0A000", "RevalidateCachedQuery", "cached plan must not change result type");

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
            Self::Closed | Self::Query => For::Driver,
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

    /// Takes what has come from the driver, as far as it can be used.
    pub(super) fn driver(&mut self, input: &mut BytesMut, server: &mut BytesMut) -> io::Result<()> {
        if let Some(start) = &mut self.start {
            return start.driver(input, server);
        }
        if self.over && !input.is_empty() {
            return Err(broken("words for a transaction that was not begun"));
        }
        while !self.stalled {
            if self.from_driver > 0 {
                let some = self.from_driver.min(input.len());
                server.extend_from_slice(&input.split_to(some));
                self.from_driver -= some;
                if self.from_driver > 0 {
                    return Ok(());
                }
            }
            let Some(head) = frames::head(input)? else { return Ok(()) };
            if !self.driver_message(head, input, server)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// `false`: not enough of it has come yet.
    fn driver_message(&mut self, head: Head, input: &mut BytesMut, server: &mut BytesMut) -> io::Result<bool> {
        let whole = input.len() >= head.total();
        if self.refused.is_some() && head.kind != b'S' {
            if whole {
                input.advance(head.total());
            }
            return Ok(whole);
        }
        match head.kind {
            b'd' => {
                self.pass(head, input, server);
                return Ok(true);
            }
            b'B' => return self.bind(head, input, server),
            _ if !whole => return Ok(false),
            b'c' | b'f' | b'X' => {
                server.extend_from_slice(&input.split_to(head.total()));
                return Ok(true);
            }
            _ => {}
        }
        let message = input.split_to(head.total()).freeze();
        if self.refused.is_some() {
            self.sync(server);
            return Ok(true);
        }
        self.flush_begins(server)?;
        match head.kind {
            b'P' => self.parse(&message, server)?,
            b'D' => self.describe(&message, server)?,
            b'E' => {
                server.extend_from_slice(&message);
                self.expected.push_back(Expect::Execute(For::Driver));
            }
            b'C' => self.close(&message, server)?,
            b'H' => server.extend_from_slice(&message),
            b'S' => self.sync(server),
            b'Q' => self.query(&message, server)?,
            _ => return Err(broken("a message that no driver sends here")),
        }
        Ok(true)
    }

    /// Passes a message on as it comes.
    fn pass(&mut self, head: Head, input: &mut BytesMut, server: &mut BytesMut) {
        let some = head.total().min(input.len());
        server.extend_from_slice(&input.split_to(some));
        self.from_driver = head.total() - some;
    }

    /// Before the first message of a flush goes what was ordered.
    fn flush_begins(&mut self, server: &mut BytesMut) -> io::Result<()> {
        if self.flush.is_some() {
            return Ok(());
        }
        let flush = self.orders.flush();
        for name in self.statements.as_mut().map(Statements::take_unneeded).unwrap_or_default() {
            frontend::close(b'S', &name, server)?;
            self.expected.push_back(Expect::Close(For::Scope));
        }
        match &flush.before {
            Before::Nothing => {}
            Before::Scope(scope, read_only) => {
                let parsed = self.own.enter(scope, *read_only, server)?;
                self.expect_own(For::Scope, parsed);
            }
            Before::Begin(scope, begin) => {
                let parsed = self.own.begin(scope, *begin, server)?;
                self.expect_own(For::Begin, parsed);
                let parsed = self.own.enter(scope, false, server)?;
                self.expect_own(For::Begin, parsed);
            }
        }
        self.flush = Some(flush);
        Ok(())
    }

    fn expect_own(&mut self, whose: For, parsed: bool) {
        if parsed {
            self.expected.push_back(Expect::Parse(whose, None));
        }
        self.expected.extend([Expect::Bind(whose), Expect::Execute(whose)]);
    }

    fn tenant(&self) -> Option<crate::id::TenantId> {
        self.flush.as_ref().and_then(|flush| flush.tenant)
    }

    /// The last door: whatever way a text of an app came, one that must not be sent is not.
    fn refuse(&mut self, sql: &[u8]) -> io::Result<bool> {
        if !self.flush.as_ref().is_some_and(|flush| flush.apps) {
            return Ok(false);
        }
        let sql = std::str::from_utf8(sql).map_err(|_| broken("a text that is not UTF-8"))?;
        let Err(refusal) = text::cached(sql) else { return Ok(false) };
        let mut answer = BytesMut::new();
        frames::error(&mut answer, "42501", "tenantry", &refusal.to_string());
        self.refused = Some(answer);
        Ok(true)
    }

    fn parse(&mut self, message: &Bytes, server: &mut BytesMut) -> io::Result<()> {
        let (name, behind) = frames::text(&message[HEAD..]).ok_or_else(cut_short)?;
        let (sql, _) = frames::text(behind).ok_or_else(cut_short)?;
        if self.refuse(sql)? {
            return Ok(());
        }
        let tenant = self.tenant();
        let key = match &mut self.statements {
            Some(statements) if !name.is_empty() => {
                let parse = message.slice_ref(behind);
                let (key, own) = statements.define(tenant, name, parse.clone());
                write_parse(server, &own, &parse);
                Some(key)
            }
            _ => {
                server.extend_from_slice(message);
                None
            }
        };
        self.expected.push_back(Expect::Parse(For::Driver, key));
        Ok(())
    }

    fn describe(&mut self, message: &Bytes, server: &mut BytesMut) -> io::Result<()> {
        let (&what, named) = message[HEAD..].split_first().ok_or_else(cut_short)?;
        let (name, _) = frames::text(named).ok_or_else(cut_short)?;
        let tenant = self.tenant();
        let mut key = None;
        match &mut self.statements {
            Some(statements) if what == b'S' && !name.is_empty() => {
                key = statements.key_of(tenant, name);
                let own = match statements.use_of(tenant, name) {
                    Use::Ready(own) => own,
                    // Drivers describe what they have just prepared: the server says that there is no such statement.
                    Use::Prepare { key, name, .. } => {
                        statements.drop_prepared(key);
                        name
                    }
                    Use::Unknown => "tenantry_unknown".into(),
                };
                frontend::describe(b'S', &own, server)?;
            }
            _ => server.extend_from_slice(message),
        }
        self.expected.push_back(Expect::Describe(For::Driver, key));
        Ok(())
    }

    /// Passes the values on as they come; a statement that the tenant has not got yet is prepared first.
    fn bind(&mut self, head: Head, input: &mut BytesMut, server: &mut BytesMut) -> io::Result<bool> {
        let named = frames::text(&input[HEAD..]).and_then(|(portal, rest)| Some((portal, frames::text(rest)?.0)));
        let Some((portal, name)) = named else { return Ok(false) };
        let (portal_length, name_length) = (portal.len(), name.len());
        if HEAD + portal_length + name_length + 2 > head.total() {
            return Err(cut_short());
        }
        let name = Bytes::copy_from_slice(name);
        self.flush_begins(server)?;
        let own = match self.own_of(&name, server)? {
            Bound::Waits => return Ok(true),
            Bound::As(own) => own,
        };
        self.expected.push_back(Expect::Bind(For::Driver));
        let Some(own) = own else {
            self.pass(head, input, server);
            return Ok(true);
        };
        input.advance(HEAD);
        let portal = input.split_to(portal_length + 1);
        input.advance(name_length + 1);
        let rest = head.total() - HEAD - portal_length - name_length - 2;
        let length = 4 + portal.len() + own.len() + 1 + rest;
        server.put_u8(b'B');
        server.put_u32(u32::try_from(length).map_err(|_| cut_short())?);
        server.extend_from_slice(&portal);
        server.extend_from_slice(own.as_bytes());
        server.put_u8(0);
        self.from_driver = rest;
        Ok(true)
    }

    /// The name of the tenant's own of a statement. It is prepared before its first use: it must not run if it is not what
    /// the driver takes it for.
    fn own_of(&mut self, name: &[u8], server: &mut BytesMut) -> io::Result<Bound> {
        let tenant = self.tenant();
        let Some(statements) = self.statements.as_mut().filter(|_| !name.is_empty()) else {
            return Ok(Bound::As(None));
        };
        let (key, own, parse) = match statements.use_of(tenant, name) {
            Use::Ready(own) => return Ok(Bound::As(Some(own))),
            Use::Unknown => return Ok(Bound::As(Some("tenantry_unknown".into()))),
            Use::Prepare { key, name, parse } => (key, name, parse),
        };
        write_parse(server, &own, &parse);
        frontend::describe(b'S', &own, server)?;
        self.expected.extend([Expect::Parse(For::Own, Some(key)), Expect::Describe(For::Own, Some(key))]);
        frontend::sync(server);
        self.expected.push_back(Expect::Ready(For::Own));
        self.stalled = true;
        self.flush = None;
        Ok(Bound::Waits)
    }

    fn close(&mut self, message: &Bytes, server: &mut BytesMut) -> io::Result<()> {
        let (&what, named) = message[HEAD..].split_first().ok_or_else(cut_short)?;
        let (name, _) = frames::text(named).ok_or_else(cut_short)?;
        match &mut self.statements {
            Some(statements) if what == b'S' && !name.is_empty() => {
                statements.close(name);
                self.expected.push_back(Expect::Closed);
            }
            _ => {
                server.extend_from_slice(message);
                self.expected.push_back(Expect::Close(For::Driver));
            }
        }
        Ok(())
    }

    fn sync(&mut self, server: &mut BytesMut) {
        frontend::sync(server);
        self.expected.push_back(Expect::Ready(For::Driver));
        self.flush = None;
    }

    fn query(&mut self, message: &Bytes, server: &mut BytesMut) -> io::Result<()> {
        let (sql, _) = frames::text(&message[HEAD..]).ok_or_else(cut_short)?;
        if self.refuse(sql)? {
            // Its answer comes in its turn, as that of an empty flush.
            self.sync(server);
            return Ok(());
        }
        if sql == b"DISCARD ALL" {
            self.own.forget();
            if let Some(statements) = &mut self.statements {
                statements.forget();
            }
        }
        server.extend_from_slice(message);
        self.expected.push_back(Expect::Query);
        if !matches!(&self.flush, Some(Flush { before: Before::Nothing, .. })) {
            // If what goes before fails, the server passes over everything up to a Sync.
            frontend::sync(server);
            self.expected.push_back(Expect::Ready(For::Scope));
        }
        self.flush = None;
        Ok(())
    }

    /// Takes what has come from the server, as far as it can be used.
    pub(super) fn server(&mut self, input: &mut BytesMut, driver: &mut BytesMut) -> io::Result<()> {
        loop {
            if let Some((rest, passed)) = self.from_server {
                let some = input.split_to(rest.min(input.len()));
                if passed {
                    driver.extend_from_slice(&some);
                }
                self.from_server = (rest > some.len()).then_some((rest - some.len(), passed));
                if self.from_server.is_some() {
                    return Ok(());
                }
            }
            let Some(head) = frames::head(input)? else { return Ok(()) };
            if matches!(head.kind, b'D' | b'd') {
                let is_drivers = self.is_drivers();
                if is_drivers {
                    self.release(driver);
                }
                self.from_server = Some((head.total(), is_drivers));
                continue;
            }
            if input.len() < head.total() {
                return Ok(());
            }
            let message = input.split_to(head.total()).freeze();
            if let Some(start) = &mut self.start {
                driver.extend_from_slice(&message);
                if start.is_over(head.kind) {
                    self.start = None;
                }
                continue;
            }
            self.server_message(head.kind, &message, driver)?;
        }
    }

    fn is_drivers(&self) -> bool {
        self.expected.front().is_some_and(|e| e.whose() == For::Driver)
    }

    fn server_message(&mut self, kind: u8, message: &Bytes, driver: &mut BytesMut) -> io::Result<()> {
        self.closed_here(driver);
        match kind {
            // These come at any time.
            b'N' | b'A' | b'S' => driver.extend_from_slice(message),
            b'E' => self.error(message, driver),
            b'Z' => self.ready(message, driver)?,
            b't' | b'T' | b'n' => self.described(kind, message, driver)?,
            b'C' | b'I' | b's' => self.ended(message, driver)?,
            b'1' | b'2' | b'3' => self.done(kind, message, driver)?,
            // The start of a COPY.
            b'G' | b'H' | b'W' | b'c' if self.is_drivers() => driver.extend_from_slice(message),
            _ => return Err(broken("a message that no server sends here")),
        }
        Ok(())
    }

    /// Answers for the driver to what was closed here, in its turn.
    fn closed_here(&mut self, driver: &mut BytesMut) {
        while let Some(Expect::Closed) = self.expected.front() {
            self.expected.pop_front();
            frames::message(self.release_or_hold(driver), b'3', |_| ());
        }
    }

    fn done(&mut self, kind: u8, message: &Bytes, driver: &mut BytesMut) -> io::Result<()> {
        let expected = self.expected.pop_front();
        let fits = matches!(
            (kind, expected),
            (b'1', Some(Expect::Parse(..))) | (b'2', Some(Expect::Bind(_))) | (b'3', Some(Expect::Close(_)))
        );
        let Some(expected) = expected.filter(|_| fits) else { return Err(out_of_turn()) };
        if expected.whose() == For::Driver {
            if matches!(expected, Expect::Bind(_)) {
                self.release(driver);
            }
            self.release_or_hold(driver).extend_from_slice(message);
        }
        Ok(())
    }

    /// Only the last statement of a flush can be held back: what comes behind an earlier one could be of any length.
    fn release(&mut self, driver: &mut BytesMut) {
        let end = self.held.split();
        driver.extend_from_slice(&end);
    }

    /// What comes behind the held end of a statement is held with it.
    fn release_or_hold<'a>(&'a mut self, driver: &'a mut BytesMut) -> &'a mut BytesMut {
        if self.held.is_empty() { driver } else { &mut self.held }
    }

    fn described(&mut self, kind: u8, message: &Bytes, driver: &mut BytesMut) -> io::Result<()> {
        let Some(Expect::Describe(whose, key)) = self.expected.front().copied() else {
            // The columns of a text of the simple protocol.
            if matches!(self.expected.front(), Some(Expect::Query)) {
                driver.extend_from_slice(message);
                return Ok(());
            }
            return Err(out_of_turn());
        };
        if key.is_some() {
            self.shape.put_u8(kind);
            match kind {
                b'T' => self.shape.extend_from_slice(&frames::columns(&message[HEAD..]).ok_or_else(cut_short)?),
                _ => self.shape.extend_from_slice(&message[HEAD..]),
            }
        }
        if whose == For::Driver {
            self.release(driver);
            driver.extend_from_slice(message);
        }
        if kind == b't' {
            return Ok(());
        }
        self.expected.pop_front();
        let shape = self.shape.split();
        if let (Some(statements), Some(key)) = (&mut self.statements, key) {
            if whose == For::Driver {
                statements.learn(key, &shape);
            } else if !statements.is_as_known(key, &shape) {
                statements.drop_prepared(key);
                self.is_stale();
            }
        }
        Ok(())
    }

    /// A tenant's own of a statement is not what the driver takes it for: it has to prepare anew.
    fn is_stale(&mut self) {
        let (code, routine, text) = STALE;
        let mut answer = BytesMut::new();
        frames::error(&mut answer, code, routine, text);
        self.refused = Some(answer);
    }

    fn ended(&mut self, message: &Bytes, driver: &mut BytesMut) -> io::Result<()> {
        match self.expected.front() {
            Some(Expect::Query) => driver.extend_from_slice(message),
            Some(Expect::Execute(whose)) => {
                if *whose == For::Driver {
                    self.held.extend_from_slice(message);
                }
                self.expected.pop_front();
            }
            _ => return Err(out_of_turn()),
        }
        Ok(())
    }

    fn ready(&mut self, message: &Bytes, driver: &mut BytesMut) -> io::Result<()> {
        match self.expected.pop_front() {
            Some(Expect::Query | Expect::Ready(For::Driver)) => {
                self.release(driver);
                // Outside of a transaction what follows would be no part of it: nothing may follow.
                self.over |= std::mem::take(&mut self.not_begun) && message.last() == Some(&b'I');
                if let Some(refusal) = self.refused.take() {
                    driver.extend_from_slice(&refusal);
                }
                driver.extend_from_slice(message);
            }
            Some(Expect::Ready(For::Own)) => (self.stalled, self.woken) = (false, true),
            Some(Expect::Ready(_)) => {}
            _ => return Err(out_of_turn()),
        }
        Ok(())
    }

    /// After an error the server passes over everything up to the next Sync.
    fn error(&mut self, message: &Bytes, driver: &mut BytesMut) {
        let Some(first) = self.expected.front().copied() else {
            // The server ends the connection. Whoever uses it next sees that it is gone.
            self.orders.lose();
            return;
        };
        self.held.clear();
        self.shape.clear();
        let whose = first.whose();
        if matches!(whose, For::Scope | For::Begin) {
            let code = frames::code(&message[HEAD..]).unwrap_or_default();
            self.orders.scope_failed(code);
            self.not_begun |= whose == For::Begin;
            if !own::is_refusal(code) {
                self.own.is_unsure();
            }
        }
        if !matches!(first, Expect::Query) {
            self.skip_to_ready();
        }
        if self.stalled {
            self.refused = Some(BytesMut::from(&message[..]));
            return;
        }
        driver.extend_from_slice(message);
        // One error answers a flush. What of it has not come yet the server will pass over.
        if self.refused.is_some() || self.expected.is_empty() {
            self.refused = Some(BytesMut::new());
        }
    }

    fn skip_to_ready(&mut self) {
        let mut whose = None;
        while let Some(expected) = self.expected.front_mut() {
            match expected {
                Expect::Ready(ready) => {
                    *ready = whose.unwrap_or(*ready);
                    return;
                }
                // The text was not looked at: the Sync behind it is answered in its place.
                Expect::Query => whose = Some(For::Driver),
                Expect::Parse(whose, Some(key)) => {
                    if let Some(statements) = &mut self.statements {
                        statements.drop_prepared(*key);
                        if *whose == For::Driver {
                            statements.undefine(*key);
                        }
                    }
                }
                Expect::Describe(For::Own, Some(key)) => {
                    if let Some(statements) = &mut self.statements {
                        statements.drop_prepared(*key);
                    }
                }
                Expect::Parse(For::Scope | For::Begin, None) => self.own.is_unsure(),
                _ => {}
            }
            self.expected.pop_front();
        }
    }
}

/// Under which name a statement is bound; `None` is its own.
enum Bound {
    As(Option<String>),
    /// It has to be prepared first.
    Waits,
}

fn write_parse(server: &mut BytesMut, name: &str, parse: &Bytes) {
    frames::message(server, b'P', |out| {
        out.extend_from_slice(name.as_bytes());
        out.put_u8(0);
        out.extend_from_slice(parse);
    });
}

fn cut_short() -> io::Error {
    broken("a message that ends too early")
}

fn out_of_turn() -> io::Error {
    broken("an answer to nothing that was asked")
}
