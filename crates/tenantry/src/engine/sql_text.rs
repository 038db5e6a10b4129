//! How a lease has to treat a text, whatever engine has read it.
//!
//! The wall is the database (on SQLite the authorizer); the reading only chooses the way a text is run, and turns the
//! most likely mistakes into an error that names the call to use instead. When it is unsure it takes the careful way.

/// How a text has to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SqlText {
    /// It cannot change anything: it may run outside of a transaction.
    pub(crate) reads_only: bool,
    /// Its result may change shape when the schema does, so its prepared form must not be kept.
    pub(crate) shape_follows_schema: bool,
    /// It may leave something on the connection that outlives its transaction.
    pub(crate) leaves_state: bool,
    /// It may leave something there that no reset takes back.
    pub(crate) outlives_reset: bool,
}

impl SqlText {
    /// Whether the driver keeps it prepared, if the app asks for that.
    pub(crate) const fn is_kept(self, persistent: bool) -> bool {
        persistent && !self.shape_follows_schema
    }

    /// Whether it has to be put between a begin and a commit.
    pub(crate) const fn needs_transaction(self) -> bool {
        !self.reads_only || self.shape_follows_schema
    }
}
