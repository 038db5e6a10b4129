//! Round trips between app and server, counted on the wire in a run of its own: the counter would slow the others down.

use crate::{
    Result,
    app::{App, Places},
    counter::Counter,
    load::{Action, Spread, Until},
    rounds::Measured,
    say,
    server::Servers,
};

/// Few, so that every connection has met them when it is counted.
const TENANTS: usize = 8;
const BEFORE: usize = 600;
const COUNTED: usize = 200;

/// By a second instance of each system, whose requests come one after the other.
pub(crate) fn count(measured: &mut [Measured], servers: &Servers, tenants: usize, places: &Places) -> Result {
    for one in measured {
        let counter = Counter::before(servers.port(one.system)?)?;
        let url = servers.url_for(one.system, "counted", counter.port)?;
        let app = App::start(one.system, "counted", &url, tenants.min(TENANTS), places)?;
        let read = each(&app, Action::Read, &counter, one)?;
        let write = each(&app, Action::Write, &counter, one)?;
        say(&format!("{}: {read:.2} round trips a read, {write:.2} a write", one.system.name));
        one.trips = Some((read, write));
    }
    Ok(())
}

fn each(app: &App, action: Action, counter: &Counter, measured: &mut Measured) -> Result<f64> {
    let mut ask = |count| -> Result {
        let outcome = app.load(action, Spread::Uniform, 1, Until::Asked(count))?;
        measured.account_for(action, &outcome);
        Ok(())
    };
    ask(BEFORE)?;
    let before = counter.trips();
    ask(COUNTED)?;
    #[expect(clippy::cast_precision_loss, reason = "hundreds")]
    let trips = (counter.trips() - before) as f64;
    Ok(trips / COUNTED as f64)
}
