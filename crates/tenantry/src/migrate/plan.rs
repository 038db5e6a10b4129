//! What is to be applied to one target, given what was.

use std::sync::Arc;

use crate::{
    engine::{Applied, Script},
    error::{Error, ErrorKind, Result},
};

/// The files still to apply. Whatever does not fit stops it before any change.
pub(super) fn pending(target: &str, scripts: &[Arc<Script>], applied: &[Applied]) -> Result<Vec<Arc<Script>>> {
    for done in applied {
        let Some(script) = scripts.iter().find(|s| s.version == done.version) else {
            return Err(no_file(target, scripts, done));
        };
        if script.checksum != done.checksum {
            return Err(refused(
                target,
                format!("migration {} ({}) was changed after it was applied", script.version, script.file),
            )
            .at(&script.file, None)
            .help("put the file back as it was, and write the change as the next migration"));
        }
    }
    let newest = applied.last().map_or(0, |a| a.version);
    let missing: Vec<_> = scripts.iter().filter(|s| !applied.iter().any(|a| a.version == s.version)).cloned().collect();
    if let Some(late) = missing.iter().find(|s| s.version < newest) {
        return Err(refused(
            target,
            format!("migration {} ({}) is older than {newest}, which was applied", late.version, late.file),
        )
        .at(&late.file, None)
        .help("give the file the next free version; `tenantry migrate stamp` if it was applied by hand"));
    }
    Ok(missing)
}

fn no_file(target: &str, scripts: &[Arc<Script>], done: &Applied) -> Error {
    let newest = scripts.last().map_or(0, |s| s.version);
    let (version, description) = (done.version, &done.description);
    if version > newest {
        refused(
            target,
            format!("version {version} ({description}) was applied by a newer program; this one knows {newest}"),
        )
        .help("run the newer program")
    } else {
        refused(target, format!("version {version} ({description}) was applied, but its file is gone"))
            .help("put the file back from the version control")
    }
}

fn refused(target: &str, what: String) -> Error {
    Error::new(ErrorKind::Migration, format!("{target}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineKind;
    use crate::migrate::Migrations;

    fn scripts(files: &[(&str, &str)]) -> Vec<Arc<Script>> {
        Migrations::embedded(files.iter().copied(), []).expect("reads").tenant(EngineKind::Sqlite)
    }

    fn applied(scripts: &[Arc<Script>]) -> Vec<Applied> {
        let row = |s: &Arc<Script>| Applied {
            version: s.version,
            description: s.description.clone(),
            checksum: s.checksum.clone(),
        };
        scripts.iter().map(row).collect()
    }

    #[test]
    fn what_was_not_applied_is_pending_in_order() {
        let all = scripts(&[("1_a.sql", "a"), ("2_b.sql", "b"), ("3_c.sql", "c")]);
        let done = applied(&all[..1]);
        let versions: Vec<_> = pending("t", &all, &done).expect("plan").iter().map(|s| s.version).collect();
        assert_eq!(versions, [2, 3]);
    }

    #[test]
    fn a_changed_file_a_missing_file_a_late_file_and_a_newer_history_are_refused() {
        let all = scripts(&[("1_a.sql", "a"), ("3_c.sql", "c")]);
        let done = applied(&all);
        for (files, expected) in [
            (vec![("1_a.sql", "changed"), ("3_c.sql", "c")], "was changed"),
            (vec![("3_c.sql", "c")], "its file is gone"),
            (vec![("1_a.sql", "a"), ("2_b.sql", "b"), ("3_c.sql", "c")], "is older than 3"),
            (vec![("1_a.sql", "a")], "by a newer program"),
        ] {
            let error = pending("t", &scripts(&files), &done).expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
