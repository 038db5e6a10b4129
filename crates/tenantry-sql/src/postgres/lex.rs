//! PostgreSQL's words and marks with their exact places, as its own scanner reads them (server 15 and newer,
//! `standard_conforming_strings` on). Comments and white space are passed over.

use std::{borrow::Cow, fmt};

use super::MAX_NAME_BYTES;

/// One word, text or mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: Kind,
    /// As it is written, with its quotes.
    pub text: &'a str,
    /// The byte at which it starts.
    pub start: usize,
    /// How many parentheses and brackets are open around it; one of these itself counts as outside.
    pub depth: usize,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name without quotes, or a keyword.
    Word,
    /// `"..."` and `U&"..."`.
    Quoted,
    /// `'...'` with any prefix, and `$tag$...$tag$`.
    Text,
    /// `1`, `1.5e3`, `0x1F`
    Number,
    /// `$1`
    Parameter,
    /// One character of an operator or of the punctuation.
    Mark,
}

impl<'a> Token<'a> {
    /// The byte behind it.
    pub const fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this keyword.
    pub fn is(&self, keyword: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// Whether it is one of these keywords.
    #[must_use]
    pub fn is_any(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(keyword))
    }

    /// A word or a quoted name.
    #[must_use]
    pub fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted)
    }

    /// `U&"..."`
    pub fn is_escaped_name(&self) -> bool {
        self.kind == Kind::Quoted && !self.text.starts_with('"')
    }

    /// Whether it is this mark, one character of it.
    #[must_use]
    pub fn is_mark(&self, mark: &str) -> bool {
        self.kind == Kind::Mark && self.text == mark
    }

    /// The name as the server keeps it, cut to 63 bytes; `None` for what is no name, and for `U&"..."`, whose escapes are
    /// not read.
    pub fn name(&self) -> Option<Cow<'a, str>> {
        let name = match self.kind {
            Kind::Word if self.text.bytes().any(|b| b.is_ascii_uppercase()) => self.text.to_ascii_lowercase().into(),
            Kind::Word => Cow::Borrowed(self.text),
            Kind::Quoted => {
                let inside = self.text.strip_prefix('"')?.strip_suffix('"')?;
                if inside.contains('"') { inside.replace("\"\"", "\"").into() } else { inside.into() }
            }
            _ => return None,
        };
        let kept = name.floor_char_boundary(MAX_NAME_BYTES);
        Some(if kept == name.len() { name } else { name[..kept].to_owned().into() })
    }
}

/// A comment, text or name that is not closed, or a NUL byte: the server would not read the text either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unterminated {
    /// What it is, with its article.
    pub what: &'static str,
    /// The byte at which it starts.
    pub start: usize,
}

impl fmt::Display for Unterminated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.start)
    }
}

impl std::error::Error for Unterminated {}

/// All tokens of a text.
#[cfg(test)]
pub(crate) fn lex(sql: &str) -> Result<Vec<Token<'_>>, Unterminated> {
    Lexer::new(sql).collect()
}

/// The tokens of a text, one by one; nothing comes after an error.
pub struct Lexer<'a> {
    sql: &'a str,
    at: usize,
    depth: usize,
    /// The first NUL byte, or the end: on its way to the server the text ends here.
    nul: usize,
}

impl<'a> Lexer<'a> {
    /// From the text's beginning.
    #[must_use]
    pub fn new(sql: &'a str) -> Self {
        Self { sql, at: 0, depth: 0, nul: sql.find('\0').unwrap_or(sql.len()) }
    }

    /// The byte so far ahead of the current place; 0 behind the end (a NUL inside of the text is an error before).
    fn peek(&self, ahead: usize) -> u8 {
        self.sql.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn starts_with(&self, what: &str) -> bool {
        self.sql.as_bytes()[self.at..].starts_with(what.as_bytes())
    }

    fn pass_over(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.at < self.sql.len() && wanted(self.peek(0)) {
            self.at += 1;
        }
    }

    /// Passes over white space and comments.
    fn skip_gap(&mut self) -> Result<(), Unterminated> {
        loop {
            self.pass_over(is_space);
            if self.starts_with("--") {
                self.pass_over(|b| !is_newline(b));
            } else if self.starts_with("/*") {
                self.skip_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), Unterminated> {
        let (start, mut open) = (self.at, 0usize);
        while self.at < self.sql.len() {
            if self.starts_with("/*") {
                open += 1;
                self.at += 2;
            } else if self.starts_with("*/") {
                open -= 1;
                self.at += 2;
                if open == 0 {
                    return Ok(());
                }
            } else {
                self.at += 1;
            }
        }
        Err(Unterminated { what: "a comment without an end", start })
    }

    fn token(&mut self) -> Result<Option<Token<'a>>, Unterminated> {
        self.skip_gap()?;
        let start = self.at;
        let kind = if start < self.sql.len() { Some(self.read()?) } else { None };
        if self.nul < self.at {
            return Err(Unterminated { what: "a NUL byte", start: self.nul });
        }
        let Some(kind) = kind else { return Ok(None) };
        let text = &self.sql[start..self.at];
        if kind == Kind::Mark && matches!(text, ")" | "]") {
            self.depth = self.depth.saturating_sub(1);
        }
        let token = Token { kind, text, start, depth: self.depth };
        if kind == Kind::Mark && matches!(text, "(" | "[") {
            self.depth += 1;
        }
        Ok(Some(token))
    }

    fn read(&mut self) -> Result<Kind, Unterminated> {
        let (first, second) = (self.peek(0), self.peek(1));
        match first {
            b'\'' => self.text(0, false),
            b'e' | b'E' if second == b'\'' => self.text(1, true),
            b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if second == b'\'' => self.text(1, false),
            b'u' | b'U' if second == b'&' && self.peek(2) == b'\'' => self.text(2, false),
            b'u' | b'U' if second == b'&' && self.peek(2) == b'"' => self.quoted(2),
            b'"' => self.quoted(0),
            b'$' if second.is_ascii_digit() => {
                self.at += 1;
                self.pass_over(|b| b.is_ascii_digit());
                Ok(Kind::Parameter)
            }
            b'$' => self.dollar(),
            b'0'..=b'9' => Ok(self.number()),
            // Behind another one it is the end of a range: `1..2`.
            b'.' if second.is_ascii_digit() && !self.sql[..self.at].ends_with('.') => Ok(self.number()),
            b if starts_name(b) => {
                self.pass_over(|b| goes_on_in_tag(b) || b == b'$');
                Ok(Kind::Word)
            }
            _ => {
                self.at += 1;
                Ok(Kind::Mark)
            }
        }
    }

    /// A text in single quotes, with all of its continuations: `'a'`, a line break, `'b'` is one text.
    fn text(&mut self, prefix: usize, escapes: bool) -> Result<Kind, Unterminated> {
        let start = self.at;
        self.at += prefix;
        loop {
            self.at += 1;
            self.pass_over(|b| b != b'\'' && (b != b'\\' || !escapes));
            match self.peek(0) {
                b'\\' if self.at + 1 < self.sql.len() => self.at += 1,
                b'\'' if self.peek(1) == b'\'' => self.at += 1,
                b'\'' => match self.continuation() {
                    Some(quote) => self.at = quote,
                    None => {
                        self.at += 1;
                        return Ok(Kind::Text);
                    }
                },
                _ => return Err(Unterminated { what: "a text without its closing quote", start }),
            }
        }
    }

    /// The opening quote of the text's next part, if one stands on a later line with nothing but `--` comments between.
    fn continuation(&self) -> Option<usize> {
        let mut ahead = Self { at: self.at + 1, ..*self };
        loop {
            ahead.pass_over(is_space);
            if !ahead.starts_with("--") {
                break;
            }
            ahead.pass_over(|b| !is_newline(b));
        }
        let lines = self.sql.as_bytes()[self.at..ahead.at].iter().any(|b| is_newline(*b));
        (lines && ahead.peek(0) == b'\'').then_some(ahead.at)
    }

    fn quoted(&mut self, prefix: usize) -> Result<Kind, Unterminated> {
        let start = self.at;
        self.at += prefix;
        loop {
            self.at += 1;
            self.pass_over(|b| b != b'"');
            if self.at >= self.sql.len() {
                return Err(Unterminated { what: "a quoted name without its closing quote", start });
            }
            self.at += 1;
            if self.peek(0) != b'"' {
                return Ok(Kind::Quoted);
            }
        }
    }

    /// `$tag$...$tag$`; a dollar that opens no tag is a mark.
    fn dollar(&mut self) -> Result<Kind, Unterminated> {
        let start = self.at;
        self.at += 1;
        let after_dollar = self.at;
        if starts_name(self.peek(0)) {
            self.pass_over(goes_on_in_tag);
        }
        if self.peek(0) != b'$' {
            self.at = after_dollar;
            return Ok(Kind::Mark);
        }
        self.at += 1;
        let tag = &self.sql[start..self.at];
        let Some(length) = self.sql[self.at..].find(tag) else {
            return Err(Unterminated { what: "a dollar-quoted text without its end", start });
        };
        self.at += length + tag.len();
        Ok(Kind::Text)
    }

    /// `1`, `1.5`, `.5`, `1.e5`, `0xFF`, `1_000`; letters glued to it, which the server refuses, belong to it.
    fn number(&mut self) -> Kind {
        let digits = |b: u8| b.is_ascii_digit() || b == b'_';
        self.pass_over(digits);
        if self.peek(0) == b'.' && self.peek(1) != b'.' {
            self.at += 1;
            self.pass_over(digits);
        }
        let signed = matches!(self.peek(0), b'e' | b'E') && matches!(self.peek(1), b'+' | b'-');
        if signed && self.peek(2).is_ascii_digit() {
            self.at += 2;
        }
        self.pass_over(goes_on_in_tag);
        Kind::Number
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Result<Token<'a>, Unterminated>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.token();
        if read.is_err() {
            self.at = self.sql.len();
        }
        read.transpose()
    }
}

const fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

const fn is_newline(b: u8) -> bool {
    matches!(b, b'\n' | b'\r')
}

/// Every byte of a character beyond ASCII belongs to names, even that of a space.
const fn starts_name(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

const fn goes_on_in_tag(b: u8) -> bool {
    starts_name(b) || b.is_ascii_digit()
}

#[cfg(test)]
mod tests;
