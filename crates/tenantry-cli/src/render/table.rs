//! Tables for people: plain columns, one line a row, so that `grep` and `awk` can read them too.

use comfy_table::{ContentArrangement, Table, presets};

use super::text::clean;

/// A table with a line of titles. Every cell is one line and cannot steer the terminal.
pub(crate) fn table<const N: usize>(titles: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    grid(titles.iter().map(|t| t.to_uppercase()), rows)
}

/// As [`table`], with titles as they are and any number of columns.
pub(crate) fn grid<R: IntoIterator<Item = String>>(
    titles: impl IntoIterator<Item = String>,
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(titles.into_iter().map(|t| clean(&t)));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| clean(&cell)));
    }
    flush_left(&mut table)
}

/// Names and values of one thing, one a line.
pub(crate) fn sheet(pairs: impl IntoIterator<Item = (&'static str, String)>) -> String {
    plain(pairs.into_iter().map(|(name, value)| [name.to_owned(), value]))
}

/// Rows without titles.
pub(crate) fn plain<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(row.map(|cell| clean(&cell)));
    }
    flush_left(&mut table)
}

fn flush_left(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// `1 tenant`, `2 tenants`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_cannot_forge_a_row() {
        let text = table(["key", "why"], [["acme".into(), "bad\nforged  row".into()]]);
        assert_eq!(text, "KEY   WHY\nacme  bad\\nforged  row");
    }
}
