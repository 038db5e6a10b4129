//! A fleet of targets: the shared tables first, then tenants in waves, several at once.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use globset::{Glob, GlobMatcher};
use serde::Serialize;

use super::{Migrations, plan};
use crate::{
    catalog::{Catalog, TenantFilter},
    engine::{Engine, Script, Target},
    error::{Error, ErrorKind, Result},
    failpoint::Failpoints,
    scope::Servers,
    tenant::{Tenant, TenantState},
};

/// How to go through a fleet.
#[derive(Clone, Debug)]
#[must_use]
pub struct MigrateOptions {
    only: Option<GlobMatcher>,
    parallel: usize,
    waves: Vec<f64>,
    stop_after: Option<usize>,
    retry_failed: bool,
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

    /// Shares of the fleet, such as 0.01, 0.1 and 1.0: a wave in which something failed is the last.
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

    fn wave_ends(&self, tenants: usize) -> Vec<usize> {
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

/// What is to be applied to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetPlan {
    /// `shared`, or a tenant's key.
    pub target: String,
    /// The version it has.
    pub version: i64,
    /// The files to apply, as `version description`.
    pub pending: Vec<String>,
}

/// How it went with one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetReport {
    /// `shared`, or a tenant's key.
    pub target: String,
    /// The version it has now.
    pub version: i64,
    /// How many files were applied.
    pub applied: usize,
    /// Why it failed.
    pub error: Option<String>,
}

/// How it went with a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FleetReport {
    /// Those to which something was applied, and those that failed.
    pub targets: Vec<TargetReport>,
    /// How many had nothing to apply.
    pub up_to_date: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were not tried, because too much had failed before.
    pub not_tried: usize,
}

/// Something that happened while a fleet is migrated.
#[derive(Clone, Debug)]
pub enum MigrateEvent {
    /// So many targets have something to apply.
    Planned(usize),
    /// A wave of so many targets begins.
    Wave {
        /// Its number, from 1.
        number: usize,
        /// How many targets are in it.
        targets: usize,
    },
    /// A target is done, or has failed.
    Done(TargetReport),
}

/// What the migration of a fleet works on.
#[derive(Clone)]
pub struct Fleet {
    pub(crate) catalog: Catalog,
    pub(crate) servers: Arc<Servers>,
    pub(crate) migrations: Migrations,
    pub(crate) failpoints: Failpoints,
}

/// One target with its files, and where it stands.
struct Job {
    name: String,
    engine: Arc<dyn Engine>,
    target: Target,
    tenant: Option<Tenant>,
    server: String,
    version: i64,
    pending: Vec<Arc<Script>>,
}

impl Fleet {
    /// The targets in their order, with what is pending.
    ///
    /// # Errors
    /// The first history that does not fit its files: then nothing may be applied to anything.
    async fn jobs(&self, options: &MigrateOptions) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        if options.only.is_none() && !options.retry_failed {
            jobs.push(self.shared_job().await?);
        }
        let tenants = self.tenants(options).await?;
        let mut planned = stream::iter(tenants).map(|t| self.tenant_job(t)).buffered(options.parallel);
        while let Some(job) = planned.next().await {
            jobs.extend(job?);
        }
        Ok(jobs)
    }

    async fn tenants(&self, options: &MigrateOptions) -> Result<Vec<Tenant>> {
        let all = if options.retry_failed {
            self.catalog.failure_list().await?.into_iter().map(|(tenant, _)| tenant).collect()
        } else {
            self.catalog.tenant_list(&TenantFilter::all()).await?
        };
        let wanted = |t: &Tenant| options.only.as_ref().is_none_or(|glob| glob.is_match(t.key.as_str()));
        let there = |t: &Tenant| !matches!(t.state, TenantState::Provisioning | TenantState::Purging);
        Ok(all.into_iter().filter(|t| there(t) && wanted(t)).collect())
    }

    async fn shared_job(&self) -> Result<Job> {
        let home = self.servers.home().await?;
        let scripts = self.migrations.shared(home.engine.capabilities().engine);
        let engine = Arc::clone(&home.engine);
        self.job("shared".into(), engine, Target::Shared, None, home.name.clone(), &scripts).await
    }

    /// `None`: the tenant was purged in the meantime.
    async fn tenant_job(&self, tenant: Tenant) -> Result<Option<Job>> {
        let server = self.servers.get(&tenant.server).await?;
        let scripts = self.migrations.tenant(server.engine.capabilities().engine);
        let target = Target::Tenant(tenant.placement());
        let (name, id, home) = (tenant.key.to_string(), tenant.id, tenant.server.clone());
        match self.job(name, Arc::clone(&server.engine), target, Some(tenant), home, &scripts).await {
            Ok(job) => Ok(Some(job)),
            Err(error) => match self.catalog.tenant_find(&crate::catalog::Name::Id(id)).await? {
                Some(t) if t.state != TenantState::Purging => Err(error),
                _ => Ok(None),
            },
        }
    }

    async fn job(
        &self,
        name: String,
        engine: Arc<dyn Engine>,
        target: Target,
        tenant: Option<Tenant>,
        server: String,
        scripts: &[Arc<Script>],
    ) -> Result<Job> {
        let applied = engine.ledger(&target).await?;
        let pending = plan::pending(&name, scripts, &applied)?;
        let version = applied.last().map_or(0, |a| a.version);
        Ok(Job { name, engine, target, tenant, server, version, pending })
    }

    /// What [`Fleet::up`] would do.
    ///
    /// # Errors
    /// As [`Fleet::up`].
    pub async fn plan(&self, options: &MigrateOptions) -> Result<Vec<TargetPlan>> {
        let jobs = self.jobs(options).await?;
        Ok(jobs
            .into_iter()
            .map(|job| TargetPlan {
                target: job.name,
                version: job.version,
                pending: job.pending.iter().map(|s| format!("{} {}", s.version, s.description)).collect(),
            })
            .collect())
    }

    /// Brings all targets to the newest version. Killed at any point, it goes on where it was when run again.
    ///
    /// # Errors
    /// If a history does not fit the files: then nothing was applied to anything. A target that fails is no error: the
    /// report tells.
    pub async fn up(&self, options: &MigrateOptions, mut on: impl FnMut(MigrateEvent)) -> Result<FleetReport> {
        let mut report = FleetReport::default();
        let mut todo = Vec::new();
        for job in self.jobs(options).await? {
            if job.pending.is_empty() {
                self.note(&job, job.version, None).await?;
                report.up_to_date += 1;
            } else {
                todo.push(job);
            }
        }
        on(MigrateEvent::Planned(todo.len()));
        if todo.first().is_some_and(|job| job.target == Target::Shared) {
            // Tenants' files may speak of shared tables: these come first, or nothing does.
            let shared = todo.remove(0);
            self.wave(vec![shared], options, 0, &mut report, &mut on).await?;
            if report.failed > 0 {
                report.not_tried = todo.len();
                return Ok(report);
            }
        }
        self.waves(todo, options, &mut report, &mut on).await?;
        Ok(report)
    }

    async fn waves(
        &self,
        mut todo: Vec<Job>,
        options: &MigrateOptions,
        report: &mut FleetReport,
        on: &mut impl FnMut(MigrateEvent),
    ) -> Result<()> {
        let mut begun = 0;
        for (number, end) in options.wave_ends(todo.len()).into_iter().enumerate() {
            let rest = todo.split_off((end - begun).min(todo.len()));
            let wave = std::mem::replace(&mut todo, rest);
            begun = end;
            self.wave(wave, options, number + 1, report, on).await?;
            if report.failed > 0 && !todo.is_empty() {
                break;
            }
        }
        report.not_tried += todo.len();
        Ok(())
    }

    async fn wave(
        &self,
        wave: Vec<Job>,
        options: &MigrateOptions,
        number: usize,
        report: &mut FleetReport,
        on: &mut impl FnMut(MigrateEvent),
    ) -> Result<()> {
        if number > 0 && !wave.is_empty() {
            on(MigrateEvent::Wave { number, targets: wave.len() });
        }
        let mut left = wave.len();
        let mut running = stream::iter(wave).map(|job| self.run(job)).buffer_unordered(options.parallel);
        while let Some(done) = running.next().await {
            let done = done?;
            left -= 1;
            report.failed += usize::from(done.error.is_some());
            on(MigrateEvent::Done(done.clone()));
            report.targets.push(done);
            if options.stop_after.is_some_and(|most| report.failed >= most) {
                report.not_tried += left;
                break;
            }
        }
        Ok(())
    }

    async fn run(&self, job: Job) -> Result<TargetReport> {
        let fleet = self.clone();
        // A task of its own: a caller that goes away leaves no target between its database and the catalog.
        let task = tokio::spawn(async move { fleet.run_to_end(job).await });
        task.await.map_err(|e| Error::new(ErrorKind::Internal, "a migration was cut off").caused_by(e))?
    }

    async fn run_to_end(&self, job: Job) -> Result<TargetReport> {
        let mut report = TargetReport { target: job.name.clone(), version: job.version, applied: 0, error: None };
        for script in &job.pending {
            let applied = async {
                self.failpoints.hit("migrate.before").await?;
                job.engine.apply(&job.target, script).await?;
                self.failpoints.hit("migrate.applied").await
            }
            .await;
            if let Err(error) = applied {
                report.error = Some(full_text(&error));
                break;
            }
            report.version = script.version;
            report.applied += 1;
        }
        self.note(&job, report.version, report.error.clone()).await?;
        self.failpoints.hit("migrate.noted").await?;
        Ok(report)
    }

    async fn note(&self, job: &Job, version: i64, failure: Option<String>) -> Result<()> {
        match &job.tenant {
            Some(tenant) if tenant.version == version && failure.is_none() => {
                // Nothing new, unless an earlier failure is over.
                self.catalog.tenant_migrated_if_failed(tenant.id, version).await
            }
            Some(tenant) => self.catalog.tenant_migrated(tenant.id, version, failure).await,
            None => self.catalog.server_shared_migrated(job.server.clone(), version).await,
        }
    }

    /// Compares every target's history with the files; an empty list means that all fit and nothing is pending.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn verify(&self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut check = |job: Result<Option<Job>>| match job {
            Ok(Some(job)) if !job.pending.is_empty() => {
                found.push(format!("{}: at version {}, {} files pending", job.name, job.version, job.pending.len()));
            }
            Ok(_) => {}
            Err(error) => found.push(full_text(&error)),
        };
        check(self.shared_job().await.map(Some));
        for tenant in self.tenants(&MigrateOptions::new()).await? {
            check(self.tenant_job(tenant).await);
        }
        Ok(found)
    }

    /// Writes down that all files up to `version` were applied, without running them.
    ///
    /// # Errors
    /// If there is no file of that version, or a target's history does not fit.
    pub async fn stamp(&self, version: i64, options: &MigrateOptions) -> Result<usize> {
        let jobs = self.jobs(options).await?;
        let known = |job: &Job| job.version == version || job.pending.iter().any(|s| s.version == version);
        if !jobs.iter().any(|job| job.tenant.is_some() && known(job)) {
            return Err(Error::new(ErrorKind::Migration, format!("no tenant has a pending migration {version}"))
                .help("tenantry migrate status"));
        }
        let mut stamped = 0;
        for job in jobs.into_iter().filter(|job| job.tenant.is_some()) {
            for script in job.pending.iter().filter(|s| s.version <= version) {
                job.engine.stamp(&job.target, script).await?;
                self.note(&job, script.version, None).await?;
                stamped += 1;
            }
        }
        Ok(stamped)
    }
}

/// An error with its causes, for the operator.
fn full_text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
