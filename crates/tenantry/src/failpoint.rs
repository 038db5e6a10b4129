//! Named places where a test may fail, stop or kill the program. Without the feature `failpoints` they are nothing.

use crate::error::Result;

/// What stands between two steps of an operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failpoints {
    #[cfg(feature = "failpoints")]
    set: std::sync::Arc<std::sync::Mutex<std::collections::HashMap<String, String>>>,
}

impl Failpoints {
    /// Those that the environment sets: `TENANTRY_FAILPOINT=provision.place=kill,purge.done=error`.
    pub(crate) fn from_environment() -> Self {
        #[cfg_attr(not(feature = "failpoints"), expect(unused_mut, reason = "nothing is set without the feature"))]
        let mut points = Self::default();
        #[cfg(feature = "failpoints")]
        for pair in std::env::var("TENANTRY_FAILPOINT").unwrap_or_default().split(',') {
            if let Some((name, action)) = pair.split_once('=') {
                points.set(name, action);
            }
        }
        points
    }

    /// Sets what happens at `name`: `error`, `kill`, `panic`, `stop` (waits for ever) or `off`.
    #[cfg(feature = "failpoints")]
    pub(crate) fn set(&mut self, name: &str, action: &str) {
        self.lock().insert(name.into(), action.into());
    }

    #[cfg(feature = "failpoints")]
    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, String>> {
        self.set.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[cfg(feature = "failpoints")]
    #[expect(clippy::panic, clippy::print_stderr, reason = "a test asked for it by name")]
    pub(crate) async fn hit(&self, name: &str) -> Result<()> {
        use crate::error::{Error, ErrorKind};
        let action = self.lock().get(name).cloned();
        match action.as_deref() {
            None | Some("off") => Ok(()),
            Some("kill") => {
                eprintln!("failpoint {name}: killed");
                // SIGKILL's effect: no destructor, no flush.
                let killed = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
                drop(killed);
                std::process::abort()
            }
            Some("panic") => panic!("failpoint {name}"),
            Some("stop") => std::future::pending().await,
            Some(_) => Err(Error::new(ErrorKind::Internal, format!("failpoint `{name}`"))),
        }
    }

    #[cfg(not(feature = "failpoints"))]
    #[expect(clippy::unused_async, reason = "the same face as with the feature")]
    pub(crate) async fn hit(&self, _name: &str) -> Result<()> {
        Ok(())
    }
}
