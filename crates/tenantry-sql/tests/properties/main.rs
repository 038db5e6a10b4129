//! Property tests of all readers at once, over texts that are made to be misread.
#![cfg(feature = "tenantify")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod promises;

use proptest::prelude::*;

/// Pieces that the scanners treat specially, and words that the readers know.
const PIECES: &[&str] = &[
    "'",
    "\"",
    "\\",
    "$",
    "$a$",
    "$$",
    "--",
    "/*",
    "*/",
    "\n",
    "\r",
    "\u{b}",
    " ",
    " ",
    " ",
    "E'",
    "U&\"",
    "B'",
    "N'",
    ";",
    ";",
    "(",
    ")",
    "[",
    "]",
    "{",
    "1",
    ".",
    ",",
    "e",
    "é",
    "\u{a0}",
    "\u{feff}",
    "`",
    "@x",
    ":y",
    "#",
    "?",
    "*",
    "=",
    "::",
    "a",
    "b ",
    "select ",
    "with ",
    "as ",
    "into ",
    "copy ",
    "to stdout",
    "from stdin",
    "begin ",
    "atomic ",
    "end ",
    "case ",
    "commit",
    "create ",
    "or replace ",
    "function ",
    "procedure ",
    "table ",
    "index on ",
    "users ",
    "alter ",
    "primary key ",
    "unique ",
    "references ",
    "check ",
    "set ",
    "local ",
    "reset ",
    "explain ",
    "analyze ",
    "insert ",
    "values ",
    "returning ",
    "security definer ",
    "language sql ",
    "return ",
    "declare ",
    "prepare ",
    "execute ",
    "lock ",
    "listen ",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// More by `PROPTEST_CASES`, as `cargo xtask soak` sets it.
    #[test]
    fn any_pieces_keep_the_promises(sql in text()) {
        promises::keep(&sql);
    }

    #[test]
    fn any_text_keeps_the_promises(sql in "\\PC{0,120}") {
        promises::keep(&sql);
    }

    #[test]
    fn any_bytes_that_are_a_text_keep_the_promises(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        promises::keep(&String::from_utf8_lossy(&bytes));
    }
}
