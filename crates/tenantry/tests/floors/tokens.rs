//! A text as tokens: no more of the language than it takes to see where a comment or a string ends.

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Token {
    pub(crate) fn is_name(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// Names, `::` and single signs, without comments, strings and character literals.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    pieces(text, |piece, is_skipped| {
        let is_kept = !is_skipped && !piece.starts_with(char::is_whitespace);
        is_kept.then(|| piece.trim_start_matches("r#").into())
    })
}

/// The same without its modules of tests, also where they are not at the end.
pub(crate) fn without_tests(mut tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 8] = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let is_mark = |at: &[Token]| at.iter().map(|token| token.text.as_str()).eq(MARK);
    while let Some(start) = tokens.windows(MARK.len()).position(is_mark) {
        let end = start + MARK.len() + module_length(&tokens[start + MARK.len()..]);
        tokens.drain(start..end);
    }
    tokens
}

/// The length of `name;` or `name { ... }`.
fn module_length(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(token.text.as_str(), ";" | "}") {
            return at + 1;
        }
    }
    tokens.len()
}

/// What stands in strings and character literals.
pub(crate) fn literals(text: &str) -> Vec<Token> {
    pieces(text, |piece, is_skipped| {
        let is_comment = piece.starts_with("//") || piece.starts_with("/*");
        (is_skipped && !is_comment).then(|| {
            let body = piece.trim_start_matches(['b', 'c', 'r']).trim_matches('#');
            body.trim_matches(['"', '\'']).into()
        })
    })
}

/// Goes through a text by tokens, and by the comments and literals that are skipped for tokens.
fn pieces(text: &str, take: impl Fn(&str, bool) -> Option<String>) -> Vec<Token> {
    let mut rest = text;
    let mut line = 1;
    let mut taken = Vec::new();
    while !rest.is_empty() {
        let skipped = skipped(rest);
        let length = skipped.unwrap_or_else(|| token_length(rest));
        let (piece, after) = rest.split_at(length.min(rest.len()));
        taken.extend(take(piece, skipped.is_some()).map(|text| Token { line, text }));
        line += piece.matches('\n').count();
        rest = after;
    }
    taken
}

fn token_length(rest: &str) -> usize {
    if rest.starts_with("::") {
        return 2;
    }
    let raw = if rest.starts_with("r#") { 2 } else { 0 };
    let name = rest[raw..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len() - raw);
    if name > 0 { raw + name } else { rest.chars().next().map_or(1, char::len_utf8) }
}

/// The length of the comment or literal that starts here.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    raw_string(rest).or_else(|| string(rest)).or_else(|| character(rest))
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let step = &rest.as_bytes()[at..];
        match step {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let start = ["r", "br", "cr"].into_iter().find_map(|p| rest.strip_prefix(p))?;
    let inner = start.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(start.len() - inner.len()));
    let body = inner.strip_prefix('"')?;
    let close = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(rest.len() - body.len() + close)
}

fn string(rest: &str) -> Option<usize> {
    let body = ["\"", "b\"", "c\""].into_iter().find_map(|p| rest.strip_prefix(p))?;
    let mut escaped = false;
    let close = body.find(|c| match c {
        _ if escaped => {
            escaped = false;
            false
        }
        '\\' => {
            escaped = true;
            false
        }
        c => c == '"',
    });
    Some(rest.len() - body.len() + close.map_or(body.len(), |at| at + 1))
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'').or_else(|| rest.strip_prefix("b'"))?;
    let first = body.chars().next()?;
    let content = if first == '\\' { 1 + body[1..].chars().next()?.len_utf8() } else { first.len_utf8() };
    let close = if first == '\\' { content + body[content..].find('\'')? } else { content };
    body[close..].starts_with('\'').then(|| rest.len() - body.len() + close + 1)
}
