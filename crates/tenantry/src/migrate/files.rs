//! Reading migration files: `0001_users.sql`, `0001_users.sqlite.sql`, `0003_backfill.data.sql`.

use std::{borrow::Cow, collections::BTreeMap, fs, path::Path, sync::Arc};

use sqlx::{
    AssertSqlSafe, SqlSafeStr,
    migrate::{Migration, MigrationType},
};

use crate::{
    engine::{EngineKind, Script, ScriptKind},
    error::{Error, ErrorKind, Result},
};

/// All migration files of an app: those of tenants and those of the shared tables.
#[derive(Clone, Debug, Default)]
pub struct Migrations {
    tenant: Arc<[File]>,
    shared: Arc<[File]>,
}

#[derive(Clone, Debug)]
struct File {
    script: Script,
    /// The only one that it is for.
    engine: Option<EngineKind>,
}

impl Migrations {
    /// Reads `DIR/tenant/*.sql` and `DIR/shared/*.sql`; a folder that is not there holds none.
    ///
    /// # Errors
    /// If a file cannot be read, or its name is not a migration's.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self> {
        let read = |folder: &str| -> Result<Arc<[File]>> {
            let folder = dir.as_ref().join(folder);
            let mut files = Vec::new();
            if !folder.is_dir() {
                return Ok(files.into());
            }
            let failed =
                |e| Error::new(ErrorKind::Migration, format!("cannot read `{}`", folder.display())).caused_by(e);
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                if name.ends_with(".sql") {
                    let text = fs::read_to_string(&path).map_err(failed)?;
                    files.push(File::parse(&name, text, &path.display().to_string())?);
                }
            }
            sorted(files)
        };
        Ok(Self { tenant: read("tenant")?, shared: read("shared")? })
    }

    /// Takes files that are part of the program: pairs of a file name and its text.
    ///
    /// # Errors
    /// As [`Migrations::from_dir`].
    pub fn embedded<'a>(
        tenant: impl IntoIterator<Item = (&'a str, &'a str)>,
        shared: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        let parse = |files: &mut dyn Iterator<Item = (&'a str, &'a str)>| {
            let files: Result<Vec<_>> = files.map(|(name, text)| File::parse(name, text.into(), name)).collect();
            sorted(files?)
        };
        Ok(Self { tenant: parse(&mut tenant.into_iter())?, shared: parse(&mut shared.into_iter())? })
    }

    /// The files of tenants that apply on an engine, by version.
    pub(crate) fn tenant(&self, engine: EngineKind) -> Vec<Arc<Script>> {
        for_engine(&self.tenant, engine)
    }

    /// The files of the shared tables that apply on an engine, by version.
    pub(crate) fn shared(&self, engine: EngineKind) -> Vec<Arc<Script>> {
        for_engine(&self.shared, engine)
    }

    /// The version that a tenant on that engine has to have to be served by this program; 0 for any.
    pub(crate) fn newest(&self, engine: EngineKind) -> i64 {
        // Sorted by version: asked for at every request, it is found at the end.
        let applies = |f: &&File| f.engine.is_none_or(|e| e == engine);
        self.tenant.iter().rev().find(applies).map_or(0, |f| f.script.version)
    }
}

fn for_engine(files: &[File], engine: EngineKind) -> Vec<Arc<Script>> {
    let mut chosen: BTreeMap<i64, &File> = BTreeMap::new();
    for file in files {
        let own = file.engine == Some(engine);
        if own || (file.engine.is_none() && !chosen.contains_key(&file.script.version)) {
            chosen.insert(file.script.version, file);
        }
    }
    chosen.into_values().map(|f| Arc::new(f.script.clone())).collect()
}

/// By version; two files of one version and engine are a mistake that would hide one of them.
fn sorted(mut files: Vec<File>) -> Result<Arc<[File]>> {
    files.sort_by_key(|file| (file.script.version, file.engine));
    for (first, second) in files.iter().zip(files.iter().skip(1)) {
        if first.script.version == second.script.version && first.engine == second.engine {
            let (version, a, b) = (first.script.version, &first.script.file, &second.script.file);
            return Err(Error::new(ErrorKind::Migration, format!("version {version} appears twice: `{a}` and `{b}`"))
                .help("give one of them the next free version: tenantry migrate new NAME"));
        }
    }
    Ok(files.into())
}

impl File {
    fn parse(name: &str, text: String, path: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::new(ErrorKind::Migration, format!("`{path}` is no migration: {why}"))
                .help("name it like `0001_users.sql`, `0001_users.sqlite.sql` or `0002_fill.data.sql`")
        };
        let stem = name.strip_suffix(".sql").ok_or_else(|| bad("it does not end in `.sql`"))?;
        let (number, rest) = stem.split_once('_').ok_or_else(|| bad("no `_` follows a version"))?;
        let version: i64 = number.parse().map_err(|_| bad("it does not start with a version number"))?;
        if version < 1 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad("versions start at 1"));
        }
        let mut words = rest.split('.');
        let description = words.next().unwrap_or_default().replace('_', " ");
        let (mut engine, mut kind) = (None, ScriptKind::Schema);
        for word in words {
            match word {
                "data" => kind = ScriptKind::Data,
                "down" | "up" => return Err(bad("a migration goes one way only; write the next one to undo it")),
                other => match EngineKind::named(other) {
                    Some(known) => engine = Some(known),
                    None => return Err(bad(&format!("`.{other}` is neither `.data` nor an engine of this version"))),
                },
            }
        }
        // sqlx's own reading: its checksum, and its mark for a file that must not run in a transaction.
        let no_transaction = text.starts_with("-- no-transaction");
        let sql = AssertSqlSafe(text).into_sql_str();
        let read = Migration::new(version, Cow::Owned(description), MigrationType::Simple, sql, no_transaction);
        let script = Script {
            version,
            description: read.description.into_owned(),
            kind,
            sql: read.sql,
            checksum: read.checksum.into_owned(),
            no_transaction,
            file: path.to_owned(),
        };
        Ok(Self { script, engine })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant_files(files: &[(&str, &str)]) -> Result<Migrations> {
        Migrations::embedded(files.iter().copied(), [])
    }

    #[test]
    fn a_file_of_one_engine_goes_before_the_general_one() {
        let files = tenant_files(&[("0001_a.sql", "general"), ("0001_a.sqlite.sql", "own"), ("0002_b.data.sql", "")])
            .expect("reads");
        let texts = |engine| files.tenant(engine).iter().map(|s| s.sql.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(EngineKind::Sqlite), ["own", ""]);
        assert_eq!(texts(EngineKind::Postgres), ["general", ""]);
        assert_eq!(files.tenant(EngineKind::Sqlite).last().map(|s| s.kind), Some(ScriptKind::Data));
        assert_eq!(files.newest(EngineKind::Sqlite), 2);
    }

    #[test]
    fn a_name_that_is_no_migration_is_refused_and_not_passed_over() {
        for name in [
            "users.sql",
            "x_users.sql",
            "0_a.sql",
            "+1_a.sql",
            "0001_a.oracle.sql",
            "0001_a.mysql.sql",
            "0001_a.down.sql",
        ] {
            let error = tenant_files(&[(name, "")]).expect_err(name);
            assert!(error.is_migration() && error.help_text().is_some(), "{name}");
        }
    }

    #[test]
    fn two_files_of_one_version_are_refused() {
        assert!(tenant_files(&[("0001_a.sql", ""), ("1_b.sql", "")]).is_err());
    }
}
