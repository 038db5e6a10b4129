//! How the engine's own transactions end.

use sqlx::{Executor, postgres::PgConnection};

use crate::error::Result;

/// Commits what was done, or rolls back what failed. The first failure is told: on a connection that is broken the rollback fails as well.
pub(crate) async fn end<T>(connection: &mut PgConnection, done: Result<T>) -> Result<T> {
    match done {
        Ok(value) => connection.execute("COMMIT").await.map(|_| value).map_err(Into::into),
        Err(error) => {
            drop(connection.execute("ROLLBACK").await);
            Err(error)
        }
    }
}
