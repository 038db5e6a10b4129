//! `tenantry tenant create --from FILE.csv`.

use std::{collections::HashMap, path::Path};

use csv::StringRecord;
use futures_util::{StreamExt, stream};
use serde::Serialize;
use tenantry::{NewTenant, Tenant, Tenantry};

use super::wish::Wish;
use crate::{
    context::Context,
    exit::Exit,
    failure::{Failure, Result},
    interrupt::Interrupt,
    render::{self, error::ErrorView, progress::Progress, table},
};

/// One line of the file.
struct Line {
    number: u64,
    key: String,
    new: Result<NewTenant>,
}

/// How it went with a line.
enum Outcome {
    Created(Tenant),
    Skipped,
    Failed(Failure),
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Planned { tenants: usize },
    Created { line: u64, tenant: &'a Tenant },
    Skipped { line: u64, key: &'a str },
    Failed { line: u64, key: &'a str, error: ErrorView<'a> },
    Report(&'a Report),
}

#[derive(Debug, Default, Serialize)]
struct Report {
    created: usize,
    skipped: usize,
    failed: usize,
    not_tried: usize,
    interrupted: bool,
}

pub(super) async fn run(context: &Context, file: &Path, parallel: usize, skip_existing: bool) -> Result<Exit> {
    let tenancy = context.open().await?;
    let lines = read(tenancy, file)?;
    context.interrupt.attend();
    if context.json {
        render::json_line(&Event::Planned { tenants: lines.len() })?;
    }
    let progress = Progress::new(context, lines.len());
    let mut report = Report { not_tried: lines.len(), ..Report::default() };
    let mut failures = Vec::new();
    let mut running = stream::iter(lines).map(|line| create(tenancy, line, skip_existing)).buffer_unordered(parallel);
    let stopped = Interrupt::come();
    tokio::pin!(stopped);
    loop {
        let (line, key, outcome) = tokio::select! {
            done = running.next() => match done { Some(done) => done, None => break },
            () = &mut stopped => { report.interrupted = true; break }
        };
        progress.one_more(&key);
        report.not_tried -= 1;
        count(&mut report, &outcome);
        if context.json {
            tell(line, &key, &outcome)?;
        }
        if let Outcome::Failed(failure) = outcome {
            failures.push((line, key, failure));
        }
    }
    drop(progress);
    finish(context, &report, failures)
}

fn count(report: &mut Report, outcome: &Outcome) {
    *match outcome {
        Outcome::Created(_) => &mut report.created,
        Outcome::Skipped => &mut report.skipped,
        Outcome::Failed(_) => &mut report.failed,
    } += 1;
}

fn tell(line: u64, key: &str, outcome: &Outcome) -> Result<()> {
    render::json_line(&match outcome {
        Outcome::Created(tenant) => Event::Created { line, tenant },
        Outcome::Skipped => Event::Skipped { line, key },
        Outcome::Failed(failure) => Event::Failed { line, key, error: failure.into() },
    })
}

fn finish(context: &Context, report: &Report, mut failures: Vec<(u64, String, Failure)>) -> Result<Exit> {
    render::answer(context, &Event::Report(report), || {
        let mut text = format!(
            "{} created, {} skipped, {} failed",
            table::count(report.created, "tenant"),
            report.skipped,
            report.failed
        );
        if report.not_tried > 0 {
            text.push_str(&format!(", {} not tried", report.not_tried));
        }
        if !failures.is_empty() {
            failures.sort_by_key(|(line, ..)| *line);
            let rows = failures.iter().map(|(line, key, why)| [line.to_string(), key.clone(), why.in_one_line()]);
            text = format!("{}\n\n{text}", table::table(["line", "key", "why it failed"], rows));
        }
        text
    })?;
    Ok(match report {
        Report { interrupted: true, .. } => Exit::Interrupted,
        Report { failed: 0, .. } => Exit::Ok,
        _ => Exit::PartFailed,
    })
}

async fn create(tenancy: &Tenantry, line: Line, skip_existing: bool) -> (u64, String, Outcome) {
    let Line { number, key, new } = line;
    let outcome = match new {
        Err(failure) => Outcome::Failed(failure),
        Ok(new) => match tenancy.tenant_create(new).await {
            Ok(tenant) => Outcome::Created(tenant),
            Err(error) if skip_existing && error.is_taken() && exists(tenancy, &key).await => Outcome::Skipped,
            Err(error) => Outcome::Failed(error.into()),
        },
    };
    (number, key, outcome)
}

/// What is taken may be a domain, or the key of a tenant that was purged a moment ago: those are failures.
async fn exists(tenancy: &Tenantry, key: &str) -> bool {
    tenancy.tenant_find(key).await.is_ok()
}

const COLUMNS: [&str; 4] = ["key", "isolation", "server", "domain"];

fn read(tenancy: &Tenantry, file: &Path) -> Result<Vec<Line>> {
    let cannot = || format!("cannot read `{}`", file.display());
    let text = std::fs::read(file).map_err(|e| Failure::new(cannot()).code("io").caused_by(e))?;
    let mut reader = csv::Reader::from_reader(&text[..]);
    let titles = reader.headers().map_err(|e| Failure::new(cannot()).caused_by(e))?.clone();
    check_titles(&titles, file)?;
    let mut seen = HashMap::new();
    let mut lines = Vec::new();
    for record in reader.records() {
        let line = match record {
            Ok(record) => line_of(tenancy, &titles, &record, number_of(&text, record.position()), &mut seen),
            Err(error) => {
                let number = number_of(&text, error.position());
                Line { number, key: String::new(), new: Err(Failure::new(reason(&error)).code("invalid_input")) }
            }
        };
        lines.push(line);
    }
    Ok(lines)
}

/// The line as an editor counts it: the position is where the last record ended, before its line feed and empty lines.
fn number_of(text: &[u8], position: Option<&csv::Position>) -> u64 {
    let end = position.map_or(0, |at| usize::try_from(at.byte()).unwrap_or(usize::MAX)).min(text.len());
    let empty = text[end..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let feeds = text[..end + empty].iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(feeds).map_or(u64::MAX, |feeds| feeds + 1)
}

fn reason(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the line has {len} fields, the titles have {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "the line is not UTF-8".into(),
        _ => error.to_string(),
    }
}

fn check_titles(titles: &StringRecord, file: &Path) -> Result<()> {
    let bad = |why: String| {
        Err(Failure::new(format!("`{}` cannot be used: {why}", file.display()))
            .code("invalid_input")
            .help("the first line names the columns, parted by commas and without spaces: key,isolation,server,domain; only key is required"))
    };
    for (at, title) in titles.iter().enumerate() {
        if !COLUMNS.contains(&title) {
            return bad(format!("there is no column {title:?}"));
        }
        if titles.iter().take(at).any(|earlier| earlier == title) {
            return bad(format!("the column `{title}` appears twice"));
        }
    }
    if !titles.iter().any(|title| title == "key") {
        return bad("the column `key` is missing".into());
    }
    Ok(())
}

fn line_of(
    tenancy: &Tenantry,
    titles: &StringRecord,
    record: &StringRecord,
    number: u64,
    seen: &mut HashMap<String, u64>,
) -> Line {
    let field = |name: &str| {
        titles.iter().zip(record).find(|(title, text)| *title == name && !text.is_empty()).map(|(_, text)| text)
    };
    let key = field("key").unwrap_or_default();
    let new = match seen.get(key) {
        Some(first) => Err(Failure::new(format!("the key stands on line {first} already")).code("taken")),
        None => wish(key, &field).and_then(|wish| Ok(wish.check(tenancy)?)),
    };
    seen.entry(key.to_owned()).or_insert(number);
    Line { number, key: key.to_owned(), new }
}

fn wish<'a>(key: &'a str, field: &impl Fn(&str) -> Option<&'a str>) -> Result<Wish<'a>> {
    let isolation = field("isolation").map(str::parse).transpose()?;
    let domains = field("domain").unwrap_or_default();
    let parted = |c: char| c == ';' || c.is_whitespace();
    let domains = domains.split(parted).filter(|host| !host.is_empty()).collect();
    Ok(Wish { key, isolation, server: field("server"), domains })
}
