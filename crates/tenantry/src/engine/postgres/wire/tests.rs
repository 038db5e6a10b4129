//! A session between a driver and a server that are both made up: whatever is said, cut wherever it may be, the driver
//! hears what it would have heard without a wire, and nothing of it ran outside of its tenant's scope.

use std::{collections::HashMap, sync::Arc};

use bytes::{Buf, BufMut, BytesMut};
use proptest::prelude::*;

use super::{
    frames::{self, HEAD},
    orders::Orders,
    session::Session,
    start::Start,
};
use crate::{
    engine::{Begin, Placement, postgres::PgScope},
    id::TenantId,
    tenant::Isolation,
};

/// What a driver sends as one flush.
#[derive(Clone, Debug)]
enum Flush {
    /// Prepares and describes a text by that name.
    Prepare {
        name: u8,
        text: Text,
    },
    /// Binds and executes, some times, and closes the portal.
    Run {
        name: u8,
        times: u8,
        value: Vec<u8>,
    },
    Close {
        name: u8,
    },
    Simple {
        text: Text,
    },
}

/// What the server makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Reads,
    Writes,
    FailsToParse,
    Fails,
    FailsAtCommit,
}

impl Text {
    const fn sql(self) -> &'static str {
        match self {
            Self::Reads => "SELECT a FROM t",
            Self::Writes => "UPDATE t SET a = 1",
            Self::FailsToParse => "SELECT nonsense FROM t",
            Self::Fails => "SELECT fails FROM t",
            Self::FailsAtCommit => "UPDATE t SET deferred = 1",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// Each flush is a transaction in the scope.
    Each,
    /// All of them are one that was begun with the first.
    Transaction,
}

#[derive(Clone, Debug)]
struct Turn {
    tenant: u8,
    how: How,
    flushes: Vec<Flush>,
}

const TENANTS: u8 = 3;
/// Its scope cannot be entered.
const GONE: u8 = TENANTS - 1;

fn tenant_id(n: u8) -> TenantId {
    format!("01890a5d-ac96-774b-bcce-b302099a80{n:02}").parse().expect("an id")
}

fn scope_of(n: u8, isolation: Isolation) -> Arc<PgScope> {
    let physical = if n == GONE { "gone".into() } else { format!("t_{n}").into() };
    let placement = Placement { id: tenant_id(n), isolation, physical, login: None, password: None };
    Arc::new(PgScope::of_tenant(&placement, &format!("role_{n}"), None))
}

/// As little of a server as the protocol needs, and a judge of what it is asked.
#[derive(Default)]
struct Server {
    statements: HashMap<Vec<u8>, String>,
    bound: Option<Bound>,
    skips: bool,
    fails_at_commit: bool,
    /// The tenant whose scope was entered, until the transaction ends.
    scope: Option<String>,
    in_transaction: bool,
    aborted: bool,
    /// What ran, in which scope.
    ran: Vec<(String, Option<String>)>,
}

struct Bound {
    sql: String,
    values: Vec<Vec<u8>>,
}

impl Server {
    fn answer(&mut self, input: &mut BytesMut) -> BytesMut {
        let mut out = BytesMut::new();
        while let Some(head) = frames::head(input).expect("legal").filter(|head| input.len() >= head.total()) {
            let message = input.split_to(head.total());
            self.message(head.kind, &message[HEAD..], &mut out);
        }
        out
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
                assert!(name.is_empty() || !self.statements.contains_key(name), "a statement is prepared twice");
                self.statements.insert(name.to_vec(), sql);
                frames::message(out, b'1', |_| ());
            }
            b'D' if body[0] == b'P' => row_description(out),
            b'D' => self.describe(&body[1..], out),
            b'B' => self.bind(body, out),
            b'E' => self.execute(out),
            b'C' => {
                self.statements.remove(frames::text(&body[1..]).expect("a name").0);
                frames::message(out, b'3', |_| ());
            }
            b'S' => self.sync(out),
            b'Q' => self.query(frames::text(body).expect("a text").0, out),
            other => panic!("{other} is not expected"),
        }
    }

    fn describe(&mut self, named: &[u8], out: &mut BytesMut) {
        let name = frames::text(named).expect("a name").0;
        if !self.statements.contains_key(name) {
            return self.fail("26000", out);
        }
        frames::message(out, b't', |out| out.put_u16(0));
        row_description(out);
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
        for value in &values {
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

    fn query(&mut self, sql: &[u8], out: &mut BytesMut) {
        let sql = String::from_utf8(sql.to_vec()).expect("UTF-8");
        if sql == "ROLLBACK" {
            (self.in_transaction, self.aborted, self.fails_at_commit) = (false, false, false);
            frames::message(out, b'C', |out| out.put_slice(b"ROLLBACK\0"));
            return self.end_of_flush(out);
        }
        if self.aborted || sql.contains("nonsense") {
            self.fail(if self.aborted { "25P02" } else { "42703" }, out);
        } else {
            self.ran.push((sql.clone(), self.scope.clone()));
            row_description(out);
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

fn row_description(out: &mut BytesMut) {
    frames::message(out, b'T', |out| {
        out.put_u16(1);
        out.put_slice(b"a\0");
        out.put_slice(&[0; 18]);
    });
}

fn write(flush: &Flush, tenant: u8, out: &mut BytesMut) {
    use postgres_protocol::message::frontend;
    let statement = |name: &u8| format!("sqlx_s_{name}");
    match flush {
        Flush::Prepare { name, text } => {
            frontend::parse(&statement(name), text.sql(), [], out).expect("writes");
            frontend::describe(b'S', &statement(name), out).expect("writes");
        }
        Flush::Run { name, times, value } => {
            for _ in 0..*times {
                let mut value = value.clone();
                value.push(tenant);
                let bytes = |v: Vec<u8>, out: &mut BytesMut| {
                    out.extend_from_slice(&v);
                    Ok(postgres_protocol::IsNull::No)
                };
                frontend::bind("", &statement(name), [1], [value], bytes, [1], out).ok().expect("writes");
                frontend::execute("", 0, out).expect("writes");
                frontend::close(b'P', "", out).expect("writes");
            }
        }
        Flush::Close { name } => frontend::close(b'S', &statement(name), out).expect("writes"),
        Flush::Simple { text } => return frontend::query(text.sql(), out).expect("writes"),
    }
    frontend::sync(out);
}

/// A driver on a wire, with bytes cut at random on both sides.
struct Link {
    orders: Arc<Orders>,
    session: Session,
    server: Server,
    cuts: Vec<usize>,
    at: usize,
    /// Bytes that came, and were not used up yet.
    from_driver: BytesMut,
    to_server: BytesMut,
    from_server: BytesMut,
}

impl Link {
    fn new(isolation: Isolation, cuts: Vec<usize>) -> Self {
        let orders = Arc::new(Orders::default());
        let start = Start::new("secret".into());
        let mut session = Session::new(Arc::clone(&orders), start, isolation == Isolation::Schema);
        let (mut hello, mut server, mut driver) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
        let options = b"options\0-c tenantry.wire=secret\0\0";
        hello.put_u32(u32::try_from(8 + options.len()).expect("short"));
        hello.put_u32(196_608);
        hello.put_slice(options);
        session.driver(&mut hello, &mut server).expect("hears the secret");
        let mut ready = BytesMut::from(&b"Z\0\0\0\x05I"[..]);
        session.server(&mut ready, &mut driver).expect("is ready");
        let empty = BytesMut::new;
        Self {
            orders,
            session,
            server: Server::default(),
            cuts,
            at: 0,
            from_driver: empty(),
            to_server: empty(),
            from_server: empty(),
        }
    }

    fn piece(&mut self) -> usize {
        self.at += 1;
        self.cuts[self.at % self.cuts.len()]
    }

    /// Sends a flush and gives what comes back, to the last ReadyForQuery.
    fn speak(&mut self, bytes: &[u8]) -> BytesMut {
        let (mut left, mut heard) = (BytesMut::from(bytes), BytesMut::new());
        for _ in 0..1_000_000 {
            if !left.is_empty() {
                let some = self.piece().min(left.len());
                self.from_driver.extend_from_slice(&left.split_to(some));
            }
            self.session.driver(&mut self.from_driver, &mut self.to_server).expect("legal");
            let mut answer = self.server.answer(&mut self.to_server);
            while !answer.is_empty() {
                let some = self.piece().min(answer.len());
                self.from_server.extend_from_slice(&answer.split_to(some));
                self.session.server(&mut self.from_server, &mut heard).expect("legal");
            }
            let over = kinds(&heard).iter().any(|(kind, _)| *kind == b'Z');
            if over && left.is_empty() && self.from_driver.is_empty() {
                return heard;
            }
        }
        panic!("no answer: {heard:?}");
    }
}

/// Types of messages with what is in them; the answers to a session's own questions are not there.
fn kinds(heard: &BytesMut) -> Vec<(u8, Vec<u8>)> {
    let (mut rest, mut kinds) = (heard.clone(), Vec::new());
    while let Some(head) = frames::head(&rest).expect("legal").filter(|head| rest.len() >= head.total()) {
        let message = rest.split_to(head.total());
        kinds.push((head.kind, message[HEAD..].to_vec()));
    }
    kinds
}

/// A scope's own notices are passed on, and where they come does not matter.
fn without_notices(heard: &BytesMut) -> Vec<(u8, Vec<u8>)> {
    kinds(heard).into_iter().filter(|(kind, _)| *kind != b'N').collect()
}

/// What a driver hears that speaks to the server itself, with the scope entered by somebody else.
fn directly(server: &mut Server, flush: &Flush, tenant: u8) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = BytesMut::new();
    write(flush, tenant, &mut bytes);
    without_revoked_ends(without_notices(&server.answer(&mut bytes)))
}

/// A wire tells the end of a statement only if no error comes behind it.
fn without_revoked_ends(mut heard: Vec<(u8, Vec<u8>)>) -> Vec<(u8, Vec<u8>)> {
    while let Some(at) = heard.windows(2).position(|two| matches!((two[0].0, two[1].0), (b'C' | b'3', b'E'))) {
        heard.remove(at);
    }
    heard
}

fn check(isolation: Isolation, turns: &[Turn], cuts: Vec<usize>) {
    let mut link = Link::new(isolation, cuts);
    // One server in one scope that is always entered; errors of one-shot flushes leave it as it was.
    let mut plain = Server::default();
    for turn in turns {
        let scope = scope_of(turn.tenant, isolation);
        let gone = turn.tenant == GONE;
        match turn.how {
            How::Each => link.orders.each_in(&scope, turn.flushes.len() % 2 == 0),
            How::Transaction => {
                link.orders.begin_with_next(&scope, Begin::WRITE);
                plain.in_transaction = true;
            }
        }
        link.orders.words_of_app(true);
        for flush in &turn.flushes {
            let mut bytes = BytesMut::new();
            write(flush, turn.tenant, &mut bytes);
            let before = link.server.ran.len();
            let heard = without_notices(&link.speak(&bytes));
            if gone && isolation == Isolation::Schema {
                assert_eq!(link.server.ran.len(), before, "it ran although its scope failed");
                let closes = matches!(flush, Flush::Close { .. });
                let errors = heard.iter().filter(|(kind, _)| *kind == b'E').count();
                assert!(errors == 1 || closes, "{flush:?}: {heard:?}");
                forgets(&mut plain, flush);
                continue;
            }
            assert_eq!(heard, directly(&mut plain, flush, turn.tenant), "{flush:?} of {turn:?}");
            for (sql, scope) in &link.server.ran[before..] {
                assert_eq!(scope.as_deref(), Some(&*tenant_id(turn.tenant).to_string()), "{sql}");
            }
        }
        if matches!(turn.how, How::Transaction) {
            if !link.orders.end() {
                link.orders.words_of_app(false);
                let mut bytes = BytesMut::new();
                postgres_protocol::message::frontend::query("ROLLBACK", &mut bytes).expect("writes");
                link.speak(&bytes);
            }
            (plain.in_transaction, plain.aborted, plain.fails_at_commit) = (false, false, false);
        }
    }
}

/// What a driver that got an error knows no more.
fn forgets(plain: &mut Server, flush: &Flush) {
    if let Flush::Close { name } | Flush::Prepare { name, .. } = flush {
        plain.statements.remove(format!("sqlx_s_{name}").as_bytes());
    }
}

fn texts() -> impl Strategy<Value = Text> {
    prop_oneof![
        4 => Just(Text::Reads),
        4 => Just(Text::Writes),
        1 => Just(Text::FailsToParse),
        1 => Just(Text::Fails),
        1 => Just(Text::FailsAtCommit),
    ]
}

fn flushes() -> impl Strategy<Value = Flush> {
    prop_oneof![
        3 => (any::<u8>(), texts()).prop_map(|(name, text)| Flush::Prepare { name, text }),
        6 => (0..20_u8, 1..4_u8, proptest::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(name, times, value)| Flush::Run { name, times, value }),
        1 => (0..20_u8).prop_map(|name| Flush::Close { name }),
        1 => texts().prop_map(|text| Flush::Simple { text }),
    ]
}

/// Names are used once, as a driver does.
fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let how = prop_oneof![2 => Just(How::Each), 1 => Just(How::Transaction)];
    let turn = (0..TENANTS, how, proptest::collection::vec(flushes(), 0..8)).prop_map(|(tenant, how, flushes)| Turn {
        tenant,
        how,
        flushes,
    });
    proptest::collection::vec(turn, 1..8).prop_map(|mut turns| {
        let mut next = 0_u8;
        for flush in turns.iter_mut().flat_map(|turn| &mut turn.flushes) {
            match flush {
                Flush::Prepare { name, .. } => {
                    *name = next;
                    next = next.wrapping_add(1);
                }
                Flush::Run { name, .. } | Flush::Close { name } => *name %= next.max(1),
                Flush::Simple { .. } => {}
            }
        }
        turns
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_driver_hears_through_the_wire_what_it_hears_without_one(
        turns in turns(),
        cuts in proptest::collection::vec(1..40_usize, 1..20),
        schema in any::<bool>(),
    ) {
        check(if schema { Isolation::Schema } else { Isolation::Row }, &turns, cuts);
    }
}
