//! PostgreSQL 15 and newer.

pub mod lex;
pub mod settings;
pub mod statements;
pub mod text;

/// The longest name, in bytes: the server cuts longer ones silently.
pub const MAX_NAME_BYTES: usize = 63;
