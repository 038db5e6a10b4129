//! `tenantry operation`.

use clap::Subcommand;
use serde_json::{Map, Value};
use tenantry::{OperationFilter, OperationStatus};

use crate::{
    context::Context,
    exit::Exit,
    failure::Result,
    render::{self, table, time},
};

const EXAMPLES: &str = "\
An operation creates or purges a tenant, or migrates a fleet. It is written into a journal, step by step: what a crash left
is taken over after 10 s, by a running app or by `tenantry doctor --repair`.

Examples:
  tenantry operation list          those that run
  tenantry operation list --all    those that have ended too
  tenantry operation list --all --json | jq '.[] | select(.state == \"failed\")'";

/// What to do with operations.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Operation {
    /// List operations, the newest first
    #[command(visible_alias = "ls")]
    List {
        /// Those that have ended too
        #[arg(long)]
        all: bool,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
        limit: u16,
        /// Those before this one: the next page
        #[arg(long, value_name = "ID")]
        before: Option<String>,
    },
    /// Show one operation: what it was given, how far it is and what came of it
    Show {
        /// Its id
        id: String,
    },
    /// Ask that an operation be given up; it stops before its next step
    Cancel {
        /// Its id
        id: String,
    },
}

impl Operation {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit> {
        let tenancy = context.open().await?;
        match self {
            Self::List { all, limit, before } => {
                let mut filter = OperationFilter::all().limit(limit.into());
                if !all {
                    filter = filter.running();
                }
                if let Some(id) = before {
                    filter = filter.before(id);
                }
                let found = tenancy.operation_list(&filter).await?;
                render::answer(context, &found, || in_words(&found))?;
            }
            Self::Show { id } => {
                let found = tenancy.operation_get(&id).await?;
                render::answer(context, &found, || table::sheet(sheet(&found)))?;
            }
            Self::Cancel { id } => {
                tenancy.operation_cancel(&id).await?;
                let said = serde_json::json!({ "cancelled": id });
                render::answer(context, &said, || format!("operation `{id}` stops before its next step"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn in_words(found: &[OperationStatus]) -> String {
    let rows = found.iter().map(|o| {
        [
            o.id.clone(),
            o.kind.clone(),
            subject(o),
            state(o),
            o.progress.as_ref().map_or_else(String::new, pairs),
            began(o),
        ]
    });
    table::table(["id", "operation", "on", "state", "progress", "began (UTC)"], rows)
}

fn sheet(operation: &OperationStatus) -> Vec<(&'static str, String)> {
    let mut pairs_of = vec![
        ("id", operation.id.clone()),
        ("operation", operation.kind.clone()),
        ("on", subject(operation)),
        ("state", state(operation)),
        ("began", format!("{} UTC", began(operation))),
        ("last heard of", format!("{} UTC", time::utc(operation.updated_at))),
    ];
    let records = [("given", &operation.input), ("progress", &operation.progress), ("result", &operation.result)];
    pairs_of.extend(records.into_iter().filter_map(|(name, value)| Some((name, pairs(value.as_ref()?)))));
    let step = operation.step.clone().filter(|_| operation.state == "running" || operation.state == "failed");
    pairs_of.extend(step.map(|step| ("last step", step)));
    pairs_of.extend(operation.error.clone().map(|error| ("error", error)));
    pairs_of
}

fn began(operation: &OperationStatus) -> String {
    time::utc(operation.created_at)
}

/// The key where it is known, for an id says nothing to people.
fn subject(operation: &OperationStatus) -> String {
    let key = operation.input.as_ref().and_then(|input| input.get("key")).and_then(Value::as_str);
    match (key, operation.tenant) {
        (Some(key), _) => key.to_owned(),
        (None, Some(id)) => id.to_string(),
        (None, None) => "the fleet".into(),
    }
}

fn state(operation: &OperationStatus) -> String {
    let is_asked = operation.is_cancelled && operation.state == "running";
    if is_asked { "running, to be cancelled".into() } else { operation.state.clone() }
}

/// `done 3, failed 0, targets 12`; the form of the record and what says nothing are left out.
fn pairs(record: &Value) -> String {
    let none = Map::new();
    let fields = record.as_object().unwrap_or(&none).iter();
    let shown = fields.filter(|(name, value)| *name != "form" && !is_empty(value)).map(|(name, value)| match value {
        Value::String(text) => format!("{} {text}", name.replace('_', " ")),
        other => format!("{} {other}", name.replace('_', " ")),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_shown_in_words_without_what_says_nothing() {
        let record =
            json!({ "form": 1, "only": null, "parallel": 4, "waves": [], "retry_failed": false, "not_tried": 0 });
        assert_eq!(pairs(&record), "not tried 0, parallel 4");
        assert_eq!(pairs(&json!({ "form": 1, "key": "acme" })), "key acme");
        assert_eq!(pairs(&json!({ "form": 1 })), "");
    }
}
