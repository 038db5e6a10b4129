//! `tenantry migrate tenantify`.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use similar::TextDiff;
use tenantry::Tenantified;

use super::files;
use crate::{
    context::Context,
    exit::Exit,
    failure::{Failure, Result},
    render::{self, text},
};

const NOTES: &str = "\
It adds the column tenant_id to each table and puts it in front of keys, unique constraints, indexes and foreign keys, makes
views run with the rights of whoever asks, and says by line what it cannot decide. The files before it in the folder are
read too, so that it knows their tables. The answer is a unified diff to review; nothing of this runs when migrations are
applied. Exit code 4 means that there is something to look at.

It is for files that were not applied yet: one that was is not changed any more.

Examples:
  tenantry migrate tenantify 0001_shop.sql            show what would change
  tenantry migrate tenantify 0001_shop.sql --write    show it, and rewrite the file";

/// Which file.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct Tenantify {
    /// A file of migrations/tenant: its name, or a path to it
    file: PathBuf,
    /// Rewrite the file in its place
    #[arg(long)]
    write: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    file: String,
    changed: bool,
    written: bool,
    diff: &'a str,
    notes: Vec<Remark<'a>>,
}

#[derive(Debug, Serialize)]
struct Remark<'a> {
    line: usize,
    what: &'a str,
}

impl Tenantify {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        let path = self.find(context)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = read(&path)?;
        let earlier = earlier(&path, &name)?;
        let earlier: Vec<_> = earlier.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let done = tenantry::tenantify(&name, &text, &earlier)?;
        let shown = path.display().to_string();
        let diff = unified(&shown, &text, &done.text);
        let written = self.write && done.changed;
        let notes = done.notes.iter().map(|note| Remark { line: note.line, what: &note.what }).collect();
        let report = Report { file: shown.clone(), changed: done.changed, written, diff: &diff, notes };
        if context.json {
            render::json_line(&report)?;
        } else {
            render::raw(in_words(&shown, &diff, &done).as_bytes())?;
        }
        if written {
            replace(&path, &done.text)?;
            render::hint(context, &format!("`{shown}` is rewritten: review it, then tenantry migrate plan"));
        }
        Ok(if done.notes.is_empty() { Exit::Ok } else { Exit::Found })
    }

    /// A name without a folder may stand for a file of the installation's own folder.
    fn find(&self, context: &Context) -> Result<PathBuf> {
        let bare = self.file.parent().is_some_and(|folder| folder.as_os_str().is_empty());
        if !bare || self.file.exists() {
            return Ok(self.file.clone());
        }
        let folder = context.settings()?.migrations.dir.join("tenant");
        let here = std::env::current_dir().unwrap_or_default();
        let folder = folder.strip_prefix(here).map_or_else(|_| folder.clone(), Path::to_path_buf);
        Ok(folder.join(&self.file))
    }
}

fn read(path: &Path) -> Result<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some((_, Some(engine))) = files::parse(&name)
        && engine != "postgres"
    {
        return Err(Failure::new(format!("`{}` is for {engine}, where tables stay plain", path.display()))
            .code("invalid_input")
            .help("convert the file without an engine in its name"));
    }
    let cannot = |e| Failure::new(format!("cannot read `{}`", path.display())).code("io").caused_by(e);
    fs::read_to_string(path).map_err(cannot)
}

/// The files before it in its folder that apply on PostgreSQL, by version.
fn earlier(path: &Path, name: &str) -> Result<Vec<(String, String)>> {
    let Some((version, _)) = files::parse(name) else { return Ok(Vec::new()) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |e| Failure::new(format!("cannot read `{}`", folder.display())).code("io").caused_by(e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name().to_string_lossy().into_owned();
        match files::parse(&name) {
            Some((before, engine)) if before < version && engine.is_none_or(|engine| engine == "postgres") => {
                found.push((before, engine.is_none(), name));
            }
            _ => {}
        }
    }
    // Of two files of one version PostgreSQL's own one counts.
    found.sort();
    found.dedup_by_key(|(version, ..)| *version);
    found.into_iter().map(|(_, _, name)| Ok((name.clone(), read(&folder.join(&name))?))).collect()
}

fn unified(file: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().context_radius(3).header(file, file).to_string()
}

fn in_words(file: &str, diff: &str, done: &Tenantified) -> String {
    let mut words = if std::io::stdout().is_terminal() { for_a_terminal(diff) } else { diff.to_owned() };
    if done.notes.is_empty() && diff.is_empty() {
        return format!("{}: nothing has to change\n", text::clean(file));
    }
    if !done.notes.is_empty() && !diff.is_empty() {
        words.push('\n');
    }
    for note in &done.notes {
        words.push_str(&format!("{}:{}: {}\n", text::clean(file), note.line, text::clean(&note.what)));
    }
    words
}

/// Without characters that steer a terminal; elsewhere the difference is exact, for `patch`.
fn for_a_terminal(diff: &str) -> String {
    let clean = |line: &str| line.split('\t').map(text::clean).collect::<Vec<_>>().join("\t");
    diff.lines().map(|line| clean(line) + "\n").collect()
}

/// Whole or not at all, with the rights that the file has.
fn replace(path: &Path, text: &str) -> Result<()> {
    let cannot = |e| Failure::new(format!("cannot write `{}`", path.display())).code("io").caused_by(e);
    let fresh = path.with_extension(format!("making-{}", std::process::id()));
    let written = fs::metadata(path).and_then(|now| {
        fs::write(&fresh, text)?;
        fs::set_permissions(&fresh, now.permissions())?;
        fs::rename(&fresh, path)
    });
    written.map_err(cannot)
}
