//! The rounds: every system under every load once, and then again.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Result,
    app::{App, CONNECTIONS, Places},
    figures::percentile,
    load::{Action, Outcome, Spread, Until},
    processes,
    processes::Used,
    say,
    server::{Servers, Written},
    systems::System,
};

pub(crate) struct Plan {
    pub(crate) tenants: usize,
    pub(crate) seconds: u64,
    pub(crate) rounds: u64,
}

/// What a load does and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scenario {
    ReadUniform,
    ReadZipf,
    WriteUniform,
}

impl Scenario {
    pub(crate) const ALL: [Self; 3] = [Self::ReadUniform, Self::ReadZipf, Self::WriteUniform];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ReadUniform => "Reading 20 users, every tenant as often as any other",
            Self::ReadZipf => "Reading 20 users, tenants by Zipf's law",
            Self::WriteUniform => "Writing a note, every tenant as often as any other",
        }
    }

    fn parts(self) -> (Action, Spread) {
        match self {
            Self::ReadUniform => (Action::Read, Spread::Uniform),
            Self::ReadZipf => (Action::Read, Spread::Zipf),
            Self::WriteUniform => (Action::Write, Spread::Uniform),
        }
    }
}

/// One load of one round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// CPU time a request.
    pub(crate) app_us: f64,
    pub(crate) database_us: f64,
    /// How much of the machine others had meanwhile.
    pub(crate) foreign: f64,
}

/// Everything about one system.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) system: &'static System,
    pub(crate) samples: BTreeMap<Scenario, Vec<Sample>>,
    /// Of the app's processes and of those behind its connections, in MiB.
    pub(crate) app_mib: f64,
    pub(crate) connections_mib: Option<f64>,
    /// Round trips of a read and of a write.
    pub(crate) trips: Option<(f64, f64)>,
    pub(crate) failed: u64,
    pub(crate) wrong: u64,
    acknowledged: u64,
    pub(crate) written: Written,
}

impl Measured {
    pub(crate) fn new(system: &'static System) -> Self {
        Self {
            system,
            samples: BTreeMap::new(),
            app_mib: 0.0,
            connections_mib: None,
            trips: None,
            failed: 0,
            wrong: 0,
            acknowledged: 0,
            written: Written::default(),
        }
    }

    /// Counts what must not have happened, and what was promised to be written.
    pub(crate) fn account_for(&mut self, action: Action, outcome: &Outcome) {
        self.failed += outcome.failed;
        self.wrong += outcome.wrong;
        if action == Action::Write {
            self.acknowledged += outcome.latencies.len() as u64;
        }
    }

    pub(crate) fn look_at(&mut self, written: Written) {
        // All notes of an untenanted system are in the one table that it has.
        let misplaced = if self.system.is_untenanted() { 0 } else { written.misplaced };
        self.written = Written { misplaced, ..written };
    }

    /// Why the figures are worth nothing.
    pub(crate) fn fault(&self) -> Option<String> {
        let lost = self.acknowledged.saturating_sub(self.written.notes);
        let faults = [
            (self.wrong, "answers with another tenant's users"),
            (self.written.misplaced, "notes in another tenant's table"),
            (lost, "acknowledged notes lost"),
            (self.failed, "requests failed"),
        ];
        let faults: Vec<_> = faults.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        (!faults.is_empty()).then(|| faults.join(", "))
    }
}

pub(crate) fn run(
    systems: &[&'static System],
    servers: &Servers,
    plan: &Plan,
    places: &Places,
) -> Result<Vec<Measured>> {
    let (mut apps, mut measured) = (Vec::new(), Vec::new());
    for system in systems {
        say(&format!("{} starts", system.name));
        let url = servers.url_for(system, "load", servers.port(system)?)?;
        apps.push(App::start(system, "load", &url, plan.tenants, places)?);
        measured.push(Measured::new(system));
    }
    for (app, one) in apps.iter().zip(&mut measured) {
        warm_up(app, one, plan)?;
    }
    for round in 1..=plan.rounds {
        for scenario in Scenario::ALL {
            for (app, one) in apps.iter().zip(&mut measured) {
                let sample = sample(app, one, scenario, servers, plan)?;
                say(&format!("round {round}, {scenario:?}: {} {:.0} requests/s", one.system.name, sample.rate));
                one.samples.entry(scenario).or_default().push(sample);
            }
        }
    }
    for (app, one) in apps.iter().zip(&mut measured) {
        one.app_mib = mib(processes::memory(processes::group(app.group())).proportional);
        one.connections_mib = servers.memory_for(app.system)?.map(|memory| mib(memory.private));
    }
    Ok(measured)
}

/// As long as a load, for every connection is to have met the tenants; and some writes.
fn warm_up(app: &App, measured: &mut Measured, plan: &Plan) -> Result {
    say(&format!("{} warms up", app.system.name));
    for (action, seconds) in [(Action::Read, plan.seconds), (Action::Write, 1)] {
        let until = Until::Passed(Duration::from_secs(seconds));
        let outcome = app.load(action, Spread::Uniform, CONNECTIONS as u64, until)?;
        measured.account_for(action, &outcome);
    }
    Ok(())
}

fn sample(app: &App, measured: &mut Measured, scenario: Scenario, servers: &Servers, plan: &Plan) -> Result<Sample> {
    let (action, spread) = scenario.parts();
    let until = Until::Passed(Duration::from_secs(plan.seconds));
    let server = servers.main_process(app.system)?;
    let before = Used::now(app.group(), server);
    let mut outcome = app.load(action, spread, CONNECTIONS as u64, until)?;
    let used = Used::now(app.group(), server) - before;
    measured.account_for(action, &outcome);
    outcome.latencies.sort_unstable();
    Ok(figures(&outcome, &used))
}

#[expect(clippy::cast_precision_loss, reason = "millions")]
fn figures(outcome: &Outcome, used: &Used) -> Sample {
    let count = outcome.latencies.len() as f64;
    let took = outcome.took.as_secs_f64();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count.max(1.0);
    let at = |share| f64::from(percentile(&outcome.latencies, share)) / 1e3;
    Sample {
        rate: count / took.max(f64::EPSILON),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        app_us: each(used.app),
        database_us: each(used.database),
        foreign: used.foreign().as_secs_f64() / (took * crate::machine::cores() as f64).max(f64::EPSILON),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a program has less than 2^52 KiB")]
fn mib(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems;

    fn measured(name: &str) -> Measured {
        Measured::new(systems::named(name).unwrap())
    }

    #[test]
    fn a_load_becomes_figures_a_request() {
        let outcome =
            Outcome { latencies: vec![1_000, 2_000, 3_000, 9_000], took: Duration::from_secs(2), ..Default::default() };
        let used = Used { app: Duration::from_micros(400), database: Duration::from_micros(800), ..Used::default() };
        let sample = figures(&outcome, &used);
        assert_eq!((sample.rate, sample.p50_ms, sample.p99_ms), (2.0, 2.0, 9.0));
        assert_eq!((sample.app_us, sample.database_us), (100.0, 200.0));
    }

    #[test]
    fn one_wrong_answer_makes_a_row_invalid() {
        let mut one = measured("flask-search-path");
        assert_eq!(one.fault(), None);
        one.account_for(Action::Read, &Outcome { wrong: 1, ..Outcome::default() });
        assert_eq!(one.fault().unwrap(), "1 answers with another tenant's users");
    }

    #[test]
    fn an_acknowledged_note_that_is_not_there_is_lost() {
        let mut one = measured("flask-search-path");
        one.account_for(Action::Write, &Outcome { latencies: vec![1; 10], ..Outcome::default() });
        one.look_at(Written { notes: 9, misplaced: 1 });
        assert_eq!(one.fault().unwrap(), "1 notes in another tenant's table, 1 acknowledged notes lost");
    }

    #[test]
    fn an_untenanted_system_has_one_table_for_everybody() {
        let mut one = measured("flask-untenanted");
        one.look_at(Written { notes: 9, misplaced: 9 });
        assert_eq!(one.fault(), None);
    }
}
