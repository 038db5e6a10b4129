//! Measures the peers side by side: what `cargo xtask compare` runs.
//!
//! All systems are started beside each other and loaded in turns, round by round, so that what the machine does meanwhile
//! befalls all of them; figures are medians over the rounds. Read [`systems`] for what there is and [`rounds`] for how.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod app;
mod figures;
mod load;
mod machine;
mod network;
mod processes;
mod report;
mod rounds;
mod server;
mod systems;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use clap::Parser;

use crate::{
    app::Places,
    report::{Report, Run},
    rounds::{Measured, Plan},
    server::Servers,
    systems::System,
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Measures tenantry, its peers and their untenanted twins side by side.
#[derive(Parser)]
#[command(name = "cargo xtask compare", bin_name = "cargo xtask compare")]
struct Args {
    /// Only these, separated by commas, and the twins that they are compared with; printed, and not written.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// How long each load of a round takes.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    tenants: u64,
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Write docs/performance.md and docs/performance.svg although not everything was measured.
    #[arg(long)]
    write: bool,
    /// Names the systems and stops.
    #[arg(long)]
    list: bool,
    /// The program `peer-axum`.
    #[arg(long, hide = true, default_value = "peer-axum")]
    axum: PathBuf,
    /// The folder of the workspace.
    #[arg(long, hide = true, default_value = ".")]
    workspace: PathBuf,
}

fn main() -> ExitCode {
    listen_for_interrupts();
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result {
    let systems = systems::chosen(&args.only)?;
    if args.list {
        let longest = systems.iter().map(|system| system.name.len()).max().unwrap_or(0);
        systems.iter().for_each(|system| println!("{:<longest$}  {}", system.name, system.title));
        return Ok(());
    }
    let scratch = tempfile::tempdir()?;
    let places = Places {
        peers: args.workspace.join("peers").canonicalize()?,
        axum: args.axum.clone(),
        scratch: scratch.path().into(),
        workers: machine::cores(),
    };
    let (systems, left_out) = installed(systems, &places);
    let report = measure(args, &systems, left_out, &places)?;
    println!("{}", report.text());
    if args.write || args.only.is_empty() {
        write(&report, &args.workspace.join("docs"))?;
    }
    Ok(())
}

/// Those that can run here, and why the others cannot.
fn installed(systems: Vec<&'static System>, places: &Places) -> (Vec<&'static System>, Vec<String>) {
    let (mut there, mut left_out) = (Vec::new(), Vec::new());
    for system in systems {
        match app::install(system, places) {
            Ok(()) => there.push(system),
            Err(error) => {
                say(&format!("{} is left out: {error}", system.name));
                left_out.push(system.title.to_owned());
            }
        }
    }
    (there, left_out)
}

fn measure(args: &Args, systems: &[&'static System], left_out: Vec<String>, places: &Places) -> Result<Report> {
    let tenants = usize::try_from(args.tenants)?;
    say(&format!("{tenants} tenants are made"));
    let servers = Servers::start(systems, tenants, &places.scratch)?;
    let plan = Plan { tenants, seconds: args.seconds, rounds: args.rounds };
    let mut measured: Vec<Measured> = rounds::run(systems, &servers, &plan, places)?;
    network::measure(&mut measured, &servers, tenants, places)?;
    let written = servers.written()?;
    measured.iter_mut().for_each(|one| one.look_at(written.by(one.system)));
    let run = Run {
        tenants,
        seconds: args.seconds,
        rounds: args.rounds,
        servers: servers.versions(),
        machine: machine::describe(),
    };
    Ok(Report { measured, left_out, run })
}

fn write(report: &Report, docs: &Path) -> Result {
    let page = docs.join("performance.md");
    let text = fs::read_to_string(&page)?;
    fs::write(&page, report::put_between_markers(&text, &report.text())?)?;
    fs::write(docs.join("performance.svg"), report.picture())?;
    say("written: docs/performance.md and docs/performance.svg");
    Ok(())
}

/// Progress; the tables alone go to stdout.
fn say(what: &str) {
    eprintln!("compare: {what}");
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Servers run in process groups of their own: they have to be stopped before we go.
fn listen_for_interrupts() {
    use tokio::signal::unix::{SignalKind, signal};
    thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            INTERRUPTED.store(true, Ordering::SeqCst);
            std::io::Result::Ok(())
        })
    });
}

/// An error once somebody wants us to stop.
fn interrupted() -> Result {
    if INTERRUPTED.load(Ordering::SeqCst) { Err("interrupted".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_described_without_contradiction() {
        super::Args::command().debug_assert();
    }
}
