//! A progress bar on stderr, if somebody watches.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::clean;
use crate::context::Context;

/// How far long work has come. Nothing is drawn without a terminal, or for a program.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

fn is_watched(context: &Context) -> bool {
    !context.json && std::io::stderr().is_terminal()
}

impl Progress {
    pub(crate) fn new(context: &Context, total: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::hidden());
        if is_watched(context) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {elapsed}  {msg}") {
                bar.set_style(style);
            }
        }
        Self(bar)
    }

    /// For one piece of work that may have to wait for another process.
    pub(crate) fn waiting(context: &Context, what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if is_watched(context) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.set_message(clean(what));
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self(bar)
    }

    pub(crate) fn total(&self, total: usize) {
        self.0.set_length(total as u64);
    }

    pub(crate) fn one_more(&self, what: &str) {
        self.0.set_message(clean(what));
        self.0.inc(1);
    }

    /// A line that stays above the bar; without a bar nothing.
    pub(crate) fn line(&self, line: &str) {
        self.0.println(clean(line));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
