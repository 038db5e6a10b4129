//! `tenantry`: the operator's program.
//!
//! `main -> commands/ (a verb a file) -> confirm, ending -> render/ (table, json, progress) -> context -> options, interrupt,
//! failure, exit`: an import only goes to the right. Data goes to stdout, all else to stderr.

mod commands;
mod confirm;
mod context;
mod ending;
mod exit;
mod failure;
mod interrupt;
mod logging;
mod options;
mod render;

use std::{ffi::OsString, process::ExitCode, time::Duration};

use clap::Parser;

use crate::{commands::Args, context::Context, exit::Exit, failure::Failure, render::error};

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    let args = match Args::try_parse_from(&given) {
        Ok(args) => args,
        Err(refused) => return error::usage(&refused, &given).into(),
    };
    logging::start(args.global.verbose);
    run(args).into()
}

fn run(args: Args) -> Exit {
    let context = Context::new(args.global);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return error::report(&context, &Failure::new("the program cannot start").caused_by(cause)),
    };
    let exit = runtime.block_on(async {
        let exit = until_interrupted(&context, args.command).await;
        context.close().await;
        exit
    });
    // A thread that still waits for somebody to type must not hold the program.
    runtime.shutdown_timeout(Duration::from_millis(100));
    exit
}

async fn until_interrupted(context: &Context, command: commands::Command) -> Exit {
    let work = commands::run(context, command);
    tokio::pin!(work);
    let result = tokio::select! {
        done = &mut work => Some(done),
        () = context.interrupt.unattended() => None,
    };
    match result {
        Some(Ok(Exit::Interrupted)) | None => {
            ending::let_begun_work_end().await;
            Exit::Interrupted
        }
        Some(Ok(exit)) => exit,
        Some(Err(failure)) => error::report(context, &failure),
    }
}
