//! Where the driver comes in: a socket in a directory that nobody else can enter, for one caller only.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::{fs::DirBuilderExt as _, net::UnixStream},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixListener,
};

use crate::engine::postgres::session::scram::new_password;

/// The directory goes with its first caller, or with this.
pub(in crate::engine::postgres) struct LocalSocket {
    dir: PathBuf,
    listener: UnixListener,
}

impl LocalSocket {
    /// `None`, with a warning: this system has no place for such a socket, and the plain way has to be taken.
    pub(in crate::engine::postgres) fn open() -> Option<Self> {
        match Self::try_open() {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no socket for a wire: the plain way is taken"
                );
                None
            }
        }
    }

    fn try_open() -> io::Result<Self> {
        let name = new_password().map_err(io::Error::other)?;
        let dir = directory().join(format!("tenantry-{}", &name[..32]));
        std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let socket = dir.join(format!(".s.PGSQL.{PORT}"));
        match UnixListener::bind(socket) {
            Ok(listener) => Ok(Self { dir, listener }),
            Err(error) => {
                std::fs::remove_dir(&dir)?;
                Err(error)
            }
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The driver's other end, when it has come.
    pub(super) async fn driver(self) -> io::Result<Local> {
        let (driver, _) = self.listener.accept().await?;
        let process = driver.peer_cred()?.pid();
        if process.is_some_and(|id| id.cast_unsigned() != std::process::id()) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another process came to a wire"));
        }
        // Who polls the driver polls this behind it: it need not be woken, and is not known to the runtime.
        driver.into_std().map(Local)
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// Part of a socket's name, and nothing else.
pub(super) const PORT: u16 = 1;

/// The longest directory under which a socket's whole name is short enough for every system.
const LONGEST: usize = 40;

fn directory() -> PathBuf {
    let run = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let dir = run.unwrap_or_else(std::env::temp_dir);
    if dir.as_os_str().len() > LONGEST { "/tmp".into() } else { dir }
}

/// The wire's end of the way to the driver. It never wakes anybody: nothing changes at it but by the driver, and who polls
/// that polls the wire next. The driver is woken by what is written here, as by any server.
pub(super) struct Local(UnixStream);

fn or_pending<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}

impl AsyncRead for Local {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        or_pending(self.0.read(into.initialize_unfilled())).map_ok(|count| into.advance(count))
    }
}

impl AsyncWrite for Local {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        or_pending(self.0.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown(std::net::Shutdown::Write))
    }
}
