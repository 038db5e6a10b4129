//! [`Job`]: one target of a fleet, with what is to be done to it.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Fleet, MigrateOptions, Mismatch, plan};
use crate::{
    catalog::{Name, TenantFilter},
    engine::{Engine, Script, ScriptKind, Target},
    error::{Error, ErrorKind, Failure, Result},
    scope::ServerHandle,
    tenant::{Isolation, Tenant, TenantState},
};

/// One target with its files, and where it stands.
pub(super) struct Job {
    pub(super) name: String,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) target: Target,
    pub(super) tenant: Option<Tenant>,
    /// The tenants that have the target's tables in common.
    pub(super) rows: Vec<Tenant>,
    pub(super) server: String,
    pub(super) version: i64,
    pub(super) pending: Vec<Arc<Script>>,
    /// It has a form of the shared tables of its own, which shows those at home.
    pub(super) shows_shared: bool,
    /// That form is an older one.
    pub(super) refresh: bool,
    /// A program of an older version has made it, and it is brought to the form of this one first of all.
    pub(super) is_old: bool,
    /// Data files that every tenant of tables in common has to have by now.
    pub(super) data: Vec<Arc<Script>>,
    /// Why it is not known what was applied to it: the tenant's place is not there any more.
    pub(super) broken: Option<Failure>,
}

impl Job {
    fn broken(tenant: Tenant, server: &ServerHandle, why: Failure) -> Self {
        Self {
            name: tenant.key.to_string(),
            engine: Arc::clone(&server.engine),
            target: Target::Tenant(tenant.placement()),
            rows: Vec::new(),
            server: server.name.clone(),
            version: tenant.version,
            tenant: Some(tenant),
            pending: Vec::new(),
            shows_shared: false,
            refresh: false,
            is_old: false,
            data: Vec::new(),
            broken: Some(why),
        }
    }

    /// That files are still to be applied.
    pub(super) fn lacks(&self) -> Mismatch {
        let (version, pending) = (self.version, self.pending.len());
        let what = format!("{}: at version {version}, {pending} files pending", self.name);
        let error = Error::new(ErrorKind::NotMigrated, what).help("tenantry migrate up");
        Mismatch { target: Some(self.name.clone()), failure: error.failure() }
    }

    /// Tenants that an older program has made since the tables in common were migrated.
    pub(super) fn stragglers(&self) -> impl Iterator<Item = &Tenant> {
        self.rows.iter().filter(|tenant| tenant.version < self.version)
    }
}

impl Fleet {
    /// The targets in their order, with what is pending.
    ///
    /// # Errors
    /// The first history that does not fit its files: then nothing may be applied to anything.
    pub(super) async fn jobs(&self, options: &MigrateOptions) -> Result<Vec<Job>> {
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

    pub(super) async fn tenants(&self, options: &MigrateOptions) -> Result<Vec<Tenant>> {
        let mut all: Vec<Tenant> = if options.retry_failed {
            self.catalog.failure_list().await?.into_iter().map(|(tenant, _)| tenant).collect()
        } else {
            self.catalog.tenants(TenantFilter::all()).try_collect().await?
        };
        // Waves go by the names that an operator sees.
        all.sort_by(|one, other| one.key.cmp(&other.key));
        let wanted = |t: &Tenant| options.only.as_ref().is_none_or(|glob| glob.is_match(t.key.as_str()));
        Ok(all.into_iter().filter(|t| is_there(t) && wanted(t)).collect())
    }

    pub(super) async fn shared_job(&self) -> Result<Job> {
        let home = self.servers.home().await?;
        let scripts = self.migrations.shared(home.engine.kind());
        self.job("shared".into(), &home, Target::Shared, &scripts).await
    }

    /// One for each server that has tables which tenants of row isolation have in common. They are migrated for all of
    /// these tenants or for none.
    pub(super) async fn rows_jobs(&self, options: &MigrateOptions, wanted: &[Tenant]) -> Result<Vec<Job>> {
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
            let scripts = self.migrations.tenant(handle.engine.kind());
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
    pub(super) async fn tenant_job(&self, tenant: Tenant) -> Result<Option<Job>> {
        let server = self.servers.get(&tenant.server).await?;
        let scripts = self.migrations.tenant(server.engine.kind());
        let target = Target::Tenant(tenant.placement());
        match self.job(tenant.key.to_string(), &server, target, &scripts).await {
            Ok(job) => Ok(Some(Job { tenant: Some(tenant), ..job })),
            Err(error) => match self.catalog.tenant_find(&Name::Id(tenant.id)).await? {
                Some(t) if t.state != TenantState::Purging && is_missing(&error) => {
                    Ok(Some(Job::broken(tenant, &server, error.failure())))
                }
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
            is_old: ledger.is_old,
            data,
            broken: None,
        })
    }
}

/// Whether it has tables to migrate.
const fn is_there(tenant: &Tenant) -> bool {
    !matches!(tenant.state, TenantState::Provisioning | TenantState::Purging)
}

/// Whether it says that one tenant's file or database is not there. Of any other error each target would say the same.
fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Isolation)
}
