//! Statements typed at a terminal.

use std::io::{BufRead, Write};

use tenantry::TenantDb;

use super::run_and_show;
use crate::{
    context::Context,
    failure::{Failure, Result},
    render::{self, error},
};

/// Reads and runs statements until the end of the input. One that fails is told of, and the next is read.
pub(super) async fn run(context: &Context, db: &TenantDb) -> Result<()> {
    let key = db.tenant().key.to_string();
    render::note(&format!("as tenant `{key}`; a statement ends with `;`, Ctrl-D ends the session"));
    let mut typed = String::new();
    loop {
        let prompt = if typed.is_empty() { format!("{key}> ") } else { format!("{}-> ", " ".repeat(key.len() - 1)) };
        let line = tokio::task::spawn_blocking(move || ask(&prompt))
            .await
            .map_err(|e| Failure::new("reading was cut off").caused_by(e))?
            .map_err(|e| Failure::new("stdin cannot be read").code("io").caused_by(e))?;
        let Some(line) = line else { return Ok(()) };
        typed.push_str(&line);
        if typed.trim().is_empty() {
            typed.clear();
        } else if is_complete(&typed) {
            if let Err(failure) = run_and_show(context, db, &typed).await {
                error::report(context, &failure);
            }
            typed.clear();
        }
    }
}

fn ask(prompt: &str) -> std::io::Result<Option<String>> {
    // Not locked while it waits: Ctrl-C has something to say too.
    write!(std::io::stderr(), "{prompt}")?;
    std::io::stderr().flush()?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        writeln!(std::io::stderr())?;
        return Ok(None);
    }
    Ok(Some(line))
}

/// Whether the text ends with a `;` that stands neither in a string, a quoted name nor a comment.
fn is_complete(text: &str) -> bool {
    let mut rest = text;
    let mut complete = false;
    while let Some(first) = rest.chars().next() {
        let dollar = dollar_quote(rest);
        let (open, end) = match first {
            '\'' | '"' | '`' => (1, &rest[..1]),
            '[' => (1, "]"),
            '$' if dollar.is_some() => (dollar.unwrap_or_default().len(), dollar.unwrap_or_default()),
            '-' if rest.starts_with("--") => (2, "\n"),
            '/' if rest.starts_with("/*") => (2, "*/"),
            c => {
                complete = if c.is_whitespace() { complete } else { c == ';' };
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        let is_comment = matches!(end, "\n" | "*/");
        complete &= is_comment;
        match rest[open..].find(end) {
            Some(at) => rest = &rest[open + at + end.len()..],
            // A comment to the end of the text ends with it; a string does not.
            None => return complete && end == "\n",
        }
    }
    complete
}

/// The `$$` or `$name$` that a text begins with: on PostgreSQL it is a string up to the same again.
fn dollar_quote(text: &str) -> Option<&str> {
    let end = text.strip_prefix('$')?.find('$')? + 2;
    let name = &text[1..end - 1];
    let is_name =
        !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c == '_' || c.is_alphanumeric());
    is_name.then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn a_statement_is_complete_at_a_semicolon_outside_of_strings_and_comments() {
        for text in ["SELECT 1;\n", "SELECT ';' ; -- done\n", "SELECT 1; /* done */\n", "SELECT 'it''s';\n", "x; -- c"]
        {
            assert!(is_complete(text), "{text}");
        }
        for text in ["DO $$ BEGIN; END $$;\n", "SELECT $a$ ; $$ ; $a$;\n", "SELECT $1;\n", "SELECT '$$';\n"] {
            assert!(is_complete(text), "{text}");
        }
        for text in ["DO $$ BEGIN;\n", "SELECT $a$ ; $$;\n"] {
            assert!(!is_complete(text), "{text}");
        }
        for text in ["SELECT 1\n", "SELECT ';\n", "SELECT 1 -- ;\n", "SELECT 1; /* ;\n", "SELECT \"a;\n", "; SELECT 1"]
        {
            assert!(!is_complete(text), "{text}");
        }
    }
}
