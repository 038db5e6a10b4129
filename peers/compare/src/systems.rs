//! The systems that can be compared, and their own untenanted twins.

/// How a system is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// `peer-axum --style` with the system's name.
    Axum,
    /// `peers/run` with this name.
    Script(&'static str),
}

/// On which server its data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    MariaDb,
}

/// Where a system finds its tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tenants {
    /// On the server, before it starts: in the one database that all systems but tenantry share on PostgreSQL, in databases
    /// of their own on MariaDB.
    Seeded,
    /// It knows of none, and reads the same twenty users for everybody.
    None,
    /// It makes at most so many itself, in a database of its own.
    OwnUpTo(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) program: Program,
    pub(crate) engine: Engine,
    pub(crate) tenants: Tenants,
    /// The same app without tenancy.
    pub(crate) twin: Option<&'static str>,
}

impl System {
    const fn tenanted(name: &'static str, title: &'static str, program: Program, twin: &'static str) -> Self {
        Self { name, title, program, engine: Engine::Postgres, tenants: Tenants::Seeded, twin: Some(twin) }
    }

    const fn untenanted(name: &'static str, title: &'static str, program: Program) -> Self {
        Self { name, title, program, engine: Engine::Postgres, tenants: Tenants::None, twin: None }
    }

    const fn ours(name: &'static str, title: &'static str, most: usize) -> Self {
        let tenants = Tenants::OwnUpTo(most);
        Self { name, title, program: Axum, engine: Engine::Postgres, tenants, twin: Some("untenanted") }
    }

    const fn on_mariadb(self) -> Self {
        Self { engine: Engine::MariaDb, ..self }
    }

    pub(crate) fn is_untenanted(&self) -> bool {
        self.tenants == Tenants::None
    }

    /// Of so many that are asked for.
    pub(crate) fn tenants_of(&self, asked: usize) -> usize {
        match self.tenants {
            Tenants::OwnUpTo(most) => asked.min(most),
            Tenants::Seeded | Tenants::None => asked,
        }
    }
}

use Program::{Axum, Script};

/// A tenant of database isolation has connections of its own: with more of them than this the 32 connections are opened and
/// closed instead of used.
const WARM_DATABASES: usize = 8;

/// In the order in which a table names them.
pub(crate) const ALL: &[System] = &[
    System::untenanted("untenanted", "axum, bare sqlx, no tenants: the limit", Axum),
    System::ours("tenantry-row", "axum, tenantry, row isolation", usize::MAX),
    System::ours("tenantry-schema", "axum, tenantry, schema isolation", usize::MAX),
    System::ours("tenantry-database", "axum, tenantry, 8 tenants' own databases", WARM_DATABASES),
    System::tenanted("sqlx-row", "axum, sqlx by hand, row security", Axum, "untenanted"),
    System::tenanted("sqlx-schema", "axum, sqlx by hand, search_path", Axum, "untenanted"),
    System::tenanted("native-row", "axum, tokio-postgres, row security", Axum, "native-untenanted"),
    System::tenanted("native-schema", "axum, tokio-postgres, search_path", Axum, "native-untenanted"),
    System::untenanted("native-untenanted", "axum, tokio-postgres, no tenants", Axum),
    System::tenanted("fastify-one-text", "Fastify, one text", Script("fastify-one-text"), "fastify-untenanted"),
    System::tenanted(
        "fastify-transaction",
        "Fastify, SET LOCAL in a transaction",
        Script("fastify-transaction"),
        "fastify-untenanted",
    ),
    System::untenanted("fastify-untenanted", "Fastify, no tenants", Script("fastify-transaction")),
    System::tenanted(
        "fastapi-asyncpg",
        "FastAPI, SET LOCAL in a transaction",
        Script("fastapi-asyncpg"),
        "fastapi-untenanted",
    ),
    System::untenanted("fastapi-untenanted", "FastAPI, no tenants", Script("fastapi-asyncpg")),
    System::tenanted("flask-search-path", "Flask, SET search_path", Script("flask-search-path"), "flask-untenanted"),
    System::untenanted("flask-untenanted", "Flask, no tenants", Script("flask-search-path")),
    System::tenanted(
        "flask-mariadb",
        "Flask, MariaDB, a database a tenant",
        Script("flask-mariadb"),
        "flask-mariadb-untenanted",
    )
    .on_mariadb(),
    System::untenanted("flask-mariadb-untenanted", "Flask, MariaDB, no tenants", Script("flask-mariadb")).on_mariadb(),
    System::tenanted("django-tenants", "django-tenants", Script("django-tenants"), "django-untenanted"),
    System::untenanted("django-untenanted", "Django, no tenants", Script("django-tenants")),
];

pub(crate) fn named(name: &str) -> Option<&'static System> {
    ALL.iter().find(|system| system.name == name)
}

/// Those that are asked for, or all, and the twins that their ratios need.
pub(crate) fn chosen(only: &[String]) -> crate::Result<Vec<&'static System>> {
    if let Some(unknown) = only.iter().find(|name| named(name).is_none()) {
        let names: Vec<_> = ALL.iter().map(|system| system.name).collect();
        return Err(format!("there is no system `{unknown}`; there are {}", names.join(", ")).into());
    }
    let asked = |system: &System| only.is_empty() || only.iter().any(|name| name == system.name);
    let is_twin = |name: &str| ALL.iter().any(|system| asked(system) && system.twin == Some(name));
    Ok(ALL.iter().filter(|system| asked(system) || is_twin(system.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str]) -> Vec<&'static str> {
        let only: Vec<String> = only.iter().map(|&name| name.into()).collect();
        chosen(&only).unwrap().into_iter().map(|system| system.name).collect()
    }

    #[test]
    fn a_twin_comes_along_with_the_system_that_is_measured_against_it() {
        assert_eq!(names(&["fastify-one-text"]), ["fastify-one-text", "fastify-untenanted"]);
        assert_eq!(names(&["untenanted", "tenantry-schema"]), ["untenanted", "tenantry-schema"]);
        assert_eq!(names(&[]).len(), ALL.len());
    }

    #[test]
    fn every_twin_is_there_and_untenanted() {
        let twins = ALL.iter().filter_map(|system| system.twin);
        assert!(twins.map(named).all(|twin| twin.is_some_and(System::is_untenanted)));
    }

    #[test]
    fn a_system_that_does_not_exist_is_named_with_those_that_do() {
        let error = chosen(&["flask".into()]).unwrap_err().to_string();
        assert!(error.contains("`flask`") && error.contains("flask-search-path"), "{error}");
    }
}
