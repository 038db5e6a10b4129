//! What a run comes to: a section of docs/performance.md, and a picture.

mod picture;
mod table;

use crate::{
    figures::median,
    rounds::{Measured, Sample, Scenario},
};

/// How it was measured.
pub(crate) struct Run {
    pub(crate) tenants: usize,
    pub(crate) seconds: u64,
    pub(crate) rounds: u64,
    pub(crate) servers: String,
    pub(crate) machine: String,
}

pub(crate) struct Report {
    pub(crate) measured: Vec<Measured>,
    /// What could not be measured here.
    pub(crate) left_out: Vec<String>,
    pub(crate) run: Run,
}

/// A system under one load: medians over the rounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) title: &'static str,
    pub(crate) is_ours: bool,
    pub(crate) rate: f64,
    /// Requests/s by those of its own twin in the same round.
    pub(crate) ratio: Option<f64>,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) app_us: f64,
    pub(crate) database_us: f64,
    /// Why the figures are worth nothing.
    pub(crate) fault: Option<String>,
}

const BEGIN: &str = "<!-- compare: begin -->";
const END: &str = "<!-- compare: end -->";

/// A page with the section between its two markers; everything else of it stays.
pub(crate) fn put_between_markers(page: &str, section: &str) -> crate::Result<String> {
    let missing = || format!("the page has no two lines `{BEGIN}` and `{END}`, between which the section belongs");
    let (before, rest) = page.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", section.trim_end()))
}

impl Report {
    pub(crate) fn text(&self) -> String {
        table::section(self)
    }

    pub(crate) fn picture(&self) -> String {
        let note = format!(
            "{} tenants by Zipf's law, 32 connections, {}",
            table::thousands(self.run.tenants),
            self.run.machine
        );
        picture::svg(&self.rows(Scenario::ReadZipf), &note)
    }

    fn rows(&self, scenario: Scenario) -> Vec<Row> {
        self.measured.iter().filter_map(|one| self.row(one, scenario)).collect()
    }

    fn row(&self, one: &Measured, scenario: Scenario) -> Option<Row> {
        let samples = one.samples.get(&scenario)?;
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
        Some(Row {
            title: one.system.title,
            is_ours: one.system.name.starts_with("tenantry"),
            rate: of(|s| s.rate)?,
            ratio: self.ratio(one, scenario),
            p50_ms: of(|s| s.p50_ms)?,
            p99_ms: of(|s| s.p99_ms)?,
            app_us: of(|s| s.app_us)?,
            database_us: of(|s| s.database_us)?,
            fault: one.fault(),
        })
    }

    fn twin(&self, one: &Measured) -> Option<&Measured> {
        self.measured.iter().find(|other| Some(other.system.name) == one.system.twin)
    }

    /// Of the times of a read over a slow network, round by round.
    fn far_ratio(&self, one: &Measured) -> Option<f64> {
        let twin = &self.twin(one)?.far_p50_ms;
        median(one.far_p50_ms.iter().zip(twin).map(|(one, twin)| one / twin).collect())
    }

    /// Round by round: what befalls one of the two in a round, befalls the other.
    fn ratio(&self, one: &Measured, scenario: Scenario) -> Option<f64> {
        let twin = self.twin(one)?;
        let rates = |of: &Measured| of.samples.get(&scenario).map(|all| all.iter().map(|s| s.rate).collect::<Vec<_>>());
        let pairs = rates(one)?.into_iter().zip(rates(twin)?).filter(|(_, twin)| *twin > 0.0);
        median(pairs.map(|(one, twin)| one / twin).collect())
    }

    /// How much of the machine others had, in the median and at the most.
    fn foreign(&self) -> Option<(f64, f64)> {
        let all: Vec<f64> =
            self.measured.iter().flat_map(|one| one.samples.values().flatten()).map(|s| s.foreign).collect();
        let most = all.iter().copied().fold(0.0, f64::max);
        Some((median(all)?, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems;

    /// What was measured in some rounds.
    fn measured(name: &str, rates: &[f64]) -> Measured {
        let mut one = Measured::new(systems::named(name).unwrap());
        let samples = rates.iter().map(|&rate| Sample { rate, app_us: 90.0, ..Sample::default() });
        one.samples.insert(Scenario::ReadZipf, samples.collect());
        one
    }

    pub(super) fn report() -> Report {
        let measured = vec![
            measured("untenanted", &[20_000.0, 10_000.0, 30_000.0]),
            measured("tenantry-schema", &[16_000.0, 8_000.0, 15_000.0]),
        ];
        let run = Run {
            tenants: 1_000,
            seconds: 8,
            rounds: 3,
            servers: "PostgreSQL 15.18".into(),
            machine: "2 cores".into(),
        };
        Report { measured, left_out: vec!["Flask".into()], run }
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let rows = report().rows(Scenario::ReadZipf);
        assert_eq!((rows[0].ratio, rows[1].ratio), (None, Some(0.8)));
        assert_eq!((rows[0].rate, rows[1].rate), (20_000.0, 15_000.0));
    }

    #[test]
    fn times_over_a_slow_network_are_compared_round_by_round() {
        let mut report = report();
        assert_eq!(report.far_ratio(&report.measured[1]), None);
        report.measured[0].far_p50_ms = vec![1.0, 2.0, 4.0];
        report.measured[1].far_p50_ms = vec![1.5, 2.5, 4.0];
        assert_eq!(report.far_ratio(&report.measured[1]), Some(1.25));
        assert_eq!(report.far_ratio(&report.measured[0]), None);
    }

    #[test]
    fn a_load_that_was_not_run_has_no_rows() {
        assert_eq!(report().rows(Scenario::WriteUniform), []);
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\n\nrest\n");
        let new = put_between_markers(&page, "new\n").unwrap();
        assert_eq!(new, format!("# Title\n\n{BEGIN}\nnew\n{END}\n\nrest\n"));
        assert_eq!(put_between_markers(&new, "new").unwrap(), new);
    }

    #[test]
    fn a_page_without_markers_is_left_alone() {
        assert!(put_between_markers("# Title\n", "new").is_err());
        assert!(put_between_markers(&format!("{END}\n{BEGIN}\n"), "new").is_err());
    }
}
