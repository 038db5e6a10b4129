//! Going through the tokens of one statement.

use std::borrow::Cow;

use crate::postgres::lex::Token;

/// A place in a list of tokens.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
}

/// What stands in a pair of parentheses.
#[derive(Clone, Copy)]
pub(super) struct Group<'t, 'a> {
    pub(super) open: Token<'a>,
    pub(super) inside: &'t [Token<'a>],
    pub(super) close: Token<'a>,
}

impl<'t, 'a> Group<'t, 'a> {
    /// Its parts, as commas separate them.
    pub(super) fn items(&self) -> Vec<&'t [Token<'a>]> {
        parts(self.inside, self.open.depth + 1)
    }
}

/// A name, with its schema if that is written.
#[derive(Clone)]
pub(super) struct Name {
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Splits at the commas of a depth; empty parts are left out.
pub(super) fn parts<'t, 'a>(tokens: &'t [Token<'a>], depth: usize) -> Vec<&'t [Token<'a>]> {
    tokens.split(|token| token.is_mark(",") && token.depth == depth).filter(|part| !part.is_empty()).collect()
}

impl<'t, 'a> Cursor<'t, 'a> {
    pub(super) const fn new(tokens: &'t [Token<'a>]) -> Self {
        Self { tokens, at: 0 }
    }

    pub(super) fn rest(&self) -> &'t [Token<'a>] {
        &self.tokens[self.at.min(self.tokens.len())..]
    }

    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Whether these keywords come next.
    pub(super) fn sees(&self, keywords: &[&str]) -> bool {
        let rest = self.rest();
        rest.len() >= keywords.len() && keywords.iter().zip(rest).all(|(keyword, token)| token.is(keyword))
    }

    pub(super) fn sees_any(&self, keywords: &[&str]) -> bool {
        self.peek().is_some_and(|token| token.is_any(keywords))
    }

    pub(super) fn sees_mark(&self, mark: &str) -> bool {
        self.peek().is_some_and(|token| token.is_mark(mark))
    }

    /// Goes over these keywords if they come next.
    pub(super) fn take(&mut self, keywords: &[&str]) -> bool {
        let sees = self.sees(keywords);
        if sees {
            self.at += keywords.len();
        }
        sees
    }

    pub(super) fn take_any(&mut self, keywords: &[&str]) -> bool {
        let sees = self.sees_any(keywords);
        self.at += usize::from(sees);
        sees
    }

    /// Goes over one name without a schema.
    pub(super) fn word(&mut self) -> Option<String> {
        self.next()?.name().map(Cow::into_owned)
    }

    pub(super) fn name(&mut self) -> Option<Name> {
        let first = self.next()?;
        let mut found = Name { schema: None, name: first.name()?.into_owned(), start: first.start, end: first.end() };
        while self.sees_mark(".") {
            self.at += 1;
            let part = self.next()?;
            found = Name { schema: Some(found.name), name: part.name()?.into_owned(), end: part.end(), ..found };
        }
        Some(found)
    }

    /// Goes over a pair of parentheses if one comes next.
    pub(super) fn group(&mut self) -> Option<Group<'t, 'a>> {
        let open = self.peek().filter(|token| token.is_mark("("))?;
        let rest = self.rest();
        let length = rest.iter().skip(1).position(|token| token.is_mark(")") && token.depth == open.depth)?;
        self.at += length + 2;
        Some(Group { open, inside: &rest[1..=length], close: rest[length + 1] })
    }
}
