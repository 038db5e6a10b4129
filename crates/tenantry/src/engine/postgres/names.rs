//! Names of roles, databases and schemas. What a whole cluster has in common carries the installation's mark, so that
//! several installations share a server.

use crate::{error::Result, id::TenantId, ident::Ident};

/// The schema of tenant tables where many tenants have them in common, and in a tenant's own database.
pub(super) const TENANT: &str = "tenant";

/// The schema of the shared tables.
pub(super) const SHARED: &str = "shared";

/// The names that one server of one installation uses.
#[derive(Clone, Debug)]
pub(super) struct Names {
    mark: String,
    server: String,
    /// The login that the operator has made, in the place of the first restricted login of ours.
    own_login: Option<String>,
}

impl Names {
    pub(super) fn new(installation: TenantId, server: &str, own_login: Option<String>) -> Result<Self> {
        let id = installation.as_uuid().as_simple().to_string();
        // The random end of the id: the beginning is only the time.
        let mark = id.get(20..).unwrap_or(&id).to_owned();
        let names = Self { mark, server: server.to_owned(), own_login };
        // The longest of them fits, or the server's name is refused now.
        Ident::new(names.of_server("shared")).map_err(|e| e.help("give the server a shorter name"))?;
        Ok(names)
    }

    pub(super) fn of_server(&self, what: &str) -> String {
        // `on` keeps them apart from tenants' names, whatever the server is called.
        format!("tn_{}_on_{}_{what}", self.mark, self.server)
    }

    /// The prefix of all names of this installation.
    pub(super) fn prefix(&self) -> String {
        format!("tn_{}_", self.mark)
    }

    /// Owns what is in tenants' own databases, and signs in nowhere. In a server's main database it owns only what a program
    /// of an older version has made there.
    pub(super) fn owner(&self) -> String {
        format!("tn_{}_owner", self.mark)
    }

    /// Owns the tables that tenants of row isolation have in common.
    pub(super) fn rows_owner(&self) -> String {
        format!("tn_{}_rows_owner", self.mark)
    }

    /// Owns the tables of one tenant of schema isolation: an owner of several schemas could reach all of them from a file
    /// for one.
    pub(super) fn owner_of_tenant(&self, physical: &str) -> String {
        format!("{}{}", self.owners(), physical.strip_prefix("t_").unwrap_or(physical))
    }

    /// The beginning of the names of these owners.
    pub(super) fn owners(&self) -> String {
        format!("tn_{}_o_", self.mark)
    }

    /// What all owners of tenants' tables have in common: they may write functions, and refer to the shared tables.
    pub(super) fn authors(&self) -> String {
        format!("tn_{}_authors", self.mark)
    }

    /// Sees the rows of all tenants, for a session that only counts them; made by administrators who are superusers.
    pub(super) fn auditor(&self) -> String {
        format!("tn_{}_auditor", self.mark)
    }

    /// The login of one session at a time that runs files of migrations.
    pub(super) fn slot(&self, number: u32) -> String {
        self.of_server(&format!("m{number}"))
    }

    /// Owns the shared tables: another one, so that a file of tenants' tables changes none of the shared ones, nor the other
    /// way round.
    pub(super) fn shared_owner(&self) -> String {
        format!("tn_{}_shared_owner", self.mark)
    }

    /// Signs in for the tenants of row isolation.
    pub(super) fn rows_login(&self) -> String {
        self.own_login.clone().unwrap_or_else(|| self.of_server("row"))
    }

    /// The role that the statements of row isolation's tenants run as. The login has no rights but to take it on: whoever
    /// makes its session leave the role reaches nothing.
    pub(super) fn rows_role(&self) -> String {
        format!("tn_{}_rows", self.mark)
    }

    /// Whether one login of the operator's is both that of the rows and the first one of the schemas.
    pub(super) const fn has_own_login(&self) -> bool {
        self.own_login.is_some()
    }

    /// The beginning of the roles of schema isolation's tenants.
    pub(super) fn tenants(&self) -> Result<Ident> {
        Ident::new(format!("{}t_", self.prefix()))
    }

    /// Reaches tenants of schema isolation, some hundreds each.
    pub(super) fn schemas_login(&self, number: i32) -> String {
        match &self.own_login {
            Some(own) if number == 0 => own.clone(),
            _ => self.of_server(&format!("s{number}")),
        }
    }

    /// Reads and writes the shared tables.
    pub(super) fn shared_login(&self) -> String {
        self.of_server("shared")
    }

    /// Signs in from other databases, to read the shared tables. Nobody is a member of it: a member sees what its sessions do, and
    /// may end them.
    pub(super) fn remote(&self) -> String {
        self.of_server("remote")
    }

    /// Reads the shared tables, as the group of tenants' roles.
    pub(super) fn reader(&self) -> String {
        self.of_server("reader")
    }

    /// The role of a tenant of schema isolation; the login and the database of one of database isolation.
    pub(super) fn of_tenant(&self, physical: &str) -> String {
        format!("{}{physical}", self.prefix())
    }

    /// A database that a superuser has prepared, where the administrator is none: templates are made of it.
    pub(super) fn base(&self) -> String {
        format!("{}base", self.prefix())
    }

    /// A migrated database that new ones are copied from.
    pub(super) fn template(&self, fingerprint: &str) -> String {
        format!("{}tpl_{fingerprint}", self.prefix())
    }
}

/// A name as it stands in SQL. The names of this module need no escape; an operator's login may.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it stands in SQL, where none can be bound.
pub(super) fn literal(text: &str) -> String {
    let quoted = format!("'{}'", text.replace('\'', "''"));
    if text.contains('\\') { format!(" E{}", quoted.replace('\\', "\\\\")) } else { quoted }
}
