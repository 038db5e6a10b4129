//! [`Site`]: where files of migrations are applied, and under which rules.

use super::ledger;
use crate::{
    engine::{
        Placement,
        postgres::{
            names::{Names, SHARED, TENANT},
            rules::{self, Rules},
        },
    },
    error::Result,
    ident::Ident,
    tenant::Isolation,
};

/// Whose schema is looked at.
pub(crate) struct Subject {
    schema: Ident,
    owner: Ident,
    role: Ident,
}

impl Subject {
    pub(crate) const fn as_ref(&self) -> rules::Subject<'_> {
        rules::Subject { schema: &self.schema, owner: &self.owner, role: &self.role }
    }
}

/// Where files are applied: whose tables, under which rules, and the name in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) target: String,
    pub(crate) schema: String,
    /// Whose rights data files have, and whose rights are looked at.
    pub(crate) role: String,
    /// The tenant that data files are run for.
    pub(crate) tenant: Option<String>,
    pub(crate) kind: SiteKind,
    /// The database, where it is not the server's main one.
    pub(crate) database: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SiteKind {
    Shared,
    Rows,
    Schema,
    Database,
}

impl Site {
    pub(crate) fn shared(names: &Names) -> Self {
        Self {
            target: ledger::SHARED.into(),
            schema: SHARED.into(),
            role: names.shared_login(),
            tenant: None,
            kind: SiteKind::Shared,
            database: None,
        }
    }

    pub(crate) fn rows(names: &Names) -> Self {
        Self {
            target: ledger::ROWS.into(),
            schema: TENANT.into(),
            role: names.rows_role(),
            tenant: None,
            kind: SiteKind::Rows,
            database: None,
        }
    }

    /// The template of tenants' own databases.
    pub(crate) fn template(names: &Names, database: &str) -> Self {
        Self {
            target: ledger::OWN.into(),
            schema: TENANT.into(),
            role: names.reader(),
            tenant: None,
            kind: SiteKind::Database,
            database: Some(database.to_owned()),
        }
    }

    /// A tenant's own; in row isolation what is its own are the data files.
    pub(crate) fn tenant(names: &Names, placement: &Placement) -> Self {
        let (id, physical) = (placement.id.to_string(), placement.physical.to_string());
        match placement.isolation {
            Isolation::Row => Self { target: physical, tenant: Some(id), ..Self::rows(names) },
            Isolation::Schema => Self {
                role: names.of_tenant(&physical),
                target: physical.clone(),
                schema: physical,
                tenant: Some(id),
                kind: SiteKind::Schema,
                database: None,
            },
            Isolation::Database => Self {
                role: names.of_tenant(&physical),
                target: ledger::OWN.into(),
                schema: TENANT.into(),
                tenant: Some(id),
                kind: SiteKind::Database,
                database: Some(names.of_tenant(&physical)),
            },
        }
    }

    pub(crate) const fn rules(&self) -> Option<Rules> {
        match self.kind {
            SiteKind::Shared => Some(Rules::Shared),
            SiteKind::Rows => Some(Rules::Row),
            SiteKind::Schema | SiteKind::Database => Some(Rules::Own),
        }
    }

    /// Who owns what a file makes here.
    pub(crate) fn owner(&self, names: &Names) -> String {
        match self.kind {
            SiteKind::Shared => names.shared_owner(),
            SiteKind::Rows => names.rows_owner(),
            SiteKind::Schema => names.owner_of_tenant(&self.schema),
            // Nobody gets from one database into another, so one owner will do for all.
            SiteKind::Database => names.owner(),
        }
    }

    pub(crate) fn subject(&self, names: &Names) -> Result<Subject> {
        self.subject_of(self.owner(names))
    }

    /// As it is under another owner.
    pub(crate) fn subject_of(&self, owner: String) -> Result<Subject> {
        Ok(Subject {
            schema: Ident::new(self.schema.as_str())?,
            owner: Ident::new(owner)?,
            role: Ident::new(self.role.as_str())?,
        })
    }
}
