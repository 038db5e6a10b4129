//! What a [`Session`] does with the server's messages: whose answer each is, and what the driver hears of it.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Expect, For, HowPrepared, Session, cut_short};
use crate::engine::postgres::session::wire::{
    frames::{self, HEAD, Head, broken},
    own,
    statements::Key,
};

/// What the driver takes for a sign that a statement has to be prepared again.
const STALE: (&str, &str, &str) = ("0A000", "RevalidateCachedQuery", "cached plan must not change result type");

impl Session {
    /// Takes what has come from the server, as far as it can be used.
    pub(in crate::engine::postgres::session::wire) fn server(
        &mut self,
        input: &mut BytesMut,
        driver: &mut BytesMut,
    ) -> io::Result<()> {
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
                self.from_server = Some((rows(head, input)?, is_drivers));
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
        self.muted.is_none() && self.expected.front().is_some_and(|e| e.whose() == For::Driver)
    }

    fn server_message(&mut self, kind: u8, message: &Bytes, driver: &mut BytesMut) -> io::Result<()> {
        if kind == b'S' {
            still_reads_as_we_do(message)?;
        }
        if self.muted.is_none() {
            return self.heard(kind, message, driver);
        }
        if matches!(kind, b'A' | b'S') {
            driver.extend_from_slice(message);
            return Ok(());
        }
        self.heard(kind, message, &mut BytesMut::new())?;
        if let Some(why) = self.muted.take_if(|_| kind == b'Z') {
            driver.extend_from_slice(&why);
            driver.extend_from_slice(message);
        }
        Ok(())
    }

    fn heard(&mut self, kind: u8, message: &Bytes, driver: &mut BytesMut) -> io::Result<()> {
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
        // The types of a statement's parameters come before its columns.
        let is_last = kind != b't';
        match self.expected.front().copied() {
            Some(Expect::Columns) if kind == b'n' => {}
            // The columns of a text of the simple protocol.
            Some(Expect::Columns | Expect::Query) => driver.extend_from_slice(message),
            Some(Expect::Describe(key)) => {
                self.release(driver);
                driver.extend_from_slice(message);
                if let Some(key) = key {
                    self.learn(key, kind, message)?;
                }
            }
            Some(Expect::DescribeOwn(key, prepared)) => self.compare(key, prepared, kind, message)?,
            _ => return Err(out_of_turn()),
        }
        if is_last && !matches!(self.expected.front(), Some(Expect::Query)) {
            self.expected.pop_front();
        }
        Ok(())
    }

    /// What there is of a statement's shape, to be compared with another tenant's.
    fn sketch(&mut self, kind: u8, message: &[u8]) -> io::Result<()> {
        self.shape.put_u8(kind);
        match kind {
            b'T' => self.shape.extend_from_slice(&frames::columns(&message[HEAD..]).ok_or_else(cut_short)?),
            _ => self.shape.extend_from_slice(&message[HEAD..]),
        }
        Ok(())
    }

    fn learn(&mut self, key: Key, kind: u8, message: &[u8]) -> io::Result<()> {
        self.sketch(kind, message)?;
        if kind != b't' {
            let shape = self.shape.split();
            if let Some(statements) = &mut self.statements {
                statements.learn(key, &shape);
            }
        }
        Ok(())
    }

    /// Whether a tenant's own of a statement is what the driver takes it for. If not, it has to prepare anew.
    fn compare(&mut self, key: Key, prepared: HowPrepared, kind: u8, message: &[u8]) -> io::Result<()> {
        self.sketch(kind, message)?;
        if kind == b't' {
            return Ok(());
        }
        let shape = self.shape.split();
        let Some(statements) = &mut self.statements else { return Err(out_of_turn()) };
        if prepared == HowPrepared::WithWrite {
            // Of its parameters the server knows what the driver has told.
            let gives_columns = "a statement that gives columns for one tenant and none for another";
            return if kind == b'n' { Ok(()) } else { Err(broken(gives_columns)) };
        }
        if statements.is_as_known(key, &shape) {
            return Ok(());
        }
        statements.drop_prepared(key);
        let (code, routine, text) = STALE;
        let mut answer = BytesMut::new();
        frames::error(&mut answer, code, routine, text);
        match prepared {
            HowPrepared::Before => self.refused = Some(answer),
            // It runs already, for reading only, and nobody hears of it.
            HowPrepared::WithRead | HowPrepared::WithWrite => self.muted = Some(answer),
        }
        Ok(())
    }

    fn ended(&mut self, message: &Bytes, driver: &mut BytesMut) -> io::Result<()> {
        match self.expected.front() {
            Some(Expect::Query) => driver.extend_from_slice(message),
            Some(Expect::Execute(whose)) => {
                match whose {
                    For::Driver => self.held.extend_from_slice(message),
                    For::Scope => self.orders.scope_entered(),
                    _ => {}
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
            self.orders.lose(frames::code(&message[HEAD..]).unwrap_or_default());
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
                self.own.forget();
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
                Expect::DescribeOwn(key, _) => {
                    if let Some(statements) = &mut self.statements {
                        statements.drop_prepared(*key);
                    }
                }
                Expect::Parse(For::Scope | For::Begin, None) => self.own.forget(),
                _ => {}
            }
            self.expected.pop_front();
        }
    }
}

/// How many bytes the rows are that have come behind each other: they go on in one piece.
fn rows(first: Head, input: &[u8]) -> io::Result<usize> {
    let mut end = first.total();
    while let Some(next) = frames::head(input.get(end..).unwrap_or_default())?
        && next.kind == first.kind
    {
        end += next.total();
    }
    Ok(end)
}

/// A text was read before it was sent, in UTF-8 and with standard strings. A server that reads otherwise would find other words in
/// the next one, whoever has made it do so.
fn still_reads_as_we_do(message: &[u8]) -> io::Result<()> {
    let mut parts = message.get(HEAD..).unwrap_or_default().split(|byte| *byte == 0);
    match (parts.next(), parts.next()) {
        (Some(b"client_encoding"), Some(value)) if value != b"UTF8" => Err(broken("texts in another encoding")),
        (Some(b"standard_conforming_strings"), Some(value)) if value != b"on" => {
            Err(broken("texts with other escapes"))
        }
        _ => Ok(()),
    }
}

fn out_of_turn() -> io::Error {
    broken("an answer to nothing that was asked")
}
