//! The end of the program after Ctrl-C: what has begun is brought to its end first.

use std::time::Duration;

use crate::{interrupt::Interrupt, render};

/// How long work that has begun may take to end. What is cut off then is taken over by the next run.
const PATIENCE: Duration = Duration::from_secs(60);

/// Operations and migrations run as tasks of their own, so that they end well: waits for those, until Ctrl-C again.
pub(crate) async fn let_begun_work_end() {
    let runtime = tokio::runtime::Handle::current();
    let all_ended = async {
        while runtime.metrics().num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if runtime.metrics().num_alive_tasks() > 0 {
        render::note("interrupted: ending what has begun; Ctrl-C again stops at once");
    } else {
        render::note("interrupted");
    }
    tokio::select! {
        () = all_ended => {}
        () = tokio::time::sleep(PATIENCE) => {}
        () = Interrupt::come() => {}
    }
}
