//! What a [`Session`] does with the driver's messages: what goes before them, and under which names they go on.

use std::{io, sync::Arc};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::{IsNull, message::frontend};

use super::{Expect, For, HowPrepared, Session, cut_short};
use crate::engine::postgres::session::{
    text,
    wire::{
        frames::{self, HEAD, Head, broken},
        orders::{Before, Flush},
        statements::{Statements, Use},
    },
};

/// A name that no statement has.
const UNKNOWN: &str = "tenantry_unknown";

/// The name of a text that goes as a statement.
const TEXT: &str = "tenantry_text";

impl Session {
    /// Takes what has come from the driver, as far as it can be used.
    pub(in crate::engine::postgres::session::wire) fn driver(
        &mut self,
        input: &mut BytesMut,
        server: &mut BytesMut,
    ) -> io::Result<()> {
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
                if !scope.is_own() {
                    let parsed = self.own.enter(scope, false, server)?;
                    self.expect_own(For::Begin, parsed);
                }
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
                // Drivers describe what they have just prepared. Of anything else the server says that it is not there.
                let (known, own) = statements.prepared(tenant, name).unzip();
                frontend::describe(b'S', own.unwrap_or(UNKNOWN), server)?;
                key = known;
            }
            _ => server.extend_from_slice(message),
        }
        self.expected.push_back(Expect::Describe(key));
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
        self.flush_begins(server)?;
        let own = match self.own_of(name, server)? {
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

    /// The name of the tenant's own of a statement. Before its first use it is prepared: along with it if that does no
    /// harm, should it turn out not to be what the driver takes it for, and else before.
    fn own_of(&mut self, name: &[u8], server: &mut BytesMut) -> io::Result<Bound> {
        let tenant = self.tenant();
        let Some(statements) = self.statements.as_mut().filter(|_| !name.is_empty()) else {
            return Ok(Bound::As(None));
        };
        let (key, own, parse, is_told) = match statements.use_of(tenant, name) {
            Use::Ready(own) => return Ok(Bound::As(Some(own))),
            Use::Unknown => return Ok(Bound::As(Some(UNKNOWN.into()))),
            Use::Prepare { key, name, parse, is_told } => (key, name, parse, is_told),
        };
        write_parse(server, &own, &parse);
        frontend::describe(b'S', &own, server)?;
        let prepared = match self.flush.as_ref().map(|flush| &flush.before) {
            Some(Before::Scope(_, true)) => HowPrepared::WithRead,
            Some(Before::Scope(_, false)) if is_told => HowPrepared::WithWrite,
            _ => HowPrepared::Before,
        };
        self.expected.extend([Expect::Parse(For::Own, Some(key)), Expect::DescribeOwn(key, prepared)]);
        if prepared != HowPrepared::Before {
            return Ok(Bound::As(Some(own)));
        }
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
        if matches!(&self.flush, Some(Flush { before: Before::Scope(..), .. })) {
            return self.query_in_scope(sql, server);
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

    /// A text of the simple protocol has a Sync of its own, and behind a scope that is not in a transaction PostgreSQL 18
    /// takes the two for one that never ends. So it goes as a statement; several of them in one text are refused. It has a
    /// name: a driver asks for types by such texts between preparing its unnamed statement and using it.
    fn query_in_scope(&mut self, sql: &[u8], server: &mut BytesMut) -> io::Result<()> {
        let sql = std::str::from_utf8(sql).map_err(|_| broken("a text that is not UTF-8"))?;
        // One that failed has left its name behind; it is no error if there is none.
        frontend::close(b'S', TEXT, server)?;
        frontend::parse(TEXT, sql, [], server)?;
        frontend::bind("", TEXT, [], [] as [(); 0], |(), _| Ok(IsNull::Yes), [], server).map_err(|_| cut_short())?;
        frontend::describe(b'P', "", server)?;
        frontend::execute("", 0, server)?;
        frontend::close(b'S', TEXT, server)?;
        self.expected.extend([
            Expect::Close(For::Own),
            Expect::Parse(For::Own, None),
            Expect::Bind(For::Own),
            Expect::Columns,
            Expect::Execute(For::Driver),
            Expect::Close(For::Own),
        ]);
        self.sync(server);
        Ok(())
    }
}

/// Under which name a statement is bound; `None` is its own.
enum Bound {
    As(Option<Arc<str>>),
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
