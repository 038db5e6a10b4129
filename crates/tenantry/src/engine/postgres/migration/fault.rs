//! A mistake in a file of migrations.

use crate::{
    engine::Script,
    error::{Error, ErrorKind},
};

/// With the file and the line.
pub(crate) fn at(script: &Script, line: usize, what: String) -> Error {
    Error::new(ErrorKind::Migration, format!("migration {} ({}:{line}): {what}", script.version, script.file))
        .at(&script.file, Some(line))
}
