//! What the process may use of the machine.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// An open tenant costs three file handles or more, and the usual soft limit of 1,024 is soon reached; the hard limit is
/// what the machine's owner allows.
pub(crate) fn raise_open_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays low");
    }
}
