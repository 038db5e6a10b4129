//! What a tenant's SQL may try to leave its scope, asked of the server itself: texts that no check of ours has read.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, Row, postgres::PgConnection};

use crate::{
    engine::{
        Attack, Begin, Outcome, Place, Placement, Scope,
        postgres::{
            administration::wall,
            names::Names,
            session::{connect::Door, dial},
        },
    },
    error::{Error, ErrorKind, Result},
    tenant::Isolation,
};

/// A line an attempt, behind the code of the refusal. `{id}` is another tenant, `{role}` its role.
const ATTEMPTS: &str = include_str!("escapes.txt");

/// A server that does not refuse may wait for more instead.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries all of them as one tenant against another, on a connection of its own. None where the wall is open, or a tenant's
/// database is the wall.
pub(crate) async fn try_all(
    door: &Door,
    place: &Place,
    scope: &Scope,
    victim: &Placement,
) -> Result<Vec<(String, Outcome)>> {
    let Scope::Postgres(scope) = scope else { return Ok(Vec::new()) };
    if victim.isolation == Isolation::Database || !is_closed(door).await? {
        return Ok(Vec::new());
    }
    let mut session = dial::in_time(&door.options(place)?).await?;
    session.execute(AssertSqlSafe(scope.begin(Begin::WRITE))).await?;
    let before = whose(&mut session).await?;
    let mut tried = Vec::new();
    for attack in attempts(&door.names, victim) {
        let outcome = try_one(&mut session, &attack).await?;
        if whose(&mut session).await? != before {
            return Err(Error::new(ErrorKind::Isolation, "an attempt has left the tenant's scope")
                .help("stop serving and report it"));
        }
        tried.push((attack.text, outcome));
    }
    Ok(tried)
}

async fn is_closed(door: &Door) -> Result<bool> {
    let mut admin = door.control.admin().await?;
    let wall = wall::read(&mut admin, &door.names).await?;
    admin.done();
    Ok(wall.is_closed())
}

fn attempts(names: &Names, victim: &Placement) -> Vec<Attack> {
    let (id, role) = (victim.id.to_string(), names.of_tenant(&victim.physical));
    let lines = ATTEMPTS.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(code, text)| (code, text.replace("{id}", &id).replace("{role}", &role)))
        .map(|(code, text)| Attack::new(text).or_codes(&[code]))
        .collect()
}

async fn try_one(session: &mut PgConnection, attack: &Attack) -> Result<Outcome> {
    session.execute("SAVEPOINT escape").await?;
    let text = sqlx::raw_sql(AssertSqlSafe(attack.text.as_str()));
    let answer = tokio::time::timeout(PATIENCE, session.execute(text)).await;
    let late = |_| Error::new(ErrorKind::Isolation, "an attempt that is to be refused was not answered");
    let outcome = attack.outcome(answer.map_err(late)?);
    session.execute("ROLLBACK TO escape").await?;
    Ok(outcome)
}

/// As whom the session speaks, where its names lead, and for which tenant.
async fn whose(session: &mut PgConnection) -> Result<Vec<String>> {
    let text =
        "SELECT ARRAY[current_user, current_setting('search_path'), current_setting('tenantry.tenant', true)]::text[]";
    Ok(session.fetch_one(text).await?.try_get::<Vec<Option<String>>, _>(0)?.into_iter().flatten().collect())
}
