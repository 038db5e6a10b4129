//! What a network between app and server costs each system: round trips, counted by a proxy in a run of its own, and how long a
//! read takes where each way takes half a millisecond.

use std::time::Duration;

use tenantry_testbed::Proxy;

use crate::{
    Result,
    app::{App, Places},
    figures::percentile,
    load::{Action, Spread, Until},
    rounds::Measured,
    say,
    server::Servers,
};

/// Few, so that every connection has met them when it is counted.
const TENANTS: usize = 8;
const BEFORE: usize = 600;
const COUNTED: usize = 200;

/// Each way.
const FAR: Duration = Duration::from_micros(500);
const FAR_ROUNDS: usize = 21;
/// So few that nobody waits for anything but the network.
const FAR_CLIENTS: u64 = 2;
const FAR_COUNTED: usize = 100;

/// A second instance of a system, and the proxy that it goes through.
struct Behind {
    app: App,
    proxy: Proxy,
}

pub(crate) fn measure(measured: &mut [Measured], servers: &Servers, tenants: usize, places: &Places) -> Result {
    let mut all = Vec::new();
    for one in &mut *measured {
        let proxy = Proxy::before(servers.port(one.system)?)?;
        let url = servers.url_for(one.system, "counted", proxy.port())?;
        let app = App::start(one.system, "counted", &url, tenants.min(TENANTS), places)?;
        let behind = Behind { app, proxy };
        let (read, write) = (behind.trips(Action::Read, one)?, behind.trips(Action::Write, one)?);
        say(&format!("{}: {read:.2} round trips a read, {write:.2} a write", one.system.name));
        one.trips = Some((read, write));
        all.push(behind);
    }
    all.iter().for_each(|behind| behind.proxy.delays(FAR));
    for _ in 0..FAR_ROUNDS {
        for (behind, one) in all.iter().zip(&mut *measured) {
            let p50 = behind.p50_ms(one)?;
            one.far_p50_ms.push(p50);
        }
    }
    Ok(())
}

impl Behind {
    /// By requests that come one after the other.
    fn trips(&self, action: Action, measured: &mut Measured) -> Result<f64> {
        let mut ask = |count| -> Result {
            let outcome = self.app.load(action, Spread::Uniform, 1, Until::Asked(count))?;
            measured.account_for(action, &outcome);
            Ok(())
        };
        ask(BEFORE)?;
        let before = self.proxy.trips();
        ask(COUNTED)?;
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        let trips = (self.proxy.trips() - before) as f64;
        Ok(trips / COUNTED as f64)
    }

    fn p50_ms(&self, measured: &mut Measured) -> Result<f64> {
        let mut outcome = self.app.load(Action::Read, Spread::Uniform, FAR_CLIENTS, Until::Asked(FAR_COUNTED))?;
        measured.account_for(Action::Read, &outcome);
        outcome.latencies.sort_unstable();
        Ok(f64::from(percentile(&outcome.latencies, 0.5)) / 1e3)
    }
}
