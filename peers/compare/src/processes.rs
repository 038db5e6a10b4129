//! CPU time and memory of processes, from /proc.

use std::{
    fs,
    ops::{Add, Sub},
    time::Duration,
};

/// One line of /proc/PID/stat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Process {
    id: u32,
    parent: u32,
    group: u32,
    ticks: u64,
}

/// The CPU time that everybody has used up to now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) app: Duration,
    pub(crate) database: Duration,
    /// Of the load generator itself.
    pub(crate) load: Duration,
    /// Of the whole machine.
    pub(crate) machine: Duration,
}

impl Used {
    /// By the process group of an app and by the main process of a server.
    pub(crate) fn now(app: u32, server: u32) -> Self {
        let all = all();
        let of = |is_meant: &dyn Fn(&Process) -> bool| time(all.iter().filter(|p| is_meant(p)).map(|p| p.ticks).sum());
        Self {
            app: of(&|p| p.group == app),
            // Each process of PostgreSQL leads a group of its own.
            database: of(&|p| p.id == server || p.parent == server),
            load: of(&|p| p.id == std::process::id()),
            machine: time(machine_ticks(&fs::read_to_string("/proc/stat").unwrap_or_default())),
        }
    }

    /// What others than those that we know have used.
    pub(crate) fn foreign(&self) -> Duration {
        self.machine.saturating_sub(self.app + self.database + self.load)
    }
}

impl Sub for Used {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            app: self.app.saturating_sub(before.app),
            database: self.database.saturating_sub(before.database),
            load: self.load.saturating_sub(before.load),
            machine: self.machine.saturating_sub(before.machine),
        }
    }
}

/// Memory in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident; what processes share is divided among them.
    pub(crate) proportional: u64,
    /// Resident, and nobody else's.
    pub(crate) private: u64,
}

impl Add for Memory {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { proportional: self.proportional + other.proportional, private: self.private + other.private }
    }
}

pub(crate) fn memory(ids: impl IntoIterator<Item = u32>) -> Memory {
    let one = |id| fs::read_to_string(format!("/proc/{id}/smaps_rollup")).map(|text| memory_of(&text));
    ids.into_iter().filter_map(|id| one(id).ok()).fold(Memory::default(), Add::add)
}

pub(crate) fn group(id: u32) -> Vec<u32> {
    all().into_iter().filter(|process| process.group == id).map(|process| process.id).collect()
}

fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stat = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("stat")).ok();
    entries
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .filter_map(stat)
        .filter_map(|s| process(&s))
        .collect()
}

/// `pid (comm) state ppid pgrp ...`; a name may hold spaces and brackets.
fn process(stat: &str) -> Option<Process> {
    let id = stat.split(' ').next()?.parse().ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // utime and stime, and those of children that have ended.
    let ticks = (11..15).map(number).sum::<Option<u64>>()?;
    Some(Process { id, parent: fields.get(1)?.parse().ok()?, group: fields.get(2)?.parse().ok()?, ticks })
}

/// Of the first line of /proc/stat: all but idle, waiting for a disk, and what guests count twice.
fn machine_ticks(stat: &str) -> u64 {
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).map(|f| f.parse().unwrap_or(0));
    let fields: Vec<u64> = fields.take(7).collect();
    fields.iter().enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, ticks)| ticks).sum()
}

fn memory_of(rollup: &str) -> Memory {
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Memory { proportional: field("Pss"), private: field("Private_Clean") + field("Private_Dirty") }
}

fn time(ticks: u64) -> Duration {
    Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_have_any_name() {
        let stat = "42 (a) b (c) S 7 9 9 0 -1 4194304 1 2 3 4 100 20 3 4 20 0 1 0 5 6";
        assert_eq!(process(stat), Some(Process { id: 42, parent: 7, group: 9, ticks: 127 }));
        assert_eq!(process("nonsense"), None);
    }

    #[test]
    fn waiting_is_no_work() {
        assert_eq!(machine_ticks("cpu  10 1 5 1000 50 2 3 4 99 99\ncpu0 1 1 1 1"), 10 + 1 + 5 + 2 + 3);
    }

    #[test]
    fn memory_is_read_by_the_names_of_its_lines() {
        let rollup =
            "55d (rollup)\nRss:  900 kB\nPss:    500 kB\nPss_Anon: 7 kB\nPrivate_Clean: 20 kB\nPrivate_Dirty: 300 kB\n";
        assert_eq!(memory_of(rollup), Memory { proportional: 500, private: 320 });
    }

    #[test]
    fn our_own_process_is_among_all() {
        let used = Used::now(std::process::id(), 0);
        assert!(all().iter().any(|process| process.id == std::process::id()));
        assert!(memory([std::process::id()]).private > 0 && used.machine > Duration::ZERO);
    }
}
