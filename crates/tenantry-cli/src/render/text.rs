//! Text of others on a terminal: it can neither steer the terminal nor forge a line.

/// The text in one line, with every character that a terminal does not simply show written as an escape.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            c if is_treacherous(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    clean
}

/// As [`clean`], but a text of several lines stays one: each further line is indented, so that it cannot pass for ours.
pub(crate) fn clean_lines(text: &str, indent: &str) -> String {
    let lines: Vec<_> = text.trim_end().split('\n').map(|line| clean(line.trim_end_matches('\r'))).collect();
    lines.join(&format!("\n{indent}"))
}

/// Controls, and characters that hide, or turn the direction of what stands around them.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_the_terminal_or_begins_a_line() {
        assert_eq!(clean("a\x1b[31mb\r\nc\u{202e}d\u{9b}e\x7f"), "a\\u{1b}[31mb\\r\\nc\\u{202e}d\\u{9b}e\\u{7f}");
        assert_eq!(clean("Grüße, 世界 'x'"), "Grüße, 世界 'x'");
        assert_eq!(clean_lines("one\nerror: forged\r\n", "      "), "one\n      error: forged");
    }
}
