//! `tenantry migrate verify`.

use crate::{
    context::Context,
    exit::Exit,
    failure::Result,
    render::{self, progress::Progress, table, text},
};

pub(super) async fn run(context: &Context) -> Result<Exit> {
    let tenancy = context.open().await?;
    let progress = Progress::waiting(context, "comparing every history with the files");
    let findings = tenancy.migrations().verify().await?;
    drop(progress);
    render::answer(context, &serde_json::json!({ "findings": findings }), || {
        if findings.is_empty() {
            return "every history fits its files, and nothing is pending".into();
        }
        let lines: Vec<_> = findings.iter().map(|f| text::clean(&f.failure.to_string())).collect();
        format!("{}\n\n{} found", lines.join("\n"), table::count(findings.len(), "problem"))
    })?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Found })
}
