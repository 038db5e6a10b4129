//! What has to hold before the commit, and where in the files it does not.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};
use tenantry_sql::postgres::{
    lex,
    statements::{self, Statement},
};

use super::fault::at;
use crate::{
    engine::{
        Script,
        postgres::{
            administration::{
                shared_grants,
                site::{Site, SiteKind},
            },
            names::{Names, quoted},
            rules::{self, Binding, Breach, Rules},
            session::scope::OURS,
        },
    },
    error::{Error, ErrorKind, Result},
};

/// Puts the walls up around what the files have made, and refuses what no wall would hold.
pub(super) async fn secure(slot: &mut PgConnection, names: &Names, site: &Site, scripts: &[&Script]) -> Result<()> {
    let owner = format!("{OURS}; SET LOCAL ROLE {}", quoted(&site.owner(names)));
    slot.execute(AssertSqlSafe(owner)).await?;
    match site.kind {
        SiteKind::Shared => {
            slot.execute(AssertSqlSafe(shared_grants::shared_grants(names))).await?;
        }
        SiteKind::Rows => {
            let subject = site.subject(names)?;
            require_none(scripts, &rules::excess_rights(slot, &subject.as_ref()).await?)?;
            rules::protect(slot, &subject.as_ref(), rules::EVERYTHING).await?;
        }
        // What is made in such a schema gets its rights by default privileges.
        SiteKind::Schema | SiteKind::Database => {}
    }
    verify(slot, names, site, scripts, Binding::Bind).await?;
    if site.kind == SiteKind::Shared {
        let rows = Site::rows(names);
        let mut found = rules::breaches(slot, Rules::Row, &rows.subject(names)?.as_ref(), Binding::Look).await?;
        // What was safe there with the shared functions as they were. All else is none of this file's doing.
        found.retain(|breach| BY_SHARED.contains(&breach.code));
        require_none(scripts, &found)?;
    }
    slot.execute("RESET ROLE").await?;
    Ok(())
}

/// What a file of the shared tables can bring about in the tables that tenants have in common.
const BY_SHARED: &[&str] = &[
    "code_in_cascade",
    "domain_calls",
    "immutable_depends",
    "immutable_reads",
    "operator_partner",
    "policy_immutable",
    "trigger_function",
    "trigger_in_cascade",
];

/// Refuses what is unsafe in the schema; as the owner, where functions are to be bound.
pub(super) async fn verify(
    connection: &mut PgConnection,
    names: &Names,
    site: &Site,
    scripts: &[&Script],
    binding: Binding,
) -> Result<()> {
    let Some(rules) = site.rules() else { return Ok(()) };
    let subject = site.subject(names)?;
    let mut breaches = match rules {
        // Asked at each creation of a tenant.
        Rules::Own => rules::breaches_of_new(connection, &subject.as_ref(), binding).await?,
        Rules::Row | Rules::Shared => rules::breaches(connection, rules, &subject.as_ref(), binding).await?,
    };
    if binding == Binding::Look {
        // An older version has made it, and looked at it then.
        breaches.retain(|breach| breach.code != rules::UNBOUND);
    }
    // A table that lacks its tenant lacks everything that hangs on it too: that is said first.
    breaches.sort_by_key(|breach| breach.code != "tenant_column");
    require_none(scripts, &breaches)
}

/// Behind a statement, where a file could have rows that are not its own handed to what it makes and takes away or puts back again.
pub(super) async fn require_harmless_code(
    slot: &mut PgConnection,
    names: &Names,
    site: &Site,
    script: &Script,
    statement: &Statement<'_>,
) -> Result<()> {
    let rules = match site.kind {
        SiteKind::Rows => Rules::Row,
        SiteKind::Shared => Rules::Shared,
        SiteKind::Schema | SiteKind::Database => Rules::Own,
    };
    let subject = site.subject(names)?;
    let found = rules::breaches_of_code(slot, rules, &subject.as_ref()).await?;
    let Some(first) = found.first() else { return Ok(()) };
    Err(at(script, statement.line, format!("`{}`: {}", first.object, first.reason)).help(format!(
        "write the statement itself otherwise: what a later one mends ({}) comes too late",
        first.correction
    )))
}

fn require_none(scripts: &[&Script], breaches: &[Breach]) -> Result<()> {
    if breaches.is_empty() { Ok(()) } else { Err(refused(scripts, breaches)) }
}

/// What is unsafe, each with its place and with the statement to write instead.
fn refused(scripts: &[&Script], breaches: &[Breach]) -> Error {
    let mut found = breaches.iter().map(|breach| {
        let (script, line) = place_of(scripts, &breach.object);
        let what = format!("`{}`: {}", breach.object, breach.reason);
        let error = match script {
            Some(script) => at(script, line, what),
            None => Error::new(ErrorKind::Migration, what),
        };
        (error, breach.correction.as_str())
    });
    let Some((first, correction)) = found.next() else {
        return Error::new(ErrorKind::Internal, "nothing unsafe was refused");
    };
    let mut help = format!("write: {correction}");
    for (also, correction) in found {
        help.push_str(&format!("\nand {also}; write: {correction}"));
    }
    first.help(help)
}

/// The statement that speaks of the object is most likely the one to mend.
pub(super) fn place_of<'s>(scripts: &[&'s Script], object: &str) -> (Option<&'s Script>, usize) {
    let found = scripts.iter().rev().find_map(|script| Some((*script, line_of(script, object)?)));
    found.map_or((scripts.last().copied(), 1), |(script, line)| (Some(script), line))
}

fn line_of(script: &Script, object: &str) -> Option<usize> {
    let names: Vec<&str> = object.split(['.', ' ', '(', '"']).filter(|name| !name.is_empty()).collect();
    let statements = statements::split(script.sql.as_str()).ok()?;
    let says = |statement: &Statement<'_>, name: &str| {
        lex::Lexer::new(statement.text).flatten().any(|t| t.name().as_deref() == Some(name))
    };
    // The most special name is the last one: a constraint behind its table.
    let by_name = |name: &&str| statements.iter().rev().find(|s| says(s, name)).map(|s| s.line);
    names.iter().rev().find_map(by_name)
}
