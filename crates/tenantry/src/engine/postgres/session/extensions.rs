//! Extensions, by what they mean for a connection that many tenants share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sqlx::{AssertSqlSafe, Row, postgres::PgConnection};

use crate::{
    engine::{
        ExtensionClass as Class, Finding, StatelessExtension, extension_class as class,
        postgres::names::{Names, literal, quoted},
    },
    error::Result,
};

/// Extensions that are there although no file could have made them.
pub(crate) async fn findings(admin: &mut PgConnection, names: &Names) -> Result<Vec<Finding>> {
    let there: String = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {ASK}"))).fetch_one(&mut *admin).await?;
    let mut found = Vec::new();
    for name in there.split(',') {
        match class(name) {
            Class::Refused(why) => found.push(Finding {
                code: "extension_refused",
                what: format!("the extension `{name}` is a way around the walls: {why}"),
                repair: format!("DROP EXTENSION {}", quoted(name)),
            }),
            Class::Telling(_) => found.extend(tells(admin, names, name).await?),
            Class::Stateless | Class::Stateful(_) | Class::Unknown => {}
        }
    }
    Ok(found)
}

/// What of the extension the role of row isolation may read.
async fn tells(admin: &mut PgConnection, names: &Names, extension: &str) -> Result<Option<Finding>> {
    let (role, extension) = (literal(&quoted(&names.rows_role())), literal(extension));
    let text = format!(
        "SELECT string_agg(open.name, ', ' ORDER BY open.name) AS what, string_agg(open.revoke, '; ' ORDER BY open.name) AS repair
           FROM pg_catalog.pg_extension e
           JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e',
                LATERAL (
                  SELECT c.oid::regclass::text, format('REVOKE ALL ON %s FROM PUBLIC, {{role}}', c.oid::regclass)
                    FROM pg_catalog.pg_class c
                   WHERE d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid
                     AND pg_catalog.has_table_privilege(to_regrole({role}), c.oid, 'SELECT')
                  UNION ALL
                  SELECT p.oid::regprocedure::text, format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, {{role}}', p.oid::regprocedure)
                    FROM pg_catalog.pg_proc p
                   WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.objid
                     AND pg_catalog.has_function_privilege(to_regrole({role}), p.oid, 'EXECUTE')) open(name, revoke)
          WHERE e.extname = {extension}"
    )
    .replace("{role}", &quoted(&names.rows_role()));
    let row = sqlx::query(AssertSqlSafe(text)).fetch_one(admin).await?;
    let what: Option<String> = row.try_get("what")?;
    Ok(what.map(|what| Finding {
        code: "statements_shown",
        what: format!("tenants of row isolation may read the statements of others: {what}"),
        repair: row.get("repair"),
    }))
}

/// Tells the extensions of a database, by [`Known::learn`].
pub(crate) const ASK: &str =
    "coalesce((SELECT pg_catalog.string_agg(extname::text, ',') FROM pg_catalog.pg_extension), '')";

/// What is known of the extensions of the database where tenants share connections.
pub(crate) struct Known {
    /// What the settings say of those that are on no list.
    stateless: Arc<[StatelessExtension]>,
    keeps_state: AtomicBool,
}

impl Known {
    pub(crate) fn new(stateless: Arc<[StatelessExtension]>) -> Self {
        Self { stateless, keeps_state: AtomicBool::default() }
    }

    /// Takes the answer to [`ASK`].
    pub(crate) fn learn(&self, names: &str) {
        let stateful = names.split(',').any(|name| !name.is_empty() && self.may_keep_state(name));
        self.keeps_state.store(stateful, Ordering::Relaxed);
    }

    fn may_keep_state(&self, name: &str) -> bool {
        match class(name) {
            Class::Stateless | Class::Telling(_) => false,
            Class::Unknown => !self.stateless.iter().any(|stateless| stateless.as_str() == name),
            Class::Stateful(_) | Class::Refused(_) => true,
        }
    }

    /// Whether a function may be called that leaves something in the session.
    pub(crate) fn keep_state(&self) -> bool {
        self.keeps_state.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_that_nobody_knows_may_keep_anything() {
        let known = Known::new(Arc::default());
        for (names, keep) in [
            ("", false),
            ("plpgsql", false),
            ("plpgsql,citext,uuid-ossp", false),
            ("plpgsql,dblink", true),
            ("isn", true),
            ("plperl", true),
            ("somebodys_own", true),
            ("plpgsql,pgcrypto", false),
        ] {
            known.learn(names);
            assert_eq!(known.keep_state(), keep, "{names}");
        }
    }

    #[test]
    fn what_the_settings_say_holds_for_extensions_that_nobody_knows_only() {
        let known = Known::new(["somebodys_own", "postgis"].map(|name| name.parse().expect(name)).into());
        for (names, keep) in [
            ("plpgsql,somebodys_own", false),
            ("plpgsql,postgis,somebodys_own", false),
            ("plpgsql,postgis,another", true),
            ("postgis,dblink", true),
        ] {
            known.learn(names);
            assert_eq!(known.keep_state(), keep, "{names}");
        }
    }
}
