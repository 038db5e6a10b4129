//! [`Template`]: a migrated file that new tenants are copied from.

use std::path::PathBuf;

use super::files;
use crate::error::{Error, ErrorKind, Result};

/// What stands in a template where a tenant's file says whose it is: as long as an id, so that it is overwritten in place.
pub(super) const NOBODY: &str = "nobody-s-file-it-is-a-template------";
const _: () = assert!(NOBODY.len() == uuid::fmt::Hyphenated::LENGTH, "an id fits in its place");

/// A migrated file that new tenants are copied from.
#[derive(Clone)]
pub(super) struct Template {
    pub(super) file: PathBuf,
    /// Where in it the owner's id belongs.
    pub(super) owner_at: u64,
}

impl Template {
    /// Finds the owner's place; it must be there exactly once.
    pub(super) fn read(file: PathBuf) -> Result<Self> {
        let bytes = files::read(&file)?;
        let mut found = bytes.windows(NOBODY.len()).enumerate().filter(|(_, window)| *window == NOBODY.as_bytes());
        match (found.next(), found.next()) {
            (Some((at, _)), None) => Ok(Self { file, owner_at: u64::try_from(at).unwrap_or(u64::MAX) }),
            _ => Err(Error::new(ErrorKind::Internal, format!("the template `{}` is damaged", file.display()))
                .help("remove it; it is made anew")),
        }
    }
}
