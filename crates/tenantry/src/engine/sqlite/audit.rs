//! What `doctor` looks at in a tenant's file.

use std::os::unix::fs::PermissionsExt;

use sqlx::Connection as _;

use super::{files, open};
use crate::{engine::Finding, error::Result, id::TenantId};

pub(super) async fn audit(directory: &files::Directory, id: TenantId, database: &str) -> Result<Vec<Finding>> {
    directory.check()?;
    let file = directory.tenant(database)?;
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
