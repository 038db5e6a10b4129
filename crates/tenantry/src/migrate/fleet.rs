//! A fleet of targets: the shared tables first, then tenants in waves, several at once.

use std::{
    future::ready,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};

use super::{
    FleetReport, MigrateEvent, MigrateOptions, Migrations, Mismatch, TargetPlan, TargetReport, jobs::Job, run::Run,
};
use crate::{
    catalog::{Catalog, Name},
    engine::{Patience, Script, ScriptKind, Target},
    error::{Error, ErrorKind, Failure, Result},
    failpoint::Failpoints,
    scope::Servers,
    tenant::{Isolation, Tenant, TenantState},
};

/// A tenant that fails after this time has waited for somebody.
const LONG: Duration = Duration::from_secs(10);

/// What the migration of a fleet works on.
#[derive(Clone)]
pub struct Fleet {
    pub(crate) catalog: Catalog,
    pub(crate) servers: Arc<Servers>,
    pub(crate) migrations: Migrations,
    pub(crate) failpoints: Failpoints,
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
    failed: Vec<(Tenant, Failure)>,
    /// Why it could not is that they were purged in the meantime.
    gone: Vec<String>,
}

impl Fleet {
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
                error: job.broken,
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
            if job.pending.is_empty() && !job.refresh && !job.is_old && !has_stragglers && job.broken.is_none() {
                self.note(&job, job.version, None, &[]).await?;
                report.up_to_date += 1;
            } else {
                todo.push(job);
            }
        }
        on(MigrateEvent::Planned(todo.len()));
        if todo.is_empty() {
            self.refresh_shared().await?;
            return Ok(report);
        }
        let run = Run::begin(&self.catalog, options, todo.len()).await?;
        self.up_with(&run, todo, options, &mut report, &mut on).await?;
        report.cancelled = run.is_cancelled();
        run.end(&report).await;
        Ok(report)
    }

    async fn up_with(
        &self,
        run: &Run,
        mut todo: Vec<Job>,
        options: &MigrateOptions,
        report: &mut FleetReport,
        on: &mut impl FnMut(MigrateEvent),
    ) -> Result<()> {
        if todo.first().is_some_and(|job| job.target == Target::Shared) {
            // Tenants' files may speak of shared tables: these come first, or nothing does.
            let shared = todo.remove(0);
            self.wave(run, vec![shared], options, 0, report, on).await?;
            if report.failed > 0 {
                report.not_tried = todo.len();
                return Ok(());
            }
        }
        self.refresh_shared().await?;
        self.waves(run, todo, options, report, on).await
    }

    /// What each server shows of the shared tables in its common database.
    async fn refresh_shared(&self) -> Result<()> {
        for server in self.catalog.server_list().await? {
            self.servers.get(&server.name).await?.engine.shared_refresh(None).await?;
        }
        Ok(())
    }

    async fn waves(
        &self,
        run: &Run,
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
            self.wave(run, wave, options, number + 1, report, on).await?;
            if (report.failed > 0 || run.is_cancelled()) && !todo.is_empty() {
                break;
            }
        }
        report.not_tried += todo.len();
        Ok(())
    }

    async fn wave(
        &self,
        run: &Run,
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
        // What runs already is let run to its end.
        let wanted = stream::iter(wave).take_while(|_| ready(!run.is_cancelled()));
        let mut running = wanted.map(|job| self.run(job)).buffer_unordered(options.parallel);
        while let Some(done) = running.next().await {
            left -= 1;
            let Ended { tried, gone } = done?;
            report.gone.extend(gone);
            run.note(tried.first().is_some_and(|done| done.error.is_some()));
            for done in tried {
                report.failed += usize::from(done.error.is_some());
                on(MigrateEvent::Done(done.clone()));
                report.targets.push(done);
            }
            if options.stop_after.is_some_and(|most| report.failed >= most) {
                break;
            }
        }
        report.not_tried += left;
        Ok(())
    }

    async fn run(&self, job: Job) -> Result<Ended> {
        let fleet = self.clone();
        // A task of its own: a caller that goes away leaves no target between its database and the catalog.
        let task = tokio::spawn(async move { fleet.run_to_end(job).await });
        task.await.map_err(|e| Error::new(ErrorKind::Internal, "a migration was cut off").caused_by(e))?
    }

    async fn run_to_end(&self, job: Job) -> Result<Ended> {
        let error = job.broken.clone();
        let mut report = TargetReport { target: job.name.clone(), version: job.version, applied: 0, error };
        let mut left = Left::default();
        if job.is_old && report.error.is_none() {
            let renewed = async {
                job.engine.renew(&job.target).await?;
                self.failpoints.hit("migrate.renewed").await
            };
            report.error = renewed.await.err().map(|error| error.failure());
        }
        if let (true, Some(tenant)) = (job.refresh, &job.tenant) {
            let refreshed = job.engine.shared_refresh(Some(&tenant.placement())).await;
            report.error = refreshed.err().map(|error| error.failure());
        }
        for script in job.data.iter().filter(|_| job.target == Target::Rows) {
            self.apply_to_each(&job, job.stragglers(), script, &mut left).await?;
        }
        if !left.failed.is_empty() {
            report.error = Some(lacking(format!("{} tenants lack changes of data", left.failed.len()), None));
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
                report.error = Some(error.failure());
            } else if !left.failed.is_empty() {
                let what = format!("{} could not be applied to {} tenants", script.file, left.failed.len());
                report.error = Some(lacking(what, Some(&script.file)));
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
        let found = self.catalog.tenant_find(&Name::Id(tenant.id)).await?;
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
                left.failed.push((tenant.clone(), error.failure()));
            } else if !left.gone.contains(&key) {
                left.gone.push(key);
            }
        }
        Ok(())
    }

    async fn note(
        &self,
        job: &Job,
        version: i64,
        failure: Option<Failure>,
        failed: &[(Tenant, Failure)],
    ) -> Result<()> {
        let failure = failure.map(|failure| failure.to_string());
        match (&job.target, &job.tenant) {
            (Target::Rows, _) => {
                let failed = match failure {
                    // The tables themselves could not be changed: that is every tenant's failure.
                    Some(why) if failed.is_empty() => job.rows.iter().map(|t| (t.id, why.clone())).collect(),
                    _ => failed.iter().map(|(t, why)| (t.id, why.to_string())).collect(),
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
    pub async fn verify(&self) -> Result<Vec<Mismatch>> {
        let mut found = Vec::new();
        let mut check = |job: Result<Option<Job>>| match job {
            Ok(Some(Job { name, broken: Some(failure), .. })) => found.push(Mismatch { target: Some(name), failure }),
            Ok(Some(job)) if !job.pending.is_empty() => found.push(job.lacks()),
            Ok(_) => {}
            Err(error) => found.push(Mismatch { target: None, failure: error.failure() }),
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
        if let Some(why) = jobs.iter().find_map(|job| job.broken.as_ref()) {
            return Err(Error::new(ErrorKind::Migration, why.to_string()).help("tenantry doctor"));
        }
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

/// What the tables that tenants have in common say of tenants of which each says its own.
fn lacking(what: String, file: Option<&str>) -> Failure {
    let error = Error::new(ErrorKind::Migration, what).help("tenantry migrate up --retry-failed");
    match file {
        Some(file) => error.at(file, None).failure(),
        None => error.failure(),
    }
}
