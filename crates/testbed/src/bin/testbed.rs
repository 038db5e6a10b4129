//! A server by hand: `cargo run -p tenantry-testbed` prints its URLs and uses it until the input ends.
//! `testbed FOLDER SECONDS` shares the server of a folder, which ends so long after its last use; `testbed private` has one
//! of its own.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::{env, error::Error, io, path::Path, process::ExitCode, time::Duration};

use tenantry_testbed::Postgres;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    match args {
        [] => show(&Postgres::shared()?),
        [private] if private == "private" => show(&*Postgres::private(&[])?),
        [folder, seconds] => show(&Postgres::shared_in(Path::new(folder), Duration::from_secs(seconds.parse()?))?),
        _ => Err("usage: testbed [private | FOLDER SECONDS]".into()),
    }
}

fn show(server: &Postgres) -> Result<(), Box<dyn Error>> {
    println!("{}\n{}", server.url("postgres"), server.tcp_url("postgres"));
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
