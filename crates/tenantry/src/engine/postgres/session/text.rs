//! What is known of the texts that apps send: each distinct one is read once.

use std::{
    collections::HashMap,
    sync::{LazyLock, PoisonError, RwLock},
};

use tenantry_sql::postgres::text::{PgText, read};

use crate::error::Result;

/// Longer texts are rarely sent twice, and would fill the memory.
const LONGEST_KEPT: usize = 16 * 1024;
const MOST_KEPT: usize = 4096;

static SEEN: LazyLock<RwLock<HashMap<Box<str>, PgText>>> = LazyLock::new(RwLock::default);

/// [`read`], once for each distinct text. It is asked for every statement of every request.
pub(crate) fn cached(sql: &str) -> Result<PgText> {
    if sql.len() > LONGEST_KEPT {
        return Ok(read(sql)?);
    }
    if let Some(seen) = SEEN.read().unwrap_or_else(PoisonError::into_inner).get(sql) {
        return Ok(*seen);
    }
    let text = read(sql)?;
    let mut seen = SEEN.write().unwrap_or_else(PoisonError::into_inner);
    if seen.len() >= MOST_KEPT {
        seen.clear();
    }
    seen.insert(sql.into(), text);
    Ok(text)
}

/// A text that reads by its words calls a function that writes: from now on it is run as what it is.
pub(crate) fn learn_that_it_writes(sql: &str) {
    if let Some(seen) = SEEN.write().unwrap_or_else(PoisonError::into_inner).get_mut(sql) {
        seen.reads_only = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_seen_before_is_judged_the_same() {
        let judged = |sql: &str| cached(sql).map(|text| (text.reads_only, text.plain)).expect("it is plain");
        for _ in 0..2 {
            assert_eq!(judged("SELECT a_text_seen_before()"), (false, true));
            assert!(cached("COMMIT").is_err());
        }
        for n in 0..=MOST_KEPT {
            assert_eq!(judged(&format!("SELECT {n}")), (true, true));
        }
        assert!(SEEN.read().expect("nobody panicked").len() <= MOST_KEPT);
        let long = format!("SELECT '{}'", "x".repeat(LONGEST_KEPT));
        assert_eq!(judged(&long), (true, true));
        assert!(!SEEN.read().expect("nobody panicked").contains_key(long.as_str()));
    }
}
