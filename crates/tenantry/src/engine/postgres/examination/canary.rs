//! What the canaries of `doctor` try on each other, and the tables they try it on.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use crate::{
    engine::{
        Attack, Attacks, CanaryTables, Placement, Trials,
        postgres::{
            administration::{layout, site::Site},
            names::{Names, TENANT, literal, quoted},
            rules,
            session::control::Control,
        },
    },
    error::Result,
    ident::Ident,
    tenant::Isolation,
};

/// Every canary's tables have names of their own: two doctors at once are in nobody's way.
fn tables_of(first: &Placement) -> Result<CanaryTables> {
    let id = first.id.as_uuid().as_simple().to_string();
    Ok(CanaryTables {
        parent: Ident::new(format!("tenantry_canary_{id}"))?,
        child: Ident::new(format!("tenantry_canary_{id}_child"))?,
    })
}

fn definition(tables: &CanaryTables) -> String {
    let CanaryTables { parent, child } = tables;
    format!(
        "CREATE TABLE IF NOT EXISTS {parent} (
             tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL, secret text NOT NULL,
             PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, secret));
         CREATE TABLE IF NOT EXISTS {child} (
             tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL, parent_id bigint NOT NULL,
             PRIMARY KEY (tenant_id, id),
             FOREIGN KEY (tenant_id, parent_id) REFERENCES {parent} (tenant_id, id) ON DELETE CASCADE)"
    )
}

pub(crate) async fn prepare(
    control: &Control,
    names: &Names,
    canaries: [&Placement; 2],
) -> Result<Option<CanaryTables>> {
    let tables = tables_of(canaries[0])?;
    for canary in canaries {
        let site = Site::tenant(names, canary);
        let database = (canary.isolation == Isolation::Database).then(|| names.of_tenant(&canary.physical));
        let mut own = control.admin_of(database.as_deref()).await?;
        make(&mut own.connection, names, &site, &definition(&tables)).await?;
        own.close().await;
    }
    Ok(Some(tables))
}

/// Made and walled as a file of migrations is, but written into no ledger.
async fn make(connection: &mut PgConnection, names: &Names, site: &Site, definition: &str) -> Result<()> {
    let owner = layout::owner_of(connection, &site.schema).await?;
    let (schema, owner) = (quoted(&site.schema), quoted(&owner));
    let is_row = site.rules() == Some(rules::Rules::Row);
    let text = format!(
        "BEGIN; SET LOCAL lock_timeout = '2s'; SET LOCAL search_path = {schema}; SET LOCAL ROLE {owner}; {definition}"
    );
    connection.execute(AssertSqlSafe(text)).await?;
    if is_row {
        rules::protect(connection, &site.subject(names)?.as_ref(), "tenantry\\_canary\\_%").await?;
    }
    connection.execute("COMMIT").await?;
    Ok(())
}

/// In tables that tenants have in common nothing goes with the canaries but their rows.
pub(crate) async fn clean(control: &Control, tables: &CanaryTables) -> Result<()> {
    let mut admin = control.admin().await?;
    let text = format!("DROP TABLE IF EXISTS {TENANT}.{}, {TENANT}.{}", tables.child, tables.parent);
    admin.execute(AssertSqlSafe(text)).await?;
    admin.done();
    Ok(())
}

/// The victim has row 7 in the parent table, and a child of it.
pub(crate) fn attacks(names: &Names, victim: &Placement, tables: Option<&CanaryTables>) -> Attacks {
    let (id, role) = (literal(&victim.id.to_string()), quoted(&names.of_tenant(&victim.physical)));
    let schema = if victim.isolation == Isolation::Schema { quoted(&victim.physical) } else { quoted(TENANT) };
    let mut refused: Vec<Attack> = [
        "RESET ROLE",
        "RESET ALL",
        "SET ROLE NONE",
        "SET SCHEMA 'tenantry'",
        "COMMIT AND CHAIN",
        "ROLLBACK AND CHAIN",
        "SELECT 1; COMMIT; SELECT 1",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SET search_path = pg_catalog",
        "SET LOCAL row_security = off",
        "BEGIN",
        "SELECT 1; COMMIT",
        "SELECT * FROM tenantry.migrations",
        "SELECT rolpassword FROM pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        "LISTEN tenantry_canary",
        "PREPARE tenantry_canary AS SELECT 1",
    ]
    .map(Attack::new)
    .into();
    let changing = [
        "DROP OWNED BY CURRENT_USER",
        "ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC",
        "CREATE TABLE tenantry_canary (a int)",
        "CREATE TEMP TABLE tenantry_canary (a int)",
        "CREATE FUNCTION tenantry_canary() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "UPDATE tenantry.place SET owner = owner",
    ];
    refused.extend(changing.map(|text| Attack::new(text).undone()));
    refused.push(Attack::new(format!("SET ROLE {role}")));
    if victim.isolation == Isolation::Row
        && let Some(CanaryTables { parent, .. }) = tables
    {
        refused.push(Attack::new(format!("LOCK TABLE {parent} IN ACCESS EXCLUSIVE MODE")));
    }
    refused.push(Attack::new(format!("SET LOCAL tenantry.tenant = {id}")));
    if let Some(CanaryTables { parent, child }) = tables {
        let changing = [
            format!("TRUNCATE {parent}, {child}"),
            format!("ALTER TABLE {parent} DISABLE ROW LEVEL SECURITY"),
            format!("DROP TABLE {child}"),
        ];
        refused.extend(changing.map(|text| Attack::new(text).undone()));
        // The victim has it; to the attacker it must be as one that is nowhere.
        let insert = format!("INSERT INTO {child} (id, parent_id) VALUES (70, 7)");
        refused.push(Attack::new(insert).or_codes(&["23503"]));
    }
    let trials = tables.map(|tables| trials(tables, victim, &schema));
    Attacks { refused, trials, whose: "SELECT tenantry.tenant()::text" }
}

fn trials(tables: &CanaryTables, victim: &Placement, schema: &str) -> Trials {
    let (CanaryTables { parent, child }, key) = (tables, Trials::KEY);
    let secret = format!("secret of {}", victim.id);
    Trials {
        plant: vec![
            format!("INSERT INTO {parent} (id, secret) VALUES ({key}, {})", literal(&secret)),
            format!("INSERT INTO {child} (id, parent_id) VALUES (1, {key})"),
        ],
        secret,
        rows: format!(
            "SELECT p::text || coalesce(c::text, '') FROM {parent} p LEFT JOIN {child} c ON c.parent_id = p.id"
        ),
        tried: tried(tables, victim, schema),
        look: format!("SELECT secret FROM {parent}"),
        look_by_key: format!("SELECT secret FROM {parent} WHERE id = $1"),
        slow: format!("SELECT secret FROM {parent}, pg_sleep(0.05)"),
        clear: vec![format!("DELETE FROM {child}"), format!("DELETE FROM {parent}")],
    }
}

fn tried(tables: &CanaryTables, victim: &Placement, schema: &str) -> Vec<Attack> {
    let (CanaryTables { parent, child }, id) = (tables, literal(&victim.id.to_string()));
    [
        format!("SELECT secret FROM {parent} WHERE tenant_id = {id}"),
        format!("SELECT secret FROM {schema}.{parent}"),
        format!("SELECT secret::int FROM {parent} WHERE tenant_id = {id}"),
        format!("SELECT p.secret FROM {parent} p RIGHT JOIN {child} c ON p.id = c.parent_id"),
        format!("INSERT INTO {parent} (tenant_id, id, secret) VALUES ({id}, 8, 'planted')"),
        format!("UPDATE {parent} SET tenant_id = {id}, id = id + 1000"),
        format!("UPDATE {schema}.{parent} SET secret = 'changed' WHERE id = 7"),
        format!("DELETE FROM {schema}.{parent} WHERE id = 7"),
        format!("DELETE FROM {parent}"),
        format!(
            "INSERT INTO {parent} (tenant_id, id, secret) VALUES ({id}, 7, 'changed')
             ON CONFLICT (tenant_id, id) DO UPDATE SET secret = 'changed' RETURNING secret"
        ),
        format!(
            "MERGE INTO {parent} p USING (VALUES ({id}::uuid, 7)) v (t, i) ON p.tenant_id = v.t AND p.id = v.i
             WHEN MATCHED THEN DELETE"
        ),
        format!("WITH d AS (DELETE FROM {parent} WHERE tenant_id = {id} RETURNING secret) SELECT secret FROM d"),
    ]
    .map(Attack::new)
    .into()
}
