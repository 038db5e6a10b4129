//! The section of docs/performance.md.

use std::fmt::Write;

use super::{Report, Row};
use crate::{figures::median, rounds::Scenario};

pub(super) fn section(report: &Report) -> String {
    let mut text = preamble(report);
    for scenario in Scenario::ALL {
        let rows = report.rows(scenario);
        if !rows.is_empty() {
            let _ = write!(text, "\n### {}\n\n{}", scenario.title(), loads(&rows));
        }
    }
    let _ = write!(text, "\n### Round trips and memory\n\n{}", footprints(report));
    text
}

fn preamble(report: &Report) -> String {
    let run = &report.run;
    let mut text = format!(
        "{} tenants of 20 users, {} with 32 connections of clients and 32 to the database.\n\
         {}, with the settings as delivered but for the size.\n\
         All systems run beside each other and are loaded in turns, {} s each: medians of {}.\n\
         A ratio is that of the requests/s to those of the same app without tenants, round by round.\n\
         Every answer was checked for the right tenant, and every note for its place.\n",
        thousands(run.tenants),
        run.machine,
        run.servers,
        run.seconds,
        if run.rounds == 1 { "one round".into() } else { format!("{} rounds", run.rounds) },
    );
    if let Some((median, most)) = report.foreign() {
        let _ = writeln!(
            text,
            "Other programs had {:.0} % of the machine meanwhile, at the most {:.0} %.",
            median * 100.0,
            most * 100.0
        );
    }
    if !report.left_out.is_empty() {
        let _ = writeln!(text, "Left out: {}.", report.left_out.join(", "));
    }
    text
}

fn loads(rows: &[Row]) -> String {
    let mut text = "| system | requests/s | of its twin | p50 ms | p99 ms | CPU µs a request, app + database |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    rows.iter().for_each(|row| text.push_str(&load(row)));
    text
}

fn load(row: &Row) -> String {
    if let Some(fault) = &row.fault {
        return format!("| {} | invalid: {fault} | - | - | - | - |\n", row.title);
    }
    let ratio = row.ratio.map_or("-".into(), |ratio| format!("{ratio:.2}"));
    let (name, rate) = (row.title, thousands(rounded(row.rate)));
    let Row { p50_ms, p99_ms, app_us, database_us, .. } = row;
    format!("| {name} | {rate} | {ratio} | {p50_ms:.1} | {p99_ms:.1} | {app_us:.0} + {database_us:.0} |\n")
}

fn footprints(report: &Report) -> String {
    let mut text =
        "| system | round trips of a read | of a write | p50 of a read with 0.5 ms each way, ms | of its twin | \
                    the app's memory, MiB | its 32 connections' at the server, MiB |\n\
                    |---|---|---|---|---|---|---|\n"
            .to_owned();
    for one in &report.measured {
        let trips = |of: fn((f64, f64)) -> f64| one.trips.map_or("-".into(), |both| format!("{:.1}", of(both)));
        let (read, write) = (trips(|t| t.0), trips(|t| t.1));
        let connections = one.connections_mib.map_or("-".into(), |mib| format!("{mib:.0}"));
        let app_mib = one.app_mib;
        let far = median(one.far_p50_ms.clone()).map_or("-".into(), |ms| format!("{ms:.2}"));
        let of_twin = report.far_ratio(one).map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let title = one.system.title;
        let _ = writeln!(text, "| {title} | {read} | {write} | {far} | {of_twin} | {app_mib:.0} | {connections} |");
    }
    text
}

/// With commas.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "requests in a second")]
pub(super) fn rounded(rate: f64) -> usize {
    rate.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_everything_about_a_load() {
        let row = Row {
            title: "Flask",
            rate: 1_958.4,
            ratio: Some(0.832),
            p50_ms: 16.04,
            p99_ms: 40.0,
            app_us: 746.2,
            database_us: 147.0,
            ..Row::default()
        };
        assert_eq!(load(&row), "| Flask | 1,958 | 0.83 | 16.0 | 40.0 | 746 + 147 |\n");
    }

    #[test]
    fn an_invalid_row_has_no_figures() {
        let row = Row { title: "Flask", rate: 9_999.0, fault: Some("3 requests failed".into()), ..Row::default() };
        assert_eq!(load(&row), "| Flask | invalid: 3 requests failed | - | - | - | - |\n");
    }

    #[test]
    fn thousands_have_commas() {
        let texts = [0, 999, 1_000, 12_345, 1_234_567].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn the_section_names_the_run_its_rows_and_what_is_missing() {
        let text = section(&super::super::tests::report());
        for part in
            ["1,000 tenants", "PostgreSQL 15.18", "8 s each: medians of 3 rounds", "| 0.80 |", "Left out: Flask."]
        {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(text.lines().filter(|line| line.starts_with("###")).count() == 2, "{text}");
    }
}
