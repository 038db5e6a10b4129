//! A new directory for one test.

use std::{fs, io, path::PathBuf};

use uuid::Uuid;

use super::{SqliteDriver, dialect::path_of};
use crate::{
    engine::{
        scratch::{Scratch, ScratchMaker},
        url_of_directory,
    },
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

impl ScratchMaker for SqliteDriver {
    async fn scratch_new(url: &str) -> Result<(String, String, String)> {
        let parent = path_of(url).map(PathBuf::from).unwrap_or_default();
        let failed = |e: io::Error| cannot("make a directory in", &parent.display().to_string(), e);
        let directory = std::path::absolute(&parent).map_err(failed)?.join(format!("tenantry-{}", Uuid::now_v7()));
        fs::create_dir_all(&directory).map_err(failed)?;
        let [catalog, server] = ["catalog.db", "data"].map(|part| url_of_directory(&directory.join(part)));
        Ok((directory.display().to_string(), catalog, server))
    }

    async fn scratch_remove(scratch: &Scratch, _: TenantId) -> Result<()> {
        fs::remove_dir_all(&scratch.name).map_err(|e| cannot("remove", &scratch.name, e))
    }
}

fn cannot(verb: &str, directory: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot {verb} `{directory}`")).caused_by(error)
}
