//! The machine, named only by what a figure depends on.

use std::{fs, thread};

pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

pub(crate) fn describe() -> String {
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| gibibytes(&text));
    let memory = memory.map(|memory| format!(" and {memory} GiB of memory")).unwrap_or_default();
    format!("{} cores{memory}", cores())
}

fn gibibytes(meminfo: &str) -> Option<u64> {
    let kibibytes: u64 =
        meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next())?.parse().ok()?;
    // The kernel keeps some for itself.
    Some((kibibytes + (1 << 19)) >> 20)
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_is_said_in_whole_gibibytes() {
        assert_eq!(super::gibibytes("MemTotal:       24585992 kB\nMemFree: 1 kB\n"), Some(23));
        assert_eq!(super::gibibytes("MemTotal:       16265992 kB\n"), Some(16));
        assert_eq!(super::gibibytes(""), None);
    }
}
