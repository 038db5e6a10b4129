//! The rounds: every system under every load once, and then again.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Result,
    app::{App, CONNECTIONS, Places},
    figures::percentile,
    load::{Action, Outcome, Spread, Until},
    machine, processes,
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

impl Plan {
    fn until(&self) -> Until {
        Until::Passed(Duration::from_secs(self.seconds))
    }
}

/// Of a system before the first round.
const MOST_LOADS: usize = 12;

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
    /// The median of a read through a network that takes half a millisecond each way, round by round.
    pub(crate) far_p50_ms: Vec<f64>,
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
            far_p50_ms: Vec::new(),
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

/// Reads until that does not become faster any more: plans, caches, and an engine per tenant take their time. And some writes.
fn warm_up(app: &App, measured: &mut Measured, plan: &Plan) -> Result {
    let (mut rates, mut pairs) = (Vec::new(), CONNECTIONS * app.tenants);
    if app.system.is_untenanted() {
        pairs = 0;
    }
    while !is_warm(&rates, pairs) {
        let outcome = app.load(Action::Read, Spread::Uniform, CONNECTIONS as u64, plan.until())?;
        measured.account_for(Action::Read, &outcome);
        pairs = pairs.saturating_sub(outcome.latencies.len());
        rates.push(outcome.rate());
    }
    say(&format!("{} is warm after {} loads", app.system.name, rates.len()));
    let outcome = app.load(Action::Write, Spread::Uniform, CONNECTIONS as u64, plan.until())?;
    measured.account_for(Action::Write, &outcome);
    Ok(())
}

/// Whether the last load was not a tenth faster than the best one before, and so many requests were answered as there are pairs
/// of a connection and a tenant.
fn is_warm(rates: &[f64], pairs_left: usize) -> bool {
    let Some((last, before)) = rates.split_last() else { return false };
    let best = before.iter().copied().reduce(f64::max);
    rates.len() >= MOST_LOADS || (pairs_left == 0 && best.is_some_and(|best| *last <= best * 1.1))
}

fn sample(app: &App, measured: &mut Measured, scenario: Scenario, servers: &Servers, plan: &Plan) -> Result<Sample> {
    let (action, spread) = scenario.parts();
    let server = servers.main_process(app.system)?;
    let before = Used::now(app.group(), server);
    let mut outcome = app.load(action, spread, CONNECTIONS as u64, plan.until())?;
    let used = Used::now(app.group(), server) - before;
    measured.account_for(action, &outcome);
    outcome.latencies.sort_unstable();
    Ok(figures(&outcome, &used))
}

#[expect(clippy::cast_precision_loss, reason = "millions")]
fn figures(outcome: &Outcome, used: &Used) -> Sample {
    let count = outcome.latencies.len() as f64;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count.max(1.0);
    let took = outcome.took.as_secs_f64();
    let at = |share| f64::from(percentile(&outcome.latencies, share)) / 1e3;
    Sample {
        rate: outcome.rate(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        app_us: each(used.app),
        database_us: each(used.database),
        foreign: used.foreign().as_secs_f64() / (took * machine::cores() as f64).max(f64::EPSILON),
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
    fn a_system_is_warm_when_it_does_not_become_faster() {
        assert!(!is_warm(&[], 0) && !is_warm(&[100.0], 0) && !is_warm(&[100.0, 150.0], 0));
        assert!(is_warm(&[100.0, 105.0], 0) && is_warm(&[100.0, 150.0, 160.0], 0) && is_warm(&[100.0, 90.0], 0));
        assert!(!is_warm(&[100.0, 90.0], 1), "connections have tenants to meet yet");
    }

    #[test]
    fn a_machine_that_gives_more_and_more_is_not_waited_for_endlessly() {
        let rates: Vec<f64> = (1..=MOST_LOADS).map(|n| 2_f64.powi(i32::try_from(n).unwrap())).collect();
        assert!(is_warm(&rates, 9) && !is_warm(&rates[1..], 9));
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
