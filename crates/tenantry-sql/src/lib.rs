//! Reads SQL without a database, for tenantry: what a text is, as far as its words tell.
//!
//! - [`postgres`]: the words of a text with their places, the statements of a file, what a text may leave behind, and what
//!   a tenant may not send.
//! - [`sqlite`]: whether a text changes anything, and what a tenant may not send.
//! - `tenantify` (feature `tenantify`): plain definitions, rewritten into those of tenants' tables.
//!
//! Nothing here keeps tenants apart: that does the database. What this reading decides is how a text is run, and which call an
//! error names instead. When it is unsure it takes the careful way.
//!
//! ```
//! use tenantry_sql::postgres::{statements, text};
//!
//! let file = statements::split("CREATE TABLE a (b int);\n\nCREATE INDEX ON a (b)")?;
//! assert_eq!(file.iter().map(|statement| statement.line).collect::<Vec<_>>(), [1, 3]);
//!
//! assert!(text::read("SELECT b FROM a").is_ok_and(|text| text.reads_only && text.plain));
//! let refused = text::read("SET ROLE somebody").unwrap_err();
//! assert_eq!(refused.to_string(), "`SET` cannot be sent as text");
//! # Ok::<(), statements::Unfinished>(())
//! ```

pub mod postgres;
pub mod sqlite;
#[cfg(feature = "tenantify")]
pub mod tenantify;

mod refusal;

pub use postgres::{MAX_NAME_BYTES, statements::Unfinished};
pub use refusal::Refusal;
