//! A fleet of targets: the shared tables first, then tenants in waves, several at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use globset::{Glob, GlobMatcher};
use serde::Serialize;

use super::{Migrations, plan};
use crate::{
    catalog::{Catalog, TenantFilter},
    engine::{Engine, Patience, Script, ScriptKind, Target},
    error::{Error, ErrorKind, Result},
    failpoint::Failpoints,
    scope::{ServerHandle, Servers},
    tenant::{Isolation, Tenant, TenantState},
};

/// A tenant that fails after this time has waited for somebody.
const LONG: Duration = Duration::from_secs(10);

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
    /// Tenants that were purged before anything could be applied to them: nothing of them is left to migrate.
    pub gone: Vec<String>,
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
    /// The tenants that have the target's tables in common.
    rows: Vec<Tenant>,
    server: String,
    version: i64,
    pending: Vec<Arc<Script>>,
    /// It has a form of the shared tables of its own, which shows those at home.
    shows_shared: bool,
    /// That form is an older one.
    refresh: bool,
    /// Data files that every tenant of tables in common has to have by now.
    data: Vec<Arc<Script>>,
}

/// What came of one job.
#[derive(Default)]
struct Ended {
    /// The target itself first, then each tenant of tables in common that failed.
    tried: Vec<TargetReport>,
    /// Tenants that were purged in the meantime: there is nothing to migrate, and nothing has failed.
    gone: Vec<String>,
}

/// Tenants of tables in common whose data could not be changed.
#[derive(Default)]
struct Left {
    failed: Vec<(Tenant, String)>,
    /// Why it could not is that they were purged in the meantime.
    gone: Vec<String>,
}

impl Job {
    /// Tenants that an older program has made since the tables in common were migrated.
    fn stragglers(&self) -> impl Iterator<Item = &Tenant> {
        self.rows.iter().filter(|tenant| tenant.version < self.version)
    }
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
        let (in_rows, tenants): (Vec<_>, Vec<_>) =
            self.tenants(options).await?.into_iter().partition(|t| t.isolation == Isolation::Row);
        jobs.extend(self.rows_jobs(options, &in_rows).await?);
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
        Ok(all.into_iter().filter(|t| is_there(t) && wanted(t)).collect())
    }

    async fn shared_job(&self) -> Result<Job> {
        let home = self.servers.home().await?;
        let scripts = self.migrations.shared(home.engine.capabilities().engine);
        self.job("shared".into(), &home, Target::Shared, &scripts).await
    }

    /// One for each server that has tables which tenants of row isolation have in common. They are migrated for all of
    /// these tenants or for none.
    async fn rows_jobs(&self, options: &MigrateOptions, wanted: &[Tenant]) -> Result<Vec<Job>> {
        let mut jobs = Vec::new();
        for server in self.catalog.server_list().await? {
            let handle = self.servers.get(&server.name).await?;
            let capabilities = handle.engine.capabilities();
            if !capabilities.isolations.contains(&Isolation::Row) {
                continue;
            }
            let filter = TenantFilter::all().server(&server.name).isolation(Isolation::Row);
            let rows: Vec<_> = self.catalog.tenant_list(&filter).await?.into_iter().filter(is_there).collect();
            let chosen = wanted.iter().filter(|t| t.server == server.name).count();
            let is_part = options.only.is_some() || options.retry_failed;
            if is_part && chosen == 0 {
                continue;
            }
            let scripts = self.migrations.tenant(capabilities.engine);
            let name = format!("rows of {}", server.name);
            let job = self.job(name, &handle, Target::Rows, &scripts).await?;
            if job.version == 0 && rows.is_empty() {
                // The first tenant makes the tables.
                continue;
            }
            if options.only.is_some() && chosen < rows.len() && !job.pending.is_empty() {
                return Err(Error::new(
                    ErrorKind::Migration,
                    format!("{chosen} of the chosen tenants share their tables with {} others", rows.len() - chosen),
                )
                .help("leave `--only` out, or choose no tenants of row isolation"));
            }
            jobs.push(Job { rows, ..job });
        }
        Ok(jobs)
    }

    /// `None`: the tenant was purged in the meantime.
    async fn tenant_job(&self, tenant: Tenant) -> Result<Option<Job>> {
        let server = self.servers.get(&tenant.server).await?;
        let scripts = self.migrations.tenant(server.engine.capabilities().engine);
        let target = Target::Tenant(tenant.placement());
        let id = tenant.id;
        match self.job(tenant.key.to_string(), &server, target, &scripts).await {
            Ok(job) => Ok(Some(Job { tenant: Some(tenant), ..job })),
            Err(error) => match self.catalog.tenant_find(&crate::catalog::Name::Id(id)).await? {
                Some(t) if t.state != TenantState::Purging => Err(error),
                _ => Ok(None),
            },
        }
    }

    async fn job(&self, name: String, server: &ServerHandle, target: Target, scripts: &[Arc<Script>]) -> Result<Job> {
        let ledger = server.engine.ledger(&target).await?;
        let pending = plan::pending(&name, scripts, &ledger.applied)?;
        let version = ledger.applied.last().map_or(0, |a| a.version);
        let shown = ledger.shared_form;
        let shows_shared = shown.is_some();
        let refresh = shows_shared && shown != server.engine.shared_form().await?;
        let (engine, server) = (Arc::clone(&server.engine), server.name.clone());
        let done = |s: &&Arc<Script>| s.kind == ScriptKind::Data && s.version <= version;
        let data = scripts.iter().filter(done).cloned().collect();
        Ok(Job {
            name,
            engine,
            target,
            tenant: None,
            rows: Vec::new(),
            server,
            version,
            pending,
            shows_shared,
            refresh,
            data,
        })
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
        let jobs = self.jobs(options).await?;
        let shared_changes = jobs.first().is_some_and(|job| job.target == Target::Shared && !job.pending.is_empty());
        for mut job in jobs {
            job.refresh |= shared_changes && job.shows_shared;
            let has_stragglers = !job.data.is_empty() && job.stragglers().next().is_some();
            if job.pending.is_empty() && !job.refresh && !has_stragglers {
                self.note(&job, job.version, None, &[]).await?;
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
        for server in self.catalog.server_list().await? {
            self.servers.get(&server.name).await?.engine.shared_refresh(None).await?;
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
            left -= 1;
            let Ended { tried, gone } = done?;
            report.gone.extend(gone);
            for done in tried {
                report.failed += usize::from(done.error.is_some());
                on(MigrateEvent::Done(done.clone()));
                report.targets.push(done);
            }
            if options.stop_after.is_some_and(|most| report.failed >= most) {
                report.not_tried += left;
                break;
            }
        }
        Ok(())
    }

    async fn run(&self, job: Job) -> Result<Ended> {
        let fleet = self.clone();
        // A task of its own: a caller that goes away leaves no target between its database and the catalog.
        let task = tokio::spawn(async move { fleet.run_to_end(job).await });
        task.await.map_err(|e| Error::new(ErrorKind::Internal, "a migration was cut off").caused_by(e))?
    }

    async fn run_to_end(&self, job: Job) -> Result<Ended> {
        let mut report = TargetReport { target: job.name.clone(), version: job.version, applied: 0, error: None };
        let mut left = Left::default();
        if let (true, Some(tenant)) = (job.refresh, &job.tenant) {
            let refreshed = job.engine.shared_refresh(Some(&tenant.placement())).await;
            report.error = refreshed.err().map(|error| full_text(&error));
        }
        for script in job.data.iter().filter(|_| job.target == Target::Rows) {
            self.apply_to_each(&job, job.stragglers(), script, &mut left).await?;
        }
        if !left.failed.is_empty() {
            report.error = Some(format!("{} tenants lack changes of data", left.failed.len()));
        }
        for script in &job.pending {
            if report.error.is_some() {
                break;
            }
            let applied = async {
                self.failpoints.hit("migrate.before").await?;
                self.apply(&job, script, &mut left).await?;
                self.failpoints.hit("migrate.applied").await
            }
            .await;
            if let Err(error) = applied {
                report.error = Some(full_text(&error));
            } else if !left.failed.is_empty() {
                let file = &script.file;
                report.error = Some(format!("{file} could not be applied to {} tenants", left.failed.len()));
            } else {
                report.version = script.version;
                report.applied += 1;
            }
        }
        if let (true, Some(tenant)) = (report.error.is_some(), &job.tenant)
            && self.is_gone(tenant).await?
        {
            return Ok(Ended { gone: vec![job.name], ..Ended::default() });
        }
        self.end(&job, report, left).await
    }

    /// Writes down what came of it.
    async fn end(&self, job: &Job, report: TargetReport, left: Left) -> Result<Ended> {
        self.note(job, report.version, report.error.clone(), &left.failed).await?;
        self.failpoints.hit("migrate.noted").await?;
        let version = report.version;
        let each = left.failed.into_iter().map(|(tenant, error)| TargetReport {
            target: tenant.key.to_string(),
            version,
            applied: 0,
            error: Some(error),
        });
        Ok(Ended { tried: std::iter::once(report).chain(each).collect(), gone: left.gone })
    }

    async fn is_gone(&self, tenant: &Tenant) -> Result<bool> {
        let found = self.catalog.tenant_find(&crate::catalog::Name::Id(tenant.id)).await?;
        Ok(found.is_none_or(|found| found.state == TenantState::Purging))
    }

    /// Applies a file to a target. In tables in common a file of data is applied for one tenant after the other, each in
    /// its own scope; one that fails does not stop the others, but the file counts as applied only when all have it.
    async fn apply(&self, job: &Job, script: &Script, left: &mut Left) -> Result<()> {
        if job.target != Target::Rows || script.kind != ScriptKind::Data {
            return job.engine.apply(&job.target, script, Patience::Long).await;
        }
        self.apply_to_each(job, job.rows.iter(), script, left).await?;
        if left.failed.is_empty() {
            job.engine.stamp(&job.target, script).await?;
        }
        Ok(())
    }

    async fn apply_to_each(
        &self,
        job: &Job,
        tenants: impl Iterator<Item = &Tenant>,
        script: &Script,
        left: &mut Left,
    ) -> Result<()> {
        let mut patience = Patience::Long;
        for tenant in tenants {
            let asked = Instant::now();
            let target = Target::Tenant(tenant.placement());
            let Err(error) = job.engine.apply(&target, script, patience).await else { continue };
            if asked.elapsed() > LONG {
                // It may be the table that somebody holds: the fleet would be kept once for each tenant.
                patience = Patience::None;
            }
            let key = tenant.key.to_string();
            if !self.is_gone(tenant).await? {
                left.failed.push((tenant.clone(), full_text(&error)));
            } else if !left.gone.contains(&key) {
                left.gone.push(key);
            }
        }
        Ok(())
    }

    async fn note(&self, job: &Job, version: i64, failure: Option<String>, failed: &[(Tenant, String)]) -> Result<()> {
        match (&job.target, &job.tenant) {
            (Target::Rows, _) => {
                let failed = match failure {
                    // The tables themselves could not be changed: that is every tenant's failure.
                    Some(why) if failed.is_empty() => job.rows.iter().map(|t| (t.id, why.clone())).collect(),
                    _ => failed.iter().map(|(t, why)| (t.id, why.clone())).collect(),
                };
                let ids = job.rows.iter().map(|t| t.id).collect();
                self.catalog.rows_migrated(job.server.clone(), ids, version, failed).await
            }
            (_, Some(tenant)) if tenant.version == version && failure.is_none() => {
                // Nothing new, unless an earlier failure is over.
                self.catalog.tenant_migrated_if_failed(tenant.id, version).await
            }
            (_, Some(tenant)) => self.catalog.tenant_migrated(tenant.id, version, failure).await,
            (_, None) => self.catalog.server_shared_migrated(job.server.clone(), version).await,
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
        let all = MigrateOptions::new();
        match self.rows_jobs(&all, &[]).await {
            Ok(jobs) => jobs.into_iter().for_each(|job| check(Ok(Some(job)))),
            Err(error) => check(Err(error)),
        }
        for tenant in self.tenants(&all).await? {
            if tenant.isolation != Isolation::Row {
                check(self.tenant_job(tenant).await);
            }
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
        if !jobs.iter().any(|job| job.target != Target::Shared && known(job)) {
            return Err(Error::new(ErrorKind::Migration, format!("no tenant has a pending migration {version}"))
                .help("tenantry migrate status"));
        }
        let mut stamped = 0;
        for job in jobs.into_iter().filter(|job| job.target != Target::Shared) {
            for script in job.pending.iter().filter(|s| s.version <= version) {
                job.engine.stamp(&job.target, script).await?;
                self.note(&job, script.version, None, &[]).await?;
                stamped += 1;
            }
        }
        Ok(stamped)
    }
}

/// Whether it has tables to migrate.
const fn is_there(tenant: &Tenant) -> bool {
    !matches!(tenant.state, TenantState::Provisioning | TenantState::Purging)
}

/// An error with its causes, for the operator.
fn full_text(error: &Error) -> String {
    let mut text = std::iter::once(error.to_string()).chain(error.causes()).collect::<Vec<_>>().join(": ");
    // A file that was refused says what to write instead, and a server that lacks something what to type.
    if let Some(help) = error.help_text().filter(|_| error.is_migration() || error.is_unsupported()) {
        text.push_str("; ");
        text.push_str(help);
    }
    text
}
