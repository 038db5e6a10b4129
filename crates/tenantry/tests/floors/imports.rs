//! The paths in a text that lead to another place of the crate.

use crate::tokens::{Token, tokens};

/// A path to another place of the crate: the module right below the root that it enters.
#[derive(Debug, PartialEq)]
pub(crate) struct Import {
    pub(crate) line: usize,
    pub(crate) path: String,
    pub(crate) target: String,
}

/// Every `crate::...` and `super::...` of a text, in `use` or in the middle of code.
pub(crate) fn imports(text: &str, home: &[String]) -> Vec<Import> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut inline = InlineModules::default();
    for (at, token) in tokens.iter().enumerate() {
        inline.see(&tokens, at);
        let starts = matches!(token.text.as_str(), "crate" | "super" | "self") && !follows_path(&tokens, at);
        if !starts || !leads_on(&tokens, at) {
            continue;
        }
        let here: Vec<String> = home.iter().chain(inline.names()).cloned().collect();
        let mut leaves = Vec::new();
        tree(&tokens, at, &[], &mut leaves);
        for leaf in leaves {
            let target = resolve(&leaf.path, &here);
            found.push(Import { line: leaf.line, path: leaf.path.join("::"), target });
        }
    }
    found
}

fn follows_path(tokens: &[Token], at: usize) -> bool {
    at > 0 && tokens[at - 1].text == "::"
}

/// `crate::x` leads on, and so does `use crate as root`; `pub(crate)` and a lone `self` do not.
fn leads_on(tokens: &[Token], at: usize) -> bool {
    let next = tokens.get(at + 1).map(|t| t.text.as_str());
    next == Some("::") || (next == Some("as") && tokens[at].text != "self")
}

/// The first module below the root; a path that stays within its own file's module is `home`'s.
fn resolve(path: &[String], here: &[String]) -> String {
    let mut base: Vec<&str> = match path.first().map(String::as_str) {
        Some("crate") => Vec::new(),
        _ => here.iter().map(String::as_str).collect(),
    };
    for part in path {
        match part.as_str() {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            name => base.push(name),
        }
    }
    base.first().map_or("crate", |name| *name).into()
}

/// Every leaf that the `use` lines of a text import.
pub(crate) fn used(text: &str) -> Vec<Leaf> {
    let tokens = tokens(text);
    let mut leaves = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.text == "use" {
            tree(&tokens, at + 1, &[], &mut leaves);
        }
    }
    leaves
}

/// One leaf of a `use` tree, or one path in code.
pub(crate) struct Leaf {
    line: usize,
    pub(crate) path: Vec<String>,
    /// What it is called where it is imported.
    pub(crate) name: String,
}

/// Reads `a::b::{c, d as e, f::*}` from `at` on and answers where it ends.
fn tree(tokens: &[Token], mut at: usize, prefix: &[String], leaves: &mut Vec<Leaf>) -> usize {
    let mut path = prefix.to_vec();
    let line = tokens.get(at).map_or(0, |t| t.line);
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            return group(tokens, at, &path, leaves);
        }
        if !token.is_name() && token.text != "*" {
            break;
        }
        path.push(token.text.clone());
        at += 1;
        if tokens.get(at).is_none_or(|t| t.text != "::") {
            break;
        }
        at += 1;
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if tokens.get(at).is_some_and(|t| t.text == "as") {
        name = tokens.get(at + 1).map_or(name, |t| t.text.clone());
        at += 2;
    }
    leaves.push(Leaf { line, path, name });
    at
}

fn group(tokens: &[Token], open: usize, path: &[String], leaves: &mut Vec<Leaf>) -> usize {
    let mut at = open + 1;
    while let Some(token) = tokens.get(at) {
        at = match token.text.as_str() {
            "}" => return at + 1,
            "," => at + 1,
            // A text that is no tree must not stop the scanner.
            _ => tree(tokens, at, path, leaves).max(at + 1),
        };
    }
    at
}

/// The `mod x { ... }` around a token: each makes one `super` more.
#[derive(Default)]
struct InlineModules {
    depth: usize,
    open: Vec<(String, usize)>,
}

impl InlineModules {
    fn see(&mut self, tokens: &[Token], at: usize) {
        match tokens[at].text.as_str() {
            "{" => {
                self.depth += 1;
                if at >= 2 && tokens[at - 2].text == "mod" {
                    self.open.push((tokens[at - 1].text.clone(), self.depth));
                }
            }
            "}" => {
                self.open.pop_if(|(_, depth)| *depth == self.depth);
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        self.open.iter().map(|(name, _)| name)
    }
}
