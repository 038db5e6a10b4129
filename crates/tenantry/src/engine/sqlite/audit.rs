//! What `doctor` looks at in a tenant's file.

use std::{os::unix::fs::PermissionsExt, path::Path};

use sqlx::Connection as _;

use super::{directory::Directory, files, open};
use crate::{
    engine::{Attack, Attacks, Finding, Placement},
    error::Result,
};

pub(super) async fn audit(directory: &Directory, placement: &Placement) -> Result<Vec<Finding>> {
    directory.check()?;
    let (id, file) = (placement.id, directory.tenant(&placement.physical)?);
    let mut found = Vec::new();
    if !files::is_there(&file)? {
        found.push(Finding {
            code: "file_missing",
            what: format!("the file of tenant {id} is gone"),
            repair: "put it back from a backup, or delete and purge the tenant".into(),
        });
        return Ok(found);
    }
    if let Ok(metadata) = std::fs::metadata(&file)
        && metadata.permissions().mode() & 0o077 != 0
    {
        found.push(Finding {
            code: "file_readable_by_others",
            what: format!("the file of tenant {id} can be read by other users of the machine"),
            repair: format!("chmod 600 {}", file.display()),
        });
    }
    let mut connection = open::engine(&file, false).await?;
    if let Err(error) = open::require_owner(&mut connection, id).await {
        found.push(Finding {
            code: "foreign_file",
            what: error.to_string(),
            repair: "put the tenant's own file back".into(),
        });
    }
    let health: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    if health != "ok" {
        found.push(Finding {
            code: "file_damaged",
            what: format!("SQLite finds the file of tenant {id} damaged"),
            repair: "restore it from a backup".into(),
        });
    }
    connection.close().await?;
    Ok(found)
}

/// What a buggy or hostile statement may try, with the other tenant's file in it.
const ATTACKS: &[&str] = &[
    "ATTACH '{file}' AS other",
    "ATTACH 'file:{file}?mode=ro' AS other",
    "VACUUM INTO '{file}.stolen'",
    "SELECT load_extension('{file}')",
    "SELECT readfile('{file}')",
    "SELECT writefile('{file}.stolen', 'x')",
    "PRAGMA writable_schema = 1",
    "PRAGMA temp_store_directory = '{file}'",
    "PRAGMA journal_mode = delete",
    "PRAGMA foreign_keys = off",
    "CREATE TEMP TABLE tenantry_canary (a)",
    "CREATE TABLE tenantry_canary (a)",
    "DROP TABLE _tenantry_place",
    "UPDATE _tenantry_place SET tenant_id = 'x'",
    "UPDATE sqlite_master SET sql = 'x'",
    "DETACH shared",
    "INSERT INTO shared._tenantry_migrations (version, description, checksum) VALUES (0, '', '')",
    "BEGIN",
    "SELECT 1; COMMIT",
];

/// SQLite has one code for all errors of a text; a function that is not there is as good as one that is refused.
fn attack(text: String) -> Attack {
    Attack::new(text).or_words(&[
        "not authorized",
        "no such function",
        "cannot VACUUM from within a transaction",
        "sqlite_master may not be modified",
    ])
}

pub(super) fn attacks(victim: &Path) -> Attacks {
    let file = victim.display().to_string();
    Attacks {
        refused: ATTACKS.iter().map(|text| attack(text.replace("{file}", &file))).collect(),
        // No table of one file can be named in another.
        trials: None,
        whose: "SELECT tenant_id FROM _tenantry_place",
    }
}
