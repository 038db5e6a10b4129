//! `tenantry migrate status`: what the catalog knows, without opening a tenant.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;
use tenantry::{Server, TenantFilter, TenantState, Tenantry};

use super::files;
use crate::{
    context::Context,
    exit::Exit,
    failure::Result,
    render::{self, table},
};

#[derive(Debug, Serialize)]
struct Status {
    /// Whether the shared tables and every tenant are at the newest version.
    up_to_date: bool,
    shared: Option<Shared>,
    versions: Vec<Version>,
    failures: Vec<Failed>,
}

#[derive(Debug, Serialize)]
struct Shared {
    server: String,
    version: i64,
    newest: i64,
}

/// So many tenants of an engine are at this version.
#[derive(Debug, Serialize)]
struct Version {
    engine: String,
    version: i64,
    newest: i64,
    tenants: usize,
}

#[derive(Debug, Serialize)]
struct Failed {
    tenant: String,
    version: i64,
    why: String,
}

pub(super) async fn run(context: &Context) -> Result<Exit> {
    let files = context.settings()?.migrations.dir;
    let status = Status::read(context.open().await?, &files).await?;
    render::answer(context, &status, || status.in_words())?;
    if !status.failures.is_empty() {
        render::hint(context, "fix the cause, then: tenantry migrate up --retry-failed");
    } else if !status.up_to_date {
        render::hint(context, "next: tenantry migrate plan, tenantry migrate up");
    }
    Ok(Exit::Ok)
}

impl Status {
    async fn read(tenancy: &Tenantry, files: &Path) -> Result<Self> {
        let servers = tenancy.server_list().await?;
        let shared = servers.first().map(|home| shared(home, files)).transpose()?;
        let versions = versions(tenancy, &servers, files).await?;
        let failures = tenancy.migration_failures().await?;
        let failures = failures
            .into_iter()
            .map(|failed| Failed {
                tenant: failed.tenant.key.to_string(),
                version: failed.tenant.version,
                why: failed.why,
            })
            .collect();
        let up_to_date = shared.iter().all(|s| s.version >= s.newest) && versions.iter().all(|v| v.version >= v.newest);
        Ok(Self { up_to_date, shared, versions, failures })
    }

    fn in_words(&self) -> String {
        let state = |version: i64, newest: i64| {
            if version < newest { format!("behind: {newest} is the newest") } else { "up to date".into() }
        };
        let mut rows = Vec::new();
        if let Some(Shared { server, version, newest }) = &self.shared {
            rows.push([
                format!("shared tables on `{server}`"),
                version.to_string(),
                String::new(),
                state(*version, *newest),
            ]);
        }
        for Version { engine, version, newest, tenants } in &self.versions {
            let what = format!("tenants on {engine}");
            rows.push([what, version.to_string(), tenants.to_string(), state(*version, *newest)]);
        }
        let mut text = table::table(["what", "version", "tenants", "state"], rows);
        if !self.failures.is_empty() {
            let rows = self.failures.iter().map(|f| [f.tenant.clone(), f.version.to_string(), f.why.clone()]);
            text.push_str("\n\n");
            text.push_str(&table::table(["tenant", "version", "why it failed"], rows));
        }
        text
    }
}

fn shared(home: &Server, files: &Path) -> Result<Shared> {
    let newest = files::newest(&files.join("shared"), Some(&home.engine))?;
    Ok(Shared { server: home.name.clone(), version: home.shared_version, newest })
}

async fn versions(tenancy: &Tenantry, servers: &[Server], files: &Path) -> Result<Vec<Version>> {
    let mut counts: BTreeMap<(&str, i64), usize> = BTreeMap::new();
    for tenant in tenancy.tenant_list(&TenantFilter::all()).await? {
        if matches!(tenant.state, TenantState::Provisioning | TenantState::Purging) {
            continue;
        }
        let engine = servers.iter().find(|s| s.name == tenant.server).map_or("?", |s| s.engine.as_str());
        *counts.entry((engine, tenant.version)).or_default() += 1;
    }
    let mut versions = Vec::new();
    for ((engine, version), tenants) in counts {
        let newest = files::newest(&files.join("tenant"), Some(engine))?;
        versions.push(Version { engine: engine.to_owned(), version, newest, tenants });
    }
    Ok(versions)
}
