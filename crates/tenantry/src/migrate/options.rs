//! [`MigrateOptions`]: which tenants of a fleet, and how many at once.

use globset::{Glob, GlobMatcher};

use crate::error::{Error, ErrorKind, Result};

/// How to go through a fleet.
#[derive(Clone, Debug)]
#[must_use]
pub struct MigrateOptions {
    pub(super) only: Option<GlobMatcher>,
    pub(super) parallel: usize,
    pub(super) waves: Vec<f64>,
    pub(super) stop_after: Option<usize>,
    pub(super) retry_failed: bool,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self { only: None, parallel: 4, waves: Vec::new(), stop_after: None, retry_failed: false }
    }
}

impl MigrateOptions {
    /// All tenants, four at once, in one wave.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only tenants whose key fits a pattern such as `acme-*`.
    ///
    /// # Errors
    /// If the pattern cannot be read.
    pub fn only(mut self, pattern: &str) -> Result<Self> {
        let glob = Glob::new(pattern).map_err(|e| {
            Error::new(ErrorKind::InvalidInput, format!("{pattern:?} is no pattern"))
                .caused_by(e)
                .help("write `acme-*`")
        })?;
        self.only = Some(glob.compile_matcher());
        Ok(self)
    }

    /// So many tenants at once.
    pub fn parallel(mut self, tenants: usize) -> Self {
        self.parallel = tenants.max(1);
        self
    }

    /// Shares of the fleet, such as 0.01, 0.1 and 1.0: stops after the first wave with a failure.
    pub fn waves(mut self, shares: &[f64]) -> Self {
        self.waves = shares.to_vec();
        self
    }

    /// Stops after so many failures.
    pub fn stop_after(mut self, failures: usize) -> Self {
        self.stop_after = Some(failures.max(1));
        self
    }

    /// Only tenants whose last migration failed.
    pub fn retry_failed(mut self) -> Self {
        self.retry_failed = true;
        self
    }

    pub(super) fn wave_ends(&self, tenants: usize) -> Vec<usize> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count"
        )]
        let end = |share: f64| (share.clamp(0.0, 1.0) * tenants as f64).ceil() as usize;
        let mut ends: Vec<usize> = self.waves.iter().map(|&share| end(share).max(1).min(tenants)).collect();
        ends.push(tenants);
        ends.dedup();
        ends
    }
}
