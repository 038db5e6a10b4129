//! The server of the made-up sessions.

use std::collections::HashMap;

use bytes::{Buf, BufMut, BytesMut};

use super::{ODD, tenant_id};
use crate::engine::postgres::session::wire::frames::{self, HEAD};

/// As little of a server as the protocol needs, and a judge of what it is asked.
#[derive(Default)]
pub(super) struct Server {
    pub(super) statements: HashMap<Vec<u8>, String>,
    bound: Option<Bound>,
    skips: bool,
    pub(super) fails_at_commit: bool,
    /// The tenant whose scope was entered, until the transaction ends.
    scope: Option<String>,
    /// The tenant in whose scope it is when none was entered.
    pub(super) always: Option<String>,
    pub(super) in_transaction: bool,
    pub(super) aborted: bool,
    /// What ran, in which scope.
    pub(super) ran: Vec<(String, Option<String>)>,
}

struct Bound {
    sql: String,
    values: Vec<Vec<u8>>,
}

impl Server {
    pub(super) fn answer(&mut self, input: &mut BytesMut) -> BytesMut {
        let mut out = BytesMut::new();
        while let Some(head) = frames::head(input).expect("legal").filter(|head| input.len() >= head.total()) {
            let message = input.split_to(head.total());
            self.message(head.kind, &message[HEAD..], &mut out);
        }
        out
    }

    /// Whether the tables are those of the one tenant that has others than all the rest.
    fn is_odd(&self) -> bool {
        self.scope.as_ref().or(self.always.as_ref()).is_some_and(|tenant| *tenant == tenant_id(ODD).to_string())
    }

    fn fail(&mut self, code: &str, out: &mut BytesMut) {
        frames::error(out, code, "made up", "an error");
        self.skips = true;
        self.aborted = self.in_transaction;
    }

    fn message(&mut self, kind: u8, body: &[u8], out: &mut BytesMut) {
        if self.skips && kind != b'S' {
            return;
        }
        match kind {
            b'P' => {
                let (name, rest) = frames::text(body).expect("a name");
                let sql = String::from_utf8(frames::text(rest).expect("a text").0.to_vec()).expect("UTF-8");
                if self.aborted && sql != "ROLLBACK" {
                    return self.fail("25P02", out);
                }
                if sql.contains("nonsense") {
                    return self.fail("42703", out);
                }
                if sql.contains("absent") && self.is_odd() {
                    return self.fail("42P01", out);
                }
                assert!(name.is_empty() || !self.statements.contains_key(name), "a statement is prepared twice");
                self.statements.insert(name.to_vec(), sql);
                frames::message(out, b'1', |_| ());
            }
            b'D' if body[0] == b'P' => row_description(0, out),
            b'D' => self.describe(&body[1..], out),
            b'B' => self.bind(body, out),
            b'E' => self.execute(out),
            b'C' => {
                if body[0] == b'S' {
                    self.statements.remove(frames::text(&body[1..]).expect("a name").0);
                }
                frames::message(out, b'3', |_| ());
            }
            b'S' => self.sync(out),
            b'Q' => self.query(frames::text(body).expect("a text").0, out),
            other => panic!("{other} is not expected"),
        }
    }

    fn describe(&mut self, named: &[u8], out: &mut BytesMut) {
        let name = frames::text(named).expect("a name").0;
        let Some(sql) = self.statements.get(name) else { return self.fail("26000", out) };
        frames::message(out, b't', |out| out.put_u16(0));
        if sql.starts_with("UPDATE") {
            frames::message(out, b'n', |_| ());
        } else {
            row_description(u32::from(sql.contains("differs") && self.is_odd()), out);
        }
    }

    fn bind(&mut self, body: &[u8], out: &mut BytesMut) {
        let (_, rest) = frames::text(body).expect("a portal");
        let (name, mut rest) = frames::text(rest).expect("a name");
        let Some(sql) = self.statements.get(name).cloned() else { return self.fail("26000", out) };
        if self.aborted {
            return self.fail("25P02", out);
        }
        let formats = rest.get_u16();
        rest.advance(usize::from(formats) * 2);
        let values = (0..rest.get_u16())
            .map(|_| {
                let length = rest.get_u32() as usize;
                rest.split_off(..length).expect("a value").to_vec()
            })
            .collect();
        self.bound = Some(Bound { sql, values });
        frames::message(out, b'2', |_| ());
    }

    fn execute(&mut self, out: &mut BytesMut) {
        let Some(Bound { sql, values }) = self.bound.take() else { return self.fail("34000", out) };
        if sql.contains("set_config") {
            let all: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v).into_owned()).collect();
            if all[0].contains("gone") {
                return self.fail("22012", out);
            }
            self.scope = Some(all[1].clone());
        } else if sql.starts_with("BEGIN") {
            self.in_transaction = true;
        } else {
            self.ran.push((sql.clone(), self.scope.clone()));
            // That of a text of the simple protocol.
            if values.is_empty() && !sql.contains("fails") {
                frames::message(out, b'D', |out| out.put_slice(b"a row"));
            }
        }
        if sql.contains("fails") {
            return self.fail("22012", out);
        }
        self.fails_at_commit |= sql.contains("deferred");
        // Large enough to be cut, and from any side.
        frames::message(out, b'N', |out| out.put_slice(b"a notice\0"));
        for value in values.iter().filter(|_| !sql.starts_with("UPDATE")) {
            frames::message(out, b'D', |out| out.put_slice(value));
        }
        frames::message(out, b'C', |out| out.put_slice(b"DONE 1\0"));
    }

    fn sync(&mut self, out: &mut BytesMut) {
        if self.fails_at_commit && !self.in_transaction && !self.skips {
            frames::error(out, "23505", "made up", "an error at the end");
        }
        self.end_of_flush(out);
    }

    fn end_of_flush(&mut self, out: &mut BytesMut) {
        self.skips = false;
        self.bound = None;
        if !self.in_transaction {
            (self.scope, self.fails_at_commit) = (None, false);
        }
        let state = if self.aborted {
            b'E'
        } else if self.in_transaction {
            b'T'
        } else {
            b'I'
        };
        frames::message(out, b'Z', |out| out.put_u8(state));
    }

    /// A server forgets its unnamed statement here. This one does not, for a wire does not either where it sends such a
    /// text as a statement: a driver looks types up by them before it uses the unnamed one.
    fn query(&mut self, sql: &[u8], out: &mut BytesMut) {
        let sql = String::from_utf8(sql.to_vec()).expect("UTF-8");
        if sql == "ROLLBACK" {
            (self.in_transaction, self.aborted, self.fails_at_commit) = (false, false, false);
            frames::message(out, b'C', |out| out.put_slice(b"ROLLBACK\0"));
            return self.end_of_flush(out);
        }
        if self.aborted || sql.contains("nonsense") {
            self.fail(if self.aborted { "25P02" } else { "42703" }, out);
        } else if sql.contains("absent") && self.is_odd() {
            self.fail("42P01", out);
        } else {
            self.ran.push((sql.clone(), self.scope.clone()));
            row_description(0, out);
            self.fails_at_commit |= sql.contains("deferred");
            if sql.contains("fails") {
                self.fail("22012", out);
            } else {
                frames::message(out, b'D', |out| out.put_slice(b"a row"));
                if self.fails_at_commit && !self.in_transaction {
                    frames::error(out, "23505", "made up", "an error at the end");
                } else {
                    frames::message(out, b'C', |out| out.put_slice(b"DONE 1\0"));
                }
            }
        }
        self.end_of_flush(out);
    }
}

fn row_description(kind: u32, out: &mut BytesMut) {
    frames::message(out, b'T', |out| {
        out.put_u16(1);
        out.put_slice(b"a\0");
        out.put_slice(&[0; 6]);
        out.put_u32(kind);
        out.put_slice(&[0; 8]);
    });
}
