//! The user as whom servers run: PostgreSQL and PgBouncer refuse root.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use crate::{During, Result};

/// Ourselves, unless we are root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerUser {
    /// User and group to become.
    other: Option<(u32, u32)>,
}

impl ServerUser {
    pub(crate) fn find() -> Result<Self> {
        if !geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let accounts = fs::read_to_string("/etc/passwd").during("read `/etc/passwd`")?;
        let other = ["postgres", "nobody"].iter().find_map(|name| ids(&accounts, name));
        other.map(|ids| Self { other: Some(ids) }).ok_or_else(|| {
            "a server does not run as root, and there is no user `postgres` or `nobody`: run the tests as another user".into()
        })
    }

    pub(crate) fn id(self) -> u32 {
        self.other.map_or_else(|| geteuid().as_raw(), |(user, _)| user)
    }

    /// A program run as this user, away from our terminal, folder and signals. Supplementary groups are dropped by std
    /// where root becomes another user.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.other {
            command.uid(user).gid(group);
        }
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Makes a file or folder this user's.
    pub(crate) fn own(self, path: &Path) -> Result {
        let Some((user, group)) = self.other else { return Ok(()) };
        chown(path, Some(user), Some(group)).during(&format!("hand `{}` to the server's user", path.display()))
    }
}

/// Of a line `name:x:user:group:...`.
fn ids(accounts: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = accounts.lines().map(|line| line.split(':')).find_map(|mut fields| {
        let ours = fields.next() == Some(name);
        ours.then_some(fields)
    })?;
    Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "postgresql:x:1:2::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(ids(accounts, "postgres"), Some((101, 104)));
        assert_eq!(ids(accounts, "nobody"), None);
    }
}
