//! Any text keeps the promises of `tests/properties/promises.rs`.
#![no_main]

#[path = "../../tests/properties/promises.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(|text: &str| promises::keep(text));
