//! The paths in a text that lead to another place of the crate.

use crate::tokens::{Token, tokens, without_tests};

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
            // A path that stays within its own file's module is `home`'s.
            let target = resolve(&leaf.path, &here).into_iter().next().unwrap_or_else(|| "crate".into());
            found.push(Import { line: leaf.line, path: leaf.path.join("::"), target });
        }
    }
    found
}

/// Every path of a text that may lead to another file, from the crate's root on: in `use`, and in the middle of code. What
/// another crate has, or a `use` has brought, comes as if it were below `home`, where no file of that name is.
pub(crate) fn paths(text: &str, home: &[String]) -> Vec<Vec<String>> {
    let tokens = without_tests(tokens(text));
    let (mut found, mut inline, mut at) = (Vec::new(), InlineModules::default(), 0);
    while at < tokens.len() {
        inline.see(&tokens, at);
        let start = if tokens[at].text == "use" { at + 1 } else { at };
        let is_path = start > at || (tokens[at].is_name() && !follows_path(&tokens, at) && leads_on(&tokens, at));
        let mut leaves = Vec::new();
        let end = if is_path { tree(&tokens, start, &[], &mut leaves) } else { at };
        let here: Vec<String> = home.iter().chain(inline.names()).cloned().collect();
        found.extend(leaves.iter().map(|leaf| resolve(&leaf.path, &here)));
        at = end.max(at + 1);
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

/// A path from the crate's root on.
fn resolve(path: &[String], here: &[String]) -> Vec<String> {
    let mut base = if path.first().is_some_and(|first| first == "crate") { Vec::new() } else { here.to_vec() };
    for part in path {
        match part.as_str() {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            name => base.push(name.into()),
        }
    }
    base
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
