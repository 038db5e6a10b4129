//! [`Attack`]: what a canary tenant tries against another, and how a wall answers it.

use crate::{
    error::{Error, ErrorKind},
    ident::Ident,
};

/// Tables of the canaries: `parent (id, secret)` and `child (id, parent_id)`, whose rows go with their parent.
#[derive(Clone, Debug)]
pub(crate) struct CanaryTables {
    pub(crate) parent: Ident,
    pub(crate) child: Ident,
}

/// What one canary tenant tries against another.
pub(crate) struct Attacks {
    /// Texts that must all be refused.
    pub(crate) refused: Vec<Attack>,
    /// What is tried on the victim's rows, where there are tables for it.
    pub(crate) trials: Option<Trials>,
    /// A query that tells whose connection it runs on: the tenant's id.
    pub(crate) whose: &'static str,
}

/// Texts, in the engine's SQL, by which it is tried whether the victim's rows show or change.
pub(crate) struct Trials {
    /// What no row of the attacker's holds.
    pub(crate) secret: String,
    /// The victim puts down the secret.
    pub(crate) plant: Vec<String>,
    /// All of a tenant's rows, each as one text.
    pub(crate) rows: String,
    /// The attacker's: they may be refused or not, and the victim's rows must neither show nor change.
    pub(crate) tried: Vec<Attack>,
    /// The secrets that a tenant sees.
    pub(crate) look: String,
    /// The one by its key, [`Trials::KEY`], which is bound.
    pub(crate) look_by_key: String,
    /// A query for the secrets that takes a while.
    pub(crate) slow: String,
    /// The victim takes its rows away.
    pub(crate) clear: Vec<String>,
}

impl Trials {
    pub(crate) const KEY: i64 = 7;
}

/// A statement that a wall has to stop. It counts as refused only if it fails as a wall refuses: a misspelled one, or
/// one that got no connection, has tried nothing.
pub(crate) struct Attack {
    pub(crate) text: String,
    codes: Vec<&'static str>,
    words: &'static [&'static str],
    /// Tried in a transaction that is rolled back: where no wall holds, looking must not change anything.
    pub(crate) is_undone: bool,
}

/// How an attack ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The statement ran to its end.
    GotThrough,
    /// A wall refused it, as expected.
    Refused,
    /// It failed for another reason.
    NotTried(Error),
}

impl Attack {
    /// Expects what every wall says: the engine's own refusal, or the server's for a lack of rights (SQLSTATE 42501,
    /// SQLITE_AUTH).
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), codes: Vec::new(), words: &[], is_undone: false }
    }

    pub(crate) fn undone(mut self) -> Self {
        self.is_undone = true;
        self
    }

    /// Expects these codes of the server besides, such as `23503` for a key that refers to another's row.
    pub(crate) fn or_codes(mut self, codes: &[&'static str]) -> Self {
        self.codes.extend(codes);
        self
    }

    /// Expects these words in the error besides, where the server has only one code for everything.
    pub(crate) const fn or_words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    pub(crate) fn outcome<T>(&self, answer: Result<T, sqlx::Error>) -> Outcome {
        let Err(error) = answer else { return Outcome::GotThrough };
        let of_server = error.as_database_error();
        let is_code = of_server.and_then(|e| e.code()).is_some_and(|code| self.codes.contains(&code.as_ref()));
        let has_words = of_server.is_some_and(|e| self.words.iter().any(|words| e.message().contains(words)));
        let error = Error::from(error);
        if is_code || has_words || error.kind() == ErrorKind::Refused {
            return Outcome::Refused;
        }
        Outcome::NotTried(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_that_fails_for_another_reason_was_not_tried() {
        let attack = Attack::new("SELECT 1");
        assert!(matches!(attack.outcome(Ok(())), Outcome::GotThrough));
        for error in [sqlx::Error::PoolTimedOut, sqlx::Error::WorkerCrashed, sqlx::Error::Protocol("x".into())] {
            assert!(matches!(attack.outcome::<()>(Err(error)), Outcome::NotTried(_)));
        }
    }

    #[tokio::test]
    async fn a_misspelled_attack_is_no_refusal_and_expected_words_are_one() {
        use sqlx::Connection;
        let mut memory = sqlx::SqliteConnection::connect(":memory:").await.unwrap();
        let text = "SELECT readfile('x')";
        let misspelled = sqlx::query("SELEKT readfile('x')").execute(&mut memory).await;
        let attack = Attack::new(text).or_words(&["no such function: readfile"]);
        assert!(matches!(attack.outcome(misspelled), Outcome::NotTried(_)));
        assert!(matches!(attack.outcome(sqlx::query(text).execute(&mut memory).await), Outcome::Refused));
        let unexpected = Attack::new(text).outcome(sqlx::query(text).execute(&mut memory).await);
        assert!(matches!(unexpected, Outcome::NotTried(_)));
    }
}
