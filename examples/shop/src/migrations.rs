//! The migration files are part of the program, so that it can be copied to another machine as one file.

use std::path::Path;

use include_dir::{Dir, include_dir};
use tenantry::Migrations;

use crate::{failure::Failure, files};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

/// The names and texts in one folder.
fn folder(name: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let files = FILES.get_dir(name).map(Dir::files).into_iter().flatten();
    files.filter_map(|file| Some((file.path().file_name()?.to_str()?, file.contents_utf8()?)))
}

pub(crate) fn embedded() -> tenantry::Result<Migrations> {
    Migrations::embedded(folder("tenant"), folder("shared"))
}

/// Writes a copy for the operator's program, which reads them from a directory and has to find the same checksums.
pub(crate) fn export(dir: &Path) -> Result<(), Failure> {
    for name in ["tenant", "shared"] {
        let target = dir.join(name);
        let failed = |e| Failure::new(format!("cannot write the migrations to `{}`", target.display())).caused_by(e);
        files::make_directory(&target).map_err(failed)?;
        for (file, text) in folder(name) {
            files::keep_equal(&target.join(file), text).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_folders_are_part_of_the_program() {
        assert!(embedded().is_ok());
        assert!(folder("tenant").count() > 0 && folder("shared").count() > 0);
    }
}
