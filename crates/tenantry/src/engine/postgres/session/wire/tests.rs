//! A session between a driver and a server that are both made up: whatever is said, cut wherever it may be, the driver
//! hears what it would have heard without a wire, and nothing of it ran outside of its tenant's scope.

mod server;

use std::{collections::HashSet, sync::Arc};

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::{
    frames::{self, HEAD},
    session::Session,
    start::Start,
};
use crate::{
    engine::{Begin, Placement, postgres::PgScope},
    id::TenantId,
    tenant::Isolation,
};
use server::Server;

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
    /// Its columns are others for one of the tenants.
    Differs,
    /// Its table is not there for one of the tenants.
    Absent,
}

impl Text {
    const fn sql(self) -> &'static str {
        match self {
            Self::Reads => "SELECT a FROM t",
            Self::Writes => "UPDATE t SET a = 1",
            Self::FailsToParse => "SELECT nonsense FROM t",
            Self::Fails => "SELECT fails FROM t",
            Self::FailsAtCommit => "UPDATE t SET deferred = 1",
            Self::Differs => "SELECT differs FROM t",
            Self::Absent => "SELECT a FROM absent",
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
/// The name of a statement that has none.
const UNNAMED: u8 = u8::MAX;
/// Its scope cannot be entered.
const GONE: u8 = TENANTS - 1;
/// Its tables are not those of the others.
const ODD: u8 = TENANTS - 2;

fn tenant_id(n: u8) -> TenantId {
    format!("01890a5d-ac96-774b-bcce-b302099a80{n:02}").parse().expect("an id")
}

fn scope_of(n: u8, isolation: Isolation) -> Arc<PgScope> {
    let physical = if n == GONE { "gone".into() } else { format!("t_{n}").into() };
    let placement = Placement { id: tenant_id(n), isolation, physical, login: None, password: None };
    Arc::new(PgScope::of_tenant(&placement, &format!("role_{n}"), None))
}

fn statement(name: &u8) -> String {
    if *name == UNNAMED { String::new() } else { format!("sqlx_s_{name}") }
}

fn write(flush: &Flush, tenant: u8, out: &mut BytesMut) {
    use postgres_protocol::message::frontend;
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
        let start = Start::new("secret".into());
        let mut session = Session::new(start, isolation == Isolation::Schema);
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
    let mut odd_shaped = HashSet::new();
    for turn in turns {
        let scope = scope_of(turn.tenant, isolation);
        let gone = turn.tenant == GONE;
        plain.always = Some(tenant_id(turn.tenant).to_string());
        let read_only = turn.flushes.len() % 2 == 0;
        match turn.how {
            How::Each => link.session.orders.each_in(&scope, read_only),
            How::Transaction => {
                link.session.orders.begin_with_next(&scope, Begin::WRITE);
                plain.in_transaction = true;
            }
        }
        link.session.orders.words_of_app(true);
        for flush in &turn.flushes {
            let mut bytes = BytesMut::new();
            write(flush, turn.tenant, &mut bytes);
            let (before, plain_before) = (link.server.ran.len(), plain.ran.len());
            let heard = without_notices(&link.speak(&bytes));
            if gone && isolation == Isolation::Schema {
                assert_eq!(link.server.ran.len(), before, "it ran although its scope failed");
                let closes = matches!(flush, Flush::Close { .. });
                let errors = heard.iter().filter(|(kind, _)| *kind == b'E').count();
                assert!(errors == 1 || closes, "{flush:?}: {heard:?}");
                forgets(&mut plain, &link.server, flush);
                continue;
            }
            for (sql, scope) in &link.server.ran[before..] {
                assert_eq!(scope.as_deref(), Some(&*tenant_id(turn.tenant).to_string()), "{sql}");
            }
            if isolation == Isolation::Schema
                && let Some(code) = does_not_fit(&plain, &odd_shaped, flush, turn.tenant)
            {
                // It is the driver's to prepare it anew. Until then it may have run, if it has changed nothing.
                assert_eq!(heard.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), *b"EZ", "{flush:?} of {turn:?}");
                assert_eq!(frames::code(&heard[0].1), Some(code), "{flush:?} of {turn:?}");
                let harmless = read_only && matches!(turn.how, How::Each) && code == "0A000";
                assert!(harmless || link.server.ran.len() == before, "{flush:?} of {turn:?}");
                plain.aborted |= plain.in_transaction && code != "0A000";
                continue;
            }
            assert_eq!(heard, directly(&mut plain, flush, turn.tenant), "{flush:?} of {turn:?}");
            if let Flush::Prepare { name, .. } = flush
                && turn.tenant == ODD
            {
                odd_shaped.insert(*name);
            }
            let texts = |ran: &[(String, Option<String>)]| ran.iter().map(|(sql, _)| sql.clone()).collect::<Vec<_>>();
            assert_eq!(texts(&link.server.ran[before..]), texts(&plain.ran[plain_before..]), "{flush:?} of {turn:?}");
        }
        if matches!(turn.how, How::Transaction) {
            if !link.session.orders.end() {
                link.session.orders.words_of_app(false);
                let mut bytes = BytesMut::new();
                postgres_protocol::message::frontend::query("ROLLBACK", &mut bytes).expect("writes");
                link.speak(&bytes);
            }
            (plain.in_transaction, plain.aborted, plain.fails_at_commit) = (false, false, false);
        }
    }
}

/// How a statement fails that was prepared for one tenant and is none of this one's.
fn does_not_fit(plain: &Server, odd_shaped: &HashSet<u8>, flush: &Flush, tenant: u8) -> Option<&'static str> {
    let Flush::Run { name, .. } = flush else { return None };
    let sql = plain.statements.get(statement(name).as_bytes()).filter(|_| *name != UNNAMED && !plain.aborted)?;
    let is_odd = tenant == ODD;
    if sql.contains("absent") {
        return is_odd.then_some("42P01");
    }
    (sql.contains("differs") && odd_shaped.contains(name) != is_odd).then_some("0A000")
}

/// What a driver that got an error knows no more.
fn forgets(plain: &mut Server, server: &Server, flush: &Flush) {
    // The unnamed one is the server's own affair: in a transaction that has failed it still closes one.
    match server.statements.get(&b""[..]) {
        Some(sql) => drop(plain.statements.insert(Vec::new(), sql.clone())),
        None => drop(plain.statements.remove(&b""[..])),
    }
    if let Flush::Close { name } | Flush::Prepare { name, .. } = flush
        && *name != UNNAMED
    {
        plain.statements.remove(statement(name).as_bytes());
    }
}

fn texts() -> impl Strategy<Value = Text> {
    prop_oneof![
        4 => Just(Text::Reads),
        4 => Just(Text::Writes),
        1 => Just(Text::FailsToParse),
        1 => Just(Text::Fails),
        1 => Just(Text::FailsAtCommit),
        2 => Just(Text::Differs),
        1 => Just(Text::Absent),
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

/// Names are used once, as a driver does; one in four statements has none.
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
                Flush::Prepare { name, .. } if *name % 4 == 0 => *name = UNNAMED,
                Flush::Prepare { name, .. } => {
                    *name = next;
                    next = next.wrapping_add(1);
                }
                Flush::Run { name, .. } | Flush::Close { name } if *name % 4 == 0 => *name = UNNAMED,
                Flush::Run { name, .. } | Flush::Close { name } => *name %= next.max(1),
                Flush::Simple { .. } => {}
            }
        }
        turns
    })
}

/// A statement of one tenant's that is used for the first time by another one, in a flush with others.
fn prepared_for_another(texts: &[Text]) -> Link {
    let mut link = Link::new(Isolation::Schema, vec![7]);
    link.session.orders.each_in(&scope_of(0, Isolation::Schema), false);
    for (name, text) in (0..).zip(texts) {
        let mut bytes = BytesMut::new();
        write(&Flush::Prepare { name, text: *text }, 0, &mut bytes);
        link.speak(&bytes);
    }
    link.session.orders.each_in(&scope_of(ODD, Isolation::Schema), false);
    link
}

fn run_without_sync(name: u8, out: &mut BytesMut) {
    write(&Flush::Run { name, times: 1, value: Vec::new() }, ODD, out);
    out.truncate(out.len() - HEAD);
}

fn heard(link: &mut Link, mut flush: BytesMut) -> Vec<u8> {
    postgres_protocol::message::frontend::sync(&mut flush);
    without_notices(&link.speak(&flush)).into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn a_write_before_a_statement_that_is_stale_is_not_told_to_run_again() {
    let mut link = prepared_for_another(&[Text::Writes, Text::Differs]);
    let mut flush = BytesMut::new();
    run_without_sync(0, &mut flush);
    run_without_sync(1, &mut flush);
    assert_eq!(heard(&mut link, flush), b"2C3EZ");
    assert_eq!(link.server.ran.len(), 1, "{:?}", link.server.ran);
}

#[test]
fn a_write_whose_statement_is_closed_behind_it_has_run_once() {
    let mut link = prepared_for_another(&[Text::Writes]);
    let mut flush = BytesMut::new();
    run_without_sync(0, &mut flush);
    postgres_protocol::message::frontend::close(b'S', &statement(&0), &mut flush).expect("writes");
    assert_eq!(heard(&mut link, flush), b"2C33Z");
    assert_eq!(link.server.ran.len(), 1, "{:?}", link.server.ran);
}

#[test]
fn a_read_that_is_stale_is_told_so_when_it_has_ended() {
    let mut link = prepared_for_another(&[Text::Differs]);
    link.session.orders.each_in(&scope_of(ODD, Isolation::Schema), true);
    let mut flush = BytesMut::new();
    run_without_sync(0, &mut flush);
    // Its answers, but for the end.
    let mut asked = flush.split();
    link.session.driver(&mut asked, &mut link.to_server).expect("legal");
    let (mut answer, mut told) = (link.server.answer(&mut link.to_server), BytesMut::new());
    link.session.server(&mut answer, &mut told).expect("legal");
    assert_eq!((link.server.ran.len(), without_notices(&told)), (1, Vec::new()));
    assert_eq!(heard(&mut link, flush), b"EZ");
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
