//! [`Exit`]: what the program's exit code says. A contract: scripts rely on it.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything that was asked for is done.
    Ok = 0,
    /// It failed, or was refused; nothing or not all of it was done.
    Failed = 1,
    /// The command line cannot be read.
    Usage = 2,
    /// Part of a fleet failed; the others are done.
    PartFailed = 3,
    /// A check did its work and found something.
    Found = 4,
    /// Interrupted by the user; what had begun was brought to an end.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The same, for `tenantry --help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    ok
  1    failed or refused
  2    the command line cannot be read
  3    part of a fleet failed, the others are done
  4    a check found something
  130  interrupted";
