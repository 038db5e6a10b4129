//! A server of one test's own.

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    process::Child,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    Postgres, Result,
    area::{Area, Home},
    process,
    template::Template,
    tls::Certificates,
};

/// A server that may be stopped and started at will; it is removed with this value, or with the process. It is used as
/// the [`Postgres`] that it is.
#[derive(Debug)]
pub struct PrivatePostgres {
    postgres: Postgres,
    port: u16,
    template: Template,
    running: Mutex<Child>,
    ca: Option<PathBuf>,
    /// The last field: the folder goes when nothing runs in it.
    home: Home,
}

impl PrivatePostgres {
    pub(crate) fn start_new(settings: &[(&str, &str)], certificates: Option<Certificates>) -> Result<Self> {
        let (template, home) = prepare()?;
        let mut settings = settings.to_vec();
        let files = certificates.map(|c| c.make(&home, template.user)).transpose()?;
        if let Some(files) = &files {
            settings.extend(files.settings());
        }
        template.copy_into(home.path(), &settings)?;
        let (child, port) = process::start_anywhere(&template, home.path())?;
        let postgres = Postgres::ours(home.path(), port, template.programs.clone(), template.version);
        Ok(Self { postgres, port, template, running: Mutex::new(child), ca: files.map(|f| f.ca), home })
    }

    /// Stops it as a crash would: what was committed is there again after [`start`](Self::start).
    ///
    /// # Errors
    /// If the system does not let us.
    pub fn stop_immediately(&self) -> Result {
        process::stop_immediately(&mut self.child())
    }

    /// Starts it again on the same port and socket. A server that runs is left alone.
    ///
    /// # Errors
    /// With the server's log.
    pub fn start(&self) -> Result {
        let mut child = self.child();
        if matches!(child.try_wait(), Ok(None)) {
            return Ok(());
        }
        *child = process::start(&self.template, self.home.path(), self.port)?;
        Ok(())
    }

    /// Both.
    ///
    /// # Errors
    /// As those two.
    pub fn restart_immediately(&self) -> Result {
        self.stop_immediately()?;
        self.start()
    }

    /// The text of its log since it was made: warnings and worse, and all errors.
    #[must_use]
    pub fn log(&self) -> String {
        process::log_of(self.home.path())
    }

    /// The server's main process, or the last one that it had.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// The certificate of the authority that signed the server's, if it has TLS.
    #[must_use]
    pub fn ca_file(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare() -> Result<(Template, Home)> {
    let area = Area::usual()?;
    let lock = area.lock()?;
    area.sweep(&lock)?;
    let template = Template::ready(&area, &lock)?;
    let home = area.home(Home::PRIVATE, template.user, &lock)?;
    Ok((template, home))
}

impl Deref for PrivatePostgres {
    type Target = Postgres;

    fn deref(&self) -> &Postgres {
        &self.postgres
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // The keeper would find what is left running here.
        let _ = self.stop_immediately();
    }
}
