//! The names of migration files, as far as the program needs them without opening the installation.

use std::path::Path;

use crate::failure::{Failure, Result};

/// The version and the engine (if it is for one only) in `0001_users.sqlite.sql`.
pub(super) fn parse(name: &str) -> Option<(i64, Option<&str>)> {
    let (number, rest) = name.strip_suffix(".sql")?.split_once('_')?;
    let version = number.parse().ok().filter(|version| *version > 0)?;
    Some((version, rest.split('.').skip(1).find(|word| *word != "data")))
}

/// The newest version in a folder; 0 if there is none. With an engine only the files that apply on it count.
pub(super) fn newest(folder: &Path, engine: Option<&str>) -> Result<i64> {
    let cannot = |e| Failure::new(format!("cannot read `{}`", folder.display())).code("io").caused_by(e);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(e) => return Err(cannot(e)),
    };
    let mut newest = 0;
    for entry in entries {
        let name = entry.map_err(cannot)?.file_name();
        if let Some((version, only)) = parse(&name.to_string_lossy())
            && (engine.is_none() || only.is_none() || only == engine)
        {
            newest = newest.max(version);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_its_version_and_its_engine() {
        assert_eq!(parse("0012_users.sql"), Some((12, None)));
        assert_eq!(parse("0012_users.data.sql"), Some((12, None)));
        assert_eq!(parse("0012_users.sqlite.data.sql"), Some((12, Some("sqlite"))));
        assert_eq!(parse("readme.md"), None);
        assert_eq!(parse("x_y.sql"), None);
    }
}
