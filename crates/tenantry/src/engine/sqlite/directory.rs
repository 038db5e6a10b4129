//! The directory of a SQLite server: `tenants/`, `templates/` and `shared.db`, and nothing outside of it.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use super::{
    files::{HALF_MADE, failed, not_ours},
    template::Template,
};
use crate::{error::Result, ident::Ident};

/// Where a server's files lie. Names inside come from [`Ident`], so that no path leaves the directory.
pub(super) struct Directory {
    root: PathBuf,
    home: PathBuf,
    /// The template that was used last, by its name.
    template: Mutex<Option<(String, Template)>>,
}

impl Directory {
    pub(super) fn new(root: PathBuf, home: PathBuf) -> Self {
        Self { root, home, template: Mutex::default() }
    }

    pub(super) fn prepare(&self) -> Result<()> {
        for folder in [self.root.clone(), self.home.clone(), self.tenants(), self.templates()] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed("make", &folder))?;
        }
        self.check()
    }

    /// Refuses a folder that somebody replaced by a link.
    pub(super) fn check(&self) -> Result<()> {
        for folder in [self.tenants(), self.templates()] {
            let metadata = fs::symlink_metadata(&folder).map_err(failed("read", &folder))?;
            if !metadata.is_dir() {
                return Err(not_ours(&folder, "is not a directory"));
            }
        }
        Ok(())
    }

    pub(super) fn known_template(&self, name: &str) -> Option<Template> {
        let known = self.template.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(known, _)| known == name).map(|(_, template)| template.clone())
    }

    pub(super) fn template_learned(&self, name: String, template: Template) {
        *self.template.lock().unwrap_or_else(PoisonError::into_inner) = Some((name, template));
    }

    pub(super) fn shared(&self) -> PathBuf {
        self.home.join("shared.db")
    }

    pub(super) fn tenants(&self) -> PathBuf {
        self.root.join("tenants")
    }

    pub(super) fn templates(&self) -> PathBuf {
        self.root.join("templates")
    }

    pub(super) fn tenant(&self, database: &str) -> Result<PathBuf> {
        let name = Ident::new(database)?;
        Ok(self.tenants().join(format!("{name}.db")))
    }

    /// The physical names of all tenant files, and of files that a crash left half made.
    pub(super) fn tenant_names(&self) -> Result<Vec<String>> {
        let folder = self.tenants();
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
            let name = entry.map_err(failed("read", &folder))?.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".db") || name.ends_with(HALF_MADE) {
                names.extend(name.split('.').next().map(str::to_owned));
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }
}
