//! What a restricted login may not be, asked at every connect.

use sqlx::{Row, postgres::PgConnection};

use super::names::Names;
use crate::engine::Place;

/// Attributes, ownership and memberships of the login that has signed in, in one round trip.
const ASK: &str = "
WITH RECURSIVE me AS (SELECT * FROM pg_roles WHERE rolname = session_user),
     above AS (SELECT roleid FROM pg_auth_members JOIN me ON me.oid = member
               UNION SELECT m.roleid FROM pg_auth_members m JOIN above ON m.member = above.roleid),
     powers AS (SELECT r.rolname, r.rolsuper, r.rolbypassrls, r.oid FROM above JOIN pg_roles r ON r.oid = above.roleid)
SELECT me.rolsuper, me.rolbypassrls, me.rolinherit, me.rolcreaterole OR me.rolcreatedb OR me.rolreplication AS makes,
       EXISTS (SELECT FROM pg_shdepend d WHERE d.deptype = 'o' AND d.refclassid = 'pg_authid'::regclass
                 AND d.refobjid IN (SELECT oid FROM me UNION ALL SELECT oid FROM powers)) AS owns,
       (SELECT string_agg(rolname, ', ') FROM powers WHERE rolsuper OR rolbypassrls OR rolname LIKE 'pg\\_%') AS strong,
       (SELECT count(*) FROM above) AS memberships,
       (SELECT rolname FROM powers WHERE NOT starts_with(rolname, $1) LIMIT 1) AS stranger
FROM me";

pub(super) async fn breaches(
    connection: &mut PgConnection,
    place: &Place,
    names: &Names,
) -> Result<Vec<String>, sqlx::Error> {
    let row = sqlx::query(ASK).bind(names.prefix()).persistent(false).fetch_one(connection).await?;
    let mut found = Vec::new();
    let mut say = |is: bool, what: &str| {
        if is {
            found.push(what.to_owned());
        }
    };
    say(row.get("rolsuper"), "it is a superuser");
    say(row.get("rolbypassrls"), "it has BYPASSRLS");
    say(row.get("rolinherit"), "it has INHERIT");
    say(row.get("makes"), "it has CREATEROLE, CREATEDB or REPLICATION");
    say(row.get("owns"), "it, or a role that it is a member of, owns something");
    if let Some(strong) = row.get::<Option<String>, _>("strong") {
        found.push(format!("it is a member of {strong}"));
    }
    let memberships: i64 = row.get("memberships");
    match (place, row.get::<Option<String>, _>("stranger")) {
        (Place::Schemas(_), Some(stranger)) => found.push(format!("it is a member of `{stranger}`")),
        (Place::Rows | Place::Shared | Place::Tenant(_), _) if memberships > 0 => {
            // The operator's login may serve row and schema isolation: then tenants' roles hang on it.
            if !matches!(place, Place::Rows) || !names.is_login_of_schemas() {
                found.push("it is a member of other roles".to_owned());
            }
        }
        _ => {}
    }
    Ok(found)
}
