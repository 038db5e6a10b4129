//! The picture: a bar a system, and how much of its own untenanted twin that is.

use std::fmt::Write;

use super::{Row, table};

const WIDTH: f64 = 860.0;
const TOP: f64 = 84.0;
const LINE: f64 = 30.0;
const BOTTOM: f64 = 40.0;
/// Where names end, bars of requests/s begin, and those of ratios; room for a number stands behind the longest bar.
const NAMES: f64 = 330.0;
const RATES: f64 = 342.0;
const LONGEST_RATE: f64 = 230.0;
const RATIOS: f64 = 660.0;
const LONGEST_RATIO: f64 = 130.0;

const RATIO: &str = "of its untenanted twin";

const STYLE: &str = "<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 16px }
.quiet { fill: #59636e; font-size: 12px }
.ground { fill: #ffffff; stroke: #d1d9e0 }
.ours { fill: #1a7f64 }
.other { fill: #8c96a3 }
.whole { fill: #eaeef2 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .quiet { fill: #9198a1 }
  .ground { fill: #0d1117; stroke: #3d444d }
  .ours { fill: #3fb68f }
  .other { fill: #6e7681 }
  .whole { fill: #21262d }
}
</style>
";

/// The fastest first; rows without valid figures are left out.
pub(super) fn svg(rows: &[Row], note: &str) -> String {
    let mut rows: Vec<&Row> = rows.iter().filter(|row| row.fault.is_none()).collect();
    rows.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    let fastest = rows.first().map_or(1.0, |row| row.rate.max(1.0));
    #[expect(clippy::cast_precision_loss, reason = "some rows")]
    let height = TOP + LINE * rows.len() as f64 + BOTTOM;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>Requests per second of each system, and their ratio to the same app without tenants</title>\n{STYLE}"
    );
    let (inner, bottom) = (WIDTH - 1.0, height - 1.0);
    let _ =
        writeln!(text, "<rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{inner}\" height=\"{bottom}\" rx=\"8\"/>");
    label(&mut text, "title", "start", (24.0, 34.0), "Reading 20 users of a tenant");
    label(&mut text, "quiet", "start", (RATES, 66.0), "requests/s");
    label(&mut text, "quiet", "start", (RATIOS, 66.0), RATIO);
    let mut y = TOP;
    for row in rows {
        bars(&mut text, row, y, fastest);
        y += LINE;
    }
    label(&mut text, "quiet", "start", (24.0, y + 20.0), note);
    text.push_str("</svg>\n");
    text
}

fn bars(text: &mut String, row: &Row, y: f64, fastest: f64) {
    let class = if row.is_ours { "ours" } else { "other" };
    let base = y + 14.0;
    label(text, "", "end", (NAMES, base), row.title);
    let length = row.rate / fastest * LONGEST_RATE;
    bar(text, class, (RATES, y), length);
    label(text, "", "start", (RATES + length + 8.0, base), &table::thousands(table::rounded(row.rate)));
    if let Some(ratio) = row.ratio {
        bar(text, "whole", (RATIOS, y), LONGEST_RATIO);
        bar(text, class, (RATIOS, y), ratio.min(1.0) * LONGEST_RATIO);
        label(text, "", "start", (RATIOS + LONGEST_RATIO + 8.0, base), &format!("{ratio:.2}"));
    }
}

fn bar(text: &mut String, class: &str, (x, y): (f64, f64), length: f64) {
    let _ =
        writeln!(text, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"19\" rx=\"2\"/>");
}

fn label(text: &mut String, class: &str, anchor: &str, (x, y): (f64, f64), words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(text, "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems;

    /// Wider than any letter of the font is on average.
    const LETTER: f64 = 7.4;

    fn row(title: &'static str, rate: f64, ratio: Option<f64>) -> Row {
        Row { title, rate, ratio, ..Row::default() }
    }

    #[test]
    fn the_fastest_stands_first_and_has_the_longest_bar() {
        let svg = svg(&[row("slow", 100.0, None), row("fast", 200.0, Some(0.5))], "note");
        assert!(svg.find(">fast<").unwrap() < svg.find(">slow<").unwrap());
        assert!(svg.contains("width=\"230.0\"") && svg.contains("width=\"115.0\""), "{svg}");
        assert!(svg.contains(">0.50<") && svg.contains(">note<"));
    }

    #[test]
    fn an_invalid_row_is_not_drawn() {
        let invalid = Row { fault: Some("1 requests failed".into()), ..row("broken", 900.0, None) };
        assert!(!svg(&[invalid, row("fine", 100.0, None)], "").contains("broken"));
    }

    #[test]
    fn the_longest_texts_stay_in_their_columns() {
        let width = |letters: usize| f64::from(u32::try_from(letters).unwrap()) * LETTER;
        let longest = systems::ALL.iter().map(|system| system.title.len()).max().unwrap();
        assert!(width(longest) < NAMES, "{longest} letters");
        assert!(RATES + LONGEST_RATE + 8.0 + width("999,999".len()) < RATIOS);
        assert!(RATIOS + LONGEST_RATIO + 8.0 + width("1.00".len()) < WIDTH);
        assert!(RATIOS + width(RATIO.len()) < WIDTH - 24.0);
    }
}
