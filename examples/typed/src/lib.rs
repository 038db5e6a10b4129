//! A library's books and loans, in queries that sqlx's macros check when the app is compiled.
//!
//! What the queries mean is in `.sqlx`, so that nobody needs a database to compile this. `docs/postgres.md` says how to make
//! it anew after a change.

use tenantry::{TenantDb, TenantTx};

/// How a book looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "condition", rename_all = "lowercase")]
pub enum Condition {
    /// As from the shop.
    New,
    /// Read by many.
    Worn,
}

/// A book as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Its number.
    pub id: i64,
    /// What stands on its cover.
    pub title: String,
    /// What stands below, if anything does.
    pub subtitle: Option<String>,
    /// How many pages, if somebody has counted.
    pub pages: Option<i32>,
    /// How it looks.
    pub condition: Condition,
}

/// Adds a book and gives its number.
///
/// # Errors
/// If there is one of that title.
pub async fn book_add(db: &TenantDb, title: &str, subtitle: Option<&str>, pages: Option<i32>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "INSERT INTO books (title, subtitle, pages) VALUES ($1, $2, $3) RETURNING id",
        title,
        subtitle,
        pages
    )
    .fetch_one(db.postgres()?)
    .await
}

/// All books.
///
/// # Errors
/// Those of the database.
pub async fn books(db: &TenantDb) -> sqlx::Result<Vec<Book>> {
    sqlx::query_as!(
        Book,
        r#"SELECT id, title, subtitle, pages, condition AS "condition: Condition" FROM books ORDER BY id"#
    )
    .fetch_all(db.postgres()?)
    .await
}

/// Who reads a book now, if anybody does: `?` says that the outer join makes a column null that never is in its table.
///
/// # Errors
/// If there is no such book.
pub async fn reader_of(db: &TenantDb, title: &str) -> sqlx::Result<Option<String>> {
    let row = sqlx::query!(
        r#"SELECT books.id, loans.reader AS "reader?"
             FROM books LEFT JOIN loans ON loans.book_id = books.id WHERE title = $1"#,
        title
    )
    .fetch_one(db.postgres()?)
    .await?;
    Ok(row.reader)
}

/// How many loans there are: what is computed may be null as far as anybody knows, and `!` says that it is not.
///
/// # Errors
/// Those of the database.
pub async fn loans(tx: &mut TenantTx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM loans"#).fetch_one(tx.postgres()?).await
}

/// Lends a book that nobody has, and says how it looked.
///
/// # Errors
/// If there is no such book.
pub async fn lend(tx: &mut TenantTx, title: &str, reader: &str, condition: Condition) -> sqlx::Result<Book> {
    let book = sqlx::query_as!(
        Book,
        r#"UPDATE books SET condition = $2 WHERE title = $1
           RETURNING id, title, subtitle, pages, condition AS "condition: Condition""#,
        title,
        condition as Condition
    )
    .fetch_one(tx.postgres()?)
    .await?;
    sqlx::query!("INSERT INTO loans (book_id, reader) VALUES ($1, $2)", book.id, reader)
        .execute(tx.postgres()?)
        .await?;
    Ok(book)
}

/// The name of a language, from the shared tables.
///
/// # Errors
/// Those of the database.
pub async fn language(db: &TenantDb, code: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("SELECT name FROM languages WHERE code = $1", code).fetch_optional(db.postgres()?).await
}
