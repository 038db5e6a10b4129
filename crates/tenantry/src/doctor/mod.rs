//! `doctor`: looks for what would break the isolation, and tries to break it.

use std::{collections::HashSet, future::ready, pin::pin};

use futures_util::TryStreamExt;
use serde::Serialize;

use crate::{
    catalog::{Name, Server, TenantFilter},
    engine::{Engine, Finding, Placement},
    error::Result,
    id::TenantId,
    tenant::{Tenant, TenantState},
    tenantry::Tenantry,
};

mod attack_findings;
mod canary;
mod trials;

/// What `doctor` may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct DoctorOptions {
    repair: bool,
    read_only: bool,
}

impl DoctorOptions {
    /// Looks and tries, changes nothing that belongs to a tenant.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends what crashed processes left, removes canaries and orphans, and puts back what tenantry had made: row security, policies,
    /// owners and rights. What would drop something of the app's is only named.
    pub const fn repair(mut self, yes: bool) -> Self {
        self.repair = yes;
        self
    }

    /// Makes no canary tenants.
    pub const fn read_only(mut self, yes: bool) -> Self {
        self.read_only = yes;
        self
    }
}

/// What `doctor` found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DoctorReport {
    /// What is wrong, each with its repair.
    pub findings: Vec<Finding>,
    /// What was looked at, in words.
    pub checks: Vec<String>,
    /// What was repaired.
    pub repaired: Vec<String>,
}

// Here and not beside `Tenantry`, which knows nothing of who examines it.
impl Tenantry {
    /// Audits the isolation of every place, and makes two canary tenants that try to reach each other.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn doctor(&self, options: DoctorOptions) -> Result<DoctorReport> {
        examine(self, options).await
    }
}

async fn examine(tenantry: &Tenantry, options: DoctorOptions) -> Result<DoctorReport> {
    let mut report = DoctorReport::default();
    if options.repair {
        repair(tenantry, &mut report).await?;
        // A lease that ran out a moment after the first look belongs to this repair too.
        if report.findings.is_empty() && !tenantry.catalog().operation_list_abandoned().await?.is_empty() {
            repair(tenantry, &mut report).await?;
        }
    }
    operations(tenantry, &mut report).await?;
    // What cannot be looked at is a finding among the others: it must not hide what was found.
    let looked = places(tenantry, options, &mut report).await;
    report.note("places", looked);
    let looked = orphans(tenantry, options, &mut report).await;
    report.note("orphans", looked);
    let looked = migrations(tenantry, &mut report).await;
    report.note("migrations", looked);
    if !options.read_only {
        let tried = canary::try_to_bleed(tenantry, &mut report).await;
        report.note("canaries", tried);
    }
    Ok(report)
}

impl DoctorReport {
    fn note(&mut self, part: &str, looked: Result<()>) {
        if let Err(error) = looked {
            self.findings.push(Finding::of_error("not_examined", part, &error));
        }
    }
}

async fn repair(tenantry: &Tenantry, report: &mut DoctorReport) -> Result<()> {
    let recovered = tenantry.recover().await?;
    if recovered.finished > 0 {
        report
            .repaired
            .push(format!("{} operations of crashed processes were brought to their end", recovered.finished));
    }
    if recovered.purged > 0 {
        report.repaired.push(format!("{} tenants whose grace time was over were purged", recovered.purged));
    }
    for why in recovered.failed {
        report.findings.push(Finding {
            code: "operation_stuck",
            what: why.to_string(),
            repair: "fix the cause and run `tenantry doctor --repair` again".into(),
        });
    }
    let swept = canary::sweep(tenantry).await?;
    if swept > 0 {
        report.repaired.push(format!("{swept} canary tenants of an earlier doctor were removed"));
    }
    Ok(())
}

async fn operations(tenantry: &Tenantry, report: &mut DoctorReport) -> Result<()> {
    let abandoned = tenantry.catalog().operation_list_abandoned().await?;
    for abandoned in abandoned.iter().filter(|abandoned| !abandoned.is_of_fleet()) {
        report.findings.push(Finding {
            code: "operation_abandoned",
            what: format!("an operation on {} was left by a process that is gone", abandoned.on),
            repair: "tenantry doctor --repair".into(),
        });
    }
    report.checks.push("operations: looked for what crashed processes left".into());
    Ok(())
}

async fn places(tenantry: &Tenantry, options: DoctorOptions, report: &mut DoctorReport) -> Result<()> {
    let is_kept = |t: &Tenant| !matches!(t.state, TenantState::Provisioning | TenantState::Purging);
    let mut kept = pin!(tenantry.catalog().tenants(TenantFilter::all()).try_filter(|tenant| ready(is_kept(tenant))));
    let mut count = 0;
    while let Some(tenant) = kept.try_next().await? {
        let server = tenantry.servers().get(&tenant.server).await?;
        let placement = tenant.placement();
        match audited(&*server.engine, Some(&placement), options, report).await {
            Ok(findings) => report.findings.extend(findings),
            Err(error) => {
                let what = format!("the place of tenant `{}` cannot be audited", tenant.key);
                report.findings.push(Finding::of_error("place_unreadable", &what, &error));
            }
        }
        count += 1;
    }
    for server in tenantry.server_list().await? {
        let handle = tenantry.servers().get(&server.name).await?;
        if let Ok(wall) = handle.engine.wall().await
            && !wall.is_closed()
        {
            let (name, missing) = (&server.name, wall.missing.join(", "));
            report.checks.push(format!(
                "walls: server `{name}` has an open wall: {missing}; as a superuser of its database: {}",
                wall.close
            ));
        }
        match audited(&*handle.engine, None, options, report).await {
            Ok(findings) => report.findings.extend(findings),
            Err(error) => {
                let what = format!("server `{}` cannot be audited", server.name);
                report.findings.push(Finding::of_error("server_unreadable", &what, &error));
            }
        }
    }
    report.checks.push(format!("places: audited {count} tenants and their servers"));
    Ok(())
}

/// What is found at a place, or on a server, once what can be was mended.
async fn audited(
    engine: &dyn Engine,
    placement: Option<&Placement>,
    options: DoctorOptions,
    report: &mut DoctorReport,
) -> Result<Vec<Finding>> {
    let look = async || match placement {
        Some(placement) => engine.audit(placement).await,
        None => engine.audit_server().await,
    };
    let found = look().await?;
    if !options.repair {
        return Ok(found);
    }
    let mut has_mended = false;
    for finding in &found {
        match engine.mend(placement, finding).await {
            Ok(false) => {}
            Ok(true) => {
                has_mended = true;
                report.repaired.push(format!("{}: {}", finding.what, finding.repair));
            }
            Err(error) => report.findings.push(Finding::of_error("not_mended", &finding.what, &error)),
        }
    }
    if has_mended { look().await } else { Ok(found) }
}

async fn orphans(tenantry: &Tenantry, options: DoctorOptions, report: &mut DoctorReport) -> Result<()> {
    for server in tenantry.server_list().await? {
        let handle = tenantry.servers().get(&server.name).await?;
        // The places first: a tenant that is created in between is in the catalog when that is read.
        let places = match handle.engine.tenant_places().await {
            Ok(places) => places,
            Err(error) => {
                report.note(&format!("orphans on server `{}`", server.name), Err(error));
                continue;
            }
        };
        let known = known_places(tenantry, &server).await?;
        for place in places.iter().filter(|p| !known.contains(p.as_str())) {
            if options.repair && remove_orphan(tenantry, &handle, place).await {
                report.repaired.push(format!("the orphan `{place}` on server `{}` was removed", server.name));
                continue;
            }
            report.findings.push(orphan(&server.name, place, was_known(tenantry, place).await));
        }
    }
    report.checks.push("orphans: compared the servers with the catalog".into());
    Ok(())
}

async fn known_places(tenantry: &Tenantry, server: &Server) -> Result<HashSet<String>> {
    let common = tenantry.servers().get(&server.name).await?.engine.kind().names_are_common();
    let of = if common { TenantFilter::all() } else { TenantFilter::all().server(&server.name) };
    let place = |Tenant { physical, .. }: Tenant| physical.to_string();
    let mut places: HashSet<String> = tenantry.catalog().tenants(of).map_ok(place).try_collect().await?;
    places.extend(tenantry.catalog().canary_list().await?.into_iter().map(place));
    Ok(places)
}

fn orphan(server: &str, place: &str, was_known: bool) -> Finding {
    let what = format!("`{place}` on server `{server}` belongs to no tenant");
    if was_known {
        return Finding { code: "orphan", what, repair: "tenantry doctor --repair".into() };
    }
    // An old catalog that was restored, or a directory of another installation: this may be somebody's only copy.
    Finding {
        code: "stranger",
        what: format!("{what}, and this catalog has never heard of it"),
        repair: "look whose it is; restore the newest catalog, or move the file away by hand".into(),
    }
}

fn id_of(place: &str) -> Option<TenantId> {
    place.strip_prefix("t_").and_then(|id| id.parse().ok())
}

async fn was_known(tenantry: &Tenantry, place: &str) -> bool {
    match id_of(place) {
        Some(id) => tenantry.catalog().has_known(id).await.unwrap_or(false),
        None => false,
    }
}

/// Only what bears the name of a tenant's place, says itself whose it was, and whose tenant this catalog has known and
/// has nowhere any more, is removed: a tenant whose server was changed by hand keeps its data.
async fn remove_orphan(tenantry: &Tenantry, server: &crate::scope::ServerHandle, place: &str) -> bool {
    let Some(id) = id_of(place) else { return false };
    if !was_known(tenantry, place).await || !matches!(tenantry.catalog().tenant_find(&Name::Id(id)).await, Ok(None)) {
        return false;
    }
    // Nobody knows any more how it was kept apart: whatever bears its name goes, and every row of it.
    for &isolation in server.engine.capabilities().isolations {
        let orphan = Placement { id, isolation, physical: place.into(), login: None, password: None };
        if server.engine.tenant_place_drop(&orphan).await.is_err() {
            return false;
        }
    }
    true
}

async fn migrations(tenantry: &Tenantry, report: &mut DoctorReport) -> Result<()> {
    if tenantry.server_list().await?.is_empty() {
        return Ok(());
    }
    for mismatch in tenantry.migrations().verify().await? {
        let what = mismatch.failure.to_string();
        report.findings.push(Finding { code: "migration", what, repair: "tenantry migrate status".into() });
    }
    report.checks.push("migrations: compared every history with the files".into());
    Ok(())
}
