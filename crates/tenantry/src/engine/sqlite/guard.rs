//! The guard: what SQL of an app may do on a connection, enforced by SQLite itself.
//!
//! The only module with `unsafe`: sqlx has no face for an authorizer, nor for how a writer waits for another.

#![expect(
    unsafe_code,
    reason = "sqlx offers no authorizer and no busy handler; each call is on a handle that sqlx keeps locked for us"
)]

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use libsqlite3_sys as ffi;
use sqlx::sqlite::SqliteConnection;

use super::stop::Stop;
use crate::error::{Error, ErrorKind, Result};

/// Whom a connection serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// An app's statements on a tenant's own file (`main`); the shared file is read only.
    Tenant,
    /// An app's statements on the shared tables (`shared`).
    Shared,
    /// A file of data changes: an app's statements on a tenant's own file, and nothing of its schema.
    Data,
    /// A migration file: any change of its own database, but no other database and no transaction of its own.
    Migration,
}

/// Shared between a connection's owner and the authorizer inside of SQLite.
pub(super) struct Guard {
    mode: Mode,
    /// Set while the engine itself speaks: only then may a transaction begin or end.
    engine_speaks: AtomicBool,
}

impl Guard {
    /// The engine speaks for as long as the answer lives.
    pub(super) fn speaking(self: &Arc<Self>) -> Speaking {
        self.engine_speaks.store(true, Ordering::Release);
        Speaking(Arc::clone(self))
    }

    fn allows(&self, action: &Action<'_>) -> bool {
        let engine_speaks = self.engine_speaks.load(Ordering::Acquire);
        match self.mode {
            Mode::Tenant => action.allowed_in_app("main", engine_speaks),
            Mode::Shared => action.allowed_in_app("shared", engine_speaks),
            Mode::Data => engine_speaks || action.allowed_in_app("main", false),
            Mode::Migration => engine_speaks || action.allowed_in_migration(),
        }
    }
}

/// Ends the engine's turn, also where a future is dropped.
pub(super) struct Speaking(Arc<Guard>);

impl Drop for Speaking {
    fn drop(&mut self) {
        self.0.engine_speaks.store(false, Ordering::Release);
    }
}

/// What SQLite asks the authorizer about.
struct Action<'a> {
    code: c_int,
    first: &'a [u8],
    second: &'a [u8],
    has_second: bool,
    database: &'a [u8],
}

/// PRAGMAs that only read the schema.
const READING_PRAGMAS: &[&str] =
    &["table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"];

/// PRAGMAs that only read as long as they are given no value.
const PRAGMAS_WITHOUT_VALUE: &[&str] = &["user_version", "foreign_keys", "data_version", "encoding"];

/// How the names of the engine's own tables begin.
const ENGINES: &[u8] = b"_tenantry";

/// Tables that SQLite makes up from the pages of a file.
const RAW_PAGES: &[&str] = &["dbstat", "sqlite_dbpage"];

/// Functions that reach outside of the database.
const FORBIDDEN_FUNCTIONS: &[&str] = &["load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"];

impl Action<'_> {
    fn names(text: &[u8], list: &[&str]) -> bool {
        list.iter().any(|known| text.eq_ignore_ascii_case(known.as_bytes()))
    }

    /// An allow list: what is not named is refused, so that a new SQLite brings no new hole.
    fn allowed_in_app(&self, writable: &str, engine_speaks: bool) -> bool {
        match self.code {
            ffi::SQLITE_SELECT | ffi::SQLITE_RECURSIVE => true,
            ffi::SQLITE_READ => !Self::names(self.first, RAW_PAGES),
            ffi::SQLITE_TRANSACTION | ffi::SQLITE_SAVEPOINT => engine_speaks,
            ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => {
                self.database == writable.as_bytes() && !self.is_engine_table()
            }
            ffi::SQLITE_FUNCTION => !Self::names(self.second, FORBIDDEN_FUNCTIONS),
            ffi::SQLITE_PRAGMA => {
                Self::names(self.first, READING_PRAGMAS)
                    || (!self.has_second && Self::names(self.first, PRAGMAS_WITHOUT_VALUE))
                    || (engine_speaks && Self::names(self.first, &["query_only"]))
            }
            _ => false,
        }
    }

    fn allowed_in_migration(&self) -> bool {
        match self.code {
            ffi::SQLITE_ATTACH | ffi::SQLITE_DETACH | ffi::SQLITE_TRANSACTION | ffi::SQLITE_SAVEPOINT => false,
            ffi::SQLITE_FUNCTION => !Self::names(self.second, FORBIDDEN_FUNCTIONS),
            ffi::SQLITE_PRAGMA => {
                let also =
                    ["foreign_keys", "defer_foreign_keys", "foreign_key_check", "legacy_alter_table", "user_version"];
                Self::names(self.first, READING_PRAGMAS) || Self::names(self.first, &also)
            }
            // Whatever else it is, the engine's own tables are none of its business: the name is that of a table, of what is made,
            // or of the table that something is made for.
            ffi::SQLITE_SELECT | ffi::SQLITE_RECURSIVE | ffi::SQLITE_READ => true,
            _ => !Self::is_engines(self.first) && !Self::is_engines(self.second),
        }
    }

    fn is_engines(name: &[u8]) -> bool {
        name.get(..ENGINES.len()).is_some_and(|start| start.eq_ignore_ascii_case(ENGINES))
    }

    fn is_engine_table(&self) -> bool {
        let of_sqlite = b"sqlite_";
        self.first.get(..of_sqlite.len()).is_some_and(|start| start.eq_ignore_ascii_case(of_sqlite))
            || Self::is_engines(self.first)
    }
}

unsafe extern "C" fn authorize(
    guard: *mut c_void,
    code: c_int,
    first: *const c_char,
    second: *const c_char,
    database: *const c_char,
    _inner_most: *const c_char,
) -> c_int {
    // SAFETY: SQLite hands over NUL-terminated strings, or NULL, that live as long as this call.
    let bytes = |p: *const c_char| if p.is_null() { &b""[..] } else { unsafe { CStr::from_ptr(p) }.to_bytes() };
    let action = Action {
        code,
        first: bytes(first),
        second: bytes(second),
        has_second: !second.is_null(),
        database: bytes(database),
    };
    // SAFETY: `guard` is the client data that `install` gave to this connection; SQLite frees it (see `release`) when it
    // closes the connection, after the last authorization.
    let guard = unsafe { &*guard.cast::<Guard>() };
    if guard.allows(&action) { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
}

unsafe extern "C" fn release(guard: *mut c_void) {
    // SAFETY: called once by SQLite for the pointer that `install` made with `Arc::into_raw`.
    drop(unsafe { Arc::from_raw(guard.cast::<Guard>().cast_const()) });
}

/// Hardens a connection for good. Whatever was to be attached has to be attached before.
pub(super) async fn install(connection: &mut SqliteConnection, mode: Mode) -> Result<Arc<Guard>> {
    let guard = Arc::new(Guard { mode, engine_speaks: AtomicBool::new(false) });
    let mut locked = connection.lock_handle().await?;
    let handle = locked.as_raw_handle().as_ptr();
    let data = Arc::into_raw(Arc::clone(&guard)).cast_mut().cast::<c_void>();
    // SAFETY: the handle is alive and its worker stands still for as long as `locked` lives. The client data keeps the
    // guard alive until SQLite has closed the connection, on whatever thread and whenever that is.
    let result = unsafe {
        // On failure SQLite calls `release` itself.
        let mut result = ffi::sqlite3_set_clientdata(handle, c"tenantry".as_ptr(), data, Some(release));
        for (option, value) in [
            (ffi::SQLITE_DBCONFIG_DEFENSIVE, 1),
            (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
            (ffi::SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
            (ffi::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, 0),
        ] {
            result |= ffi::sqlite3_db_config(handle, option, value as c_int, ptr::null_mut::<c_int>());
        }
        ffi::sqlite3_limit(handle, ffi::SQLITE_LIMIT_ATTACHED, 0);
        ffi::sqlite3_limit(handle, ffi::SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES);
        ffi::sqlite3_limit(handle, ffi::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL_BYTES);
        if result == ffi::SQLITE_OK {
            result = ffi::sqlite3_set_authorizer(handle, Some(authorize), data);
        }
        result
    };
    if result == ffi::SQLITE_OK {
        Ok(guard)
    } else {
        Err(Error::new(
            ErrorKind::Isolation,
            format!("the guard of a connection could not be set (SQLite code {result})"),
        ))
    }
}

/// The largest text or blob that an app may store or build: a value beyond it is an error, not an allocation.
const MAX_VALUE_BYTES: c_int = 256 << 20;
/// The longest SQL text.
const MAX_SQL_BYTES: c_int = 4 << 20;

/// How a writer waits for another one of its file: in short sleeps, so that it can be stopped.
struct Waiting {
    stop: Stop,
    limit: Duration,
    opened: Instant,
    /// Milliseconds after `opened`.
    since: AtomicU64,
}

/// The longest of its sleeps.
const NAP: Duration = Duration::from_millis(50);

impl Waiting {
    /// `false`: it has waited long enough.
    fn nap(&self, naps_before: u64) -> bool {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        if naps_before == 0 {
            self.since.store(now, Ordering::Relaxed);
        }
        let waited = Duration::from_millis(now.saturating_sub(self.since.load(Ordering::Relaxed)));
        if self.stop.is_due() || waited >= self.limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(naps_before.saturating_mul(5).max(1)).min(NAP));
        true
    }
}

unsafe extern "C" fn nap(waiting: *mut c_void, naps_before: c_int) -> c_int {
    // SAFETY: `waiting` is the client data that `wait_at_most` gave to this connection, which frees it when it is closed.
    let waiting = unsafe { &*waiting.cast::<Waiting>() };
    c_int::from(waiting.nap(u64::try_from(naps_before).unwrap_or(0)))
}

unsafe extern "C" fn release_waiting(waiting: *mut c_void) {
    // SAFETY: called once by SQLite for the pointer that `wait_at_most` made with `Box::into_raw`.
    drop(unsafe { Box::from_raw(waiting.cast::<Waiting>()) });
}

/// From now on a statement waits for another writer for at most `limit`, and no longer once it is to be stopped.
pub(super) async fn wait_at_most(connection: &mut SqliteConnection, limit: Duration, stop: Stop) -> Result<()> {
    let waiting = Waiting { stop, limit, opened: Instant::now(), since: AtomicU64::new(0) };
    let mut locked = connection.lock_handle().await?;
    let handle = locked.as_raw_handle().as_ptr();
    let data = Box::into_raw(Box::new(waiting)).cast::<c_void>();
    // SAFETY: as in `install`; on failure SQLite frees the data itself.
    let result = unsafe {
        match ffi::sqlite3_set_clientdata(handle, c"tenantry wait".as_ptr(), data, Some(release_waiting)) {
            ffi::SQLITE_OK => ffi::sqlite3_busy_handler(handle, Some(nap), data),
            failed => failed,
        }
    };
    if result == ffi::SQLITE_OK {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Internal, format!("a connection cannot wait for others (SQLite code {result})")))
}

/// Whether a transaction is open, by SQLite's own word.
pub(super) async fn in_transaction(connection: &mut SqliteConnection) -> Result<bool> {
    let mut locked = connection.lock_handle().await?;
    // SAFETY: the handle is alive and locked; the call only reads a flag.
    Ok(unsafe { ffi::sqlite3_get_autocommit(locked.as_raw_handle().as_ptr()) } == 0)
}
