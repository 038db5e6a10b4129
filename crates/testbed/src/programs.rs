//! Where the programs of PostgreSQL are, and how a program is run to its end.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{During, Result};

/// A folder that holds `postgres`, `initdb` and `psql`.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those of the folder that [`CHOSEN`] names, or of the newest server that is installed.
    pub(crate) fn find() -> Result<Self> {
        if let Some(folder) = chosen() {
            return Self::chosen_in(folder);
        }
        let folders = configured().into_iter().chain(path()).chain(packaged());
        let all_there = |folder: &PathBuf| ["postgres", "initdb", "psql"].iter().all(|p| folder.join(p).is_file());
        let folder = folders.into_iter().find(all_there).ok_or(
            "no PostgreSQL server is installed (`postgres`, `initdb` and `psql`): install the package `postgresql`, \
             15 or newer, or name a running server in `TENANTRY_TEST_POSTGRES_URL`",
        )?;
        Ok(Self { folder })
    }

    /// Those of a server that is already running.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.into() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn chosen_in(folder: PathBuf) -> Result<Self> {
        let missing = ["postgres", "initdb"].into_iter().find(|program| !folder.join(program).is_file());
        let found = Self { folder };
        match missing {
            Some(program) => Err(format!("`{CHOSEN}` names `{}`, which holds no `{program}`", found.folder.display())),
            None if found.named("psql").is_file() => Ok(found),
            None => Err("no `psql` is installed: install the package `postgresql-client`".into()),
        }
    }

    /// A build that was made to be embedded comes without `psql`: any other will do, of any version.
    pub(crate) fn named(&self, program: &str) -> PathBuf {
        let here = self.folder.join(program);
        if here.is_file() || program != "psql" {
            return here;
        }
        let folders = configured().into_iter().chain(path()).chain(packaged());
        folders.map(|folder| folder.join(program)).find(|file| file.is_file()).unwrap_or(here)
    }

    /// As `server_version_num` says it: 150018 is 15.18.
    pub(crate) fn version(&self) -> Result<u32> {
        let line = output(Command::new(self.named("postgres")).arg("--version"))?;
        version_number(&line).ok_or(format!("`postgres --version` says `{}`", line.trim()))
    }
}

/// The variable that names a folder of programs, instead of those that are installed.
const CHOSEN: &str = "TENANTRY_TEST_POSTGRES_PROGRAMS";

pub(crate) fn chosen() -> Option<PathBuf> {
    env::var_os(CHOSEN).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, and of `17beta1`.
fn version_number(line: &str) -> Option<u32> {
    let version = line.split_whitespace().nth(2)?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
    Some(numbers.next().filter(|major| *major > 0)? * 10_000 + numbers.next().unwrap_or(0))
}

fn configured() -> Option<PathBuf> {
    let folder = output(Command::new("pg_config").arg("--bindir")).ok()?;
    Some(folder.trim().into())
}

fn path() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// Debian's and Red Hat's folders, the newest version first.
fn packaged() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = ["/usr/lib/postgresql", "/usr"].iter().flat_map(versions_in).collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, folder)| folder.join("bin")).collect()
}

fn versions_in(folder: &&str) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let versioned = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let version = name.strip_prefix("pgsql-").unwrap_or(&name).parse().ok()?;
        Some((version, entry.path()))
    });
    versioned.collect()
}

/// A program of `PATH`, or of the folders that only root's `PATH` has.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let mut folders = path();
    folders.extend(["/usr/sbin".into(), "/sbin".into()]);
    folders.into_iter().map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs it to its end: what it wrote, or what it complained about.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::piped()).output().during(&format!("`{name}` does not start"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{name}` failed, {}: {}", output.status, complaint.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_the_number_that_the_server_has_for_it() {
        assert_eq!(version_number("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(150_018));
        assert_eq!(version_number("postgres (PostgreSQL) 17beta1\n"), Some(170_000));
        assert_eq!(version_number("sh: not found"), None);
    }
}
