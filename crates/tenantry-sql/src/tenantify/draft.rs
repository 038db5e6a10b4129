//! The edits and notes of one file.

use std::ops::Range;

use super::Note;

/// A file being rewritten. Places are bytes of the author's text.
pub(super) struct Draft<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a str,
    /// An earlier file: it is read for what it makes, and nothing of it is changed.
    pub(super) earlier: bool,
    edits: Vec<(Range<usize>, String)>,
    notes: Vec<Note>,
}

impl<'a> Draft<'a> {
    pub(super) const fn new(file: &'a str, text: &'a str, earlier: bool) -> Self {
        Self { text, file, earlier, edits: Vec::new(), notes: Vec::new() }
    }

    pub(super) fn insert(&mut self, at: usize, what: impl Into<String>) {
        self.replace(at..at, what);
    }

    pub(super) fn replace(&mut self, range: Range<usize>, what: impl Into<String>) {
        let mut what = what.into();
        if self.text.contains("\r\n") {
            what = what.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        self.edits.push((range, what));
    }

    pub(super) fn note(&mut self, at: usize, what: impl Into<String>) {
        let line = 1 + self.text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count();
        self.notes.push(Note { line, what: what.into() });
    }

    /// The white space before `at` if it is all there is on its line.
    pub(super) fn indent(&self, at: usize) -> Option<&'a str> {
        let line = &self.text[self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)..at];
        line.trim().is_empty().then_some(line)
    }

    pub(super) fn finish(self) -> (String, Vec<Note>) {
        let Self { text, edits, mut notes, .. } = self;
        notes.sort_by_key(|note| note.line);
        notes.dedup();
        (edited(text, 0..text.len(), edits), notes)
    }
}

/// A part of a text with edits made in it; those at one place stay in their order.
pub(super) fn edited(text: &str, part: Range<usize>, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| range.start);
    let (mut result, mut at) = (String::new(), part.start);
    for (range, what) in edits {
        // Two edits of one place come from a text that the server would not read either.
        if range.start < at {
            continue;
        }
        result.push_str(&text[at..range.start]);
        result.push_str(&what);
        at = range.end;
    }
    result.push_str(&text[at..part.end]);
    result
}
