//! Versions of the server that are known to let rows through row security.

use crate::engine::Finding;

/// A hole, and for each major version the first minor one without it. An older major never got the repair; a newer one
/// was never without it.
struct Hole {
    name: &'static str,
    repaired: &'static [(u32, u32)],
}

const HOLES: &[Hole] = &[
    Hole { name: "CVE-2017-7484", repaired: &[(10, 0)] },
    Hole { name: "CVE-2019-10130", repaired: &[(10, 8), (11, 3)] },
    Hole { name: "CVE-2023-2455", repaired: &[(11, 20), (12, 15), (13, 11), (14, 8), (15, 3)] },
    Hole { name: "CVE-2024-10976", repaired: &[(12, 21), (13, 17), (14, 14), (15, 9), (16, 5), (17, 1)] },
    Hole { name: "CVE-2025-8713", repaired: &[(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)] },
];

impl Hole {
    fn is_in(&self, major: u32, minor: u32) -> bool {
        match self.repaired.iter().find(|(m, _)| *m == major) {
            Some((_, first)) => minor < *first,
            None => self.repaired.first().is_some_and(|(oldest, _)| major < *oldest),
        }
    }
}

/// The holes of a `server_version_num`, such as `150018`.
pub(crate) fn known_holes(version_num: u32) -> Vec<&'static str> {
    let (major, minor) = (version_num / 10_000, version_num % 10_000);
    HOLES.iter().filter(|hole| hole.is_in(major, minor)).map(|hole| hole.name).collect()
}

/// What `doctor` says of the server's version.
pub(crate) fn version_finding(version_num: u32) -> Option<Finding> {
    let holes = known_holes(version_num);
    if holes.is_empty() {
        return None;
    }
    let (major, minor) = (version_num / 10_000, version_num % 10_000);
    let safe = HOLES.iter().filter_map(|hole| hole.repaired.iter().find(|(m, _)| *m == major)).map(|(_, n)| *n).max();
    Some(Finding {
        code: "server_version",
        what: format!("PostgreSQL {major}.{minor} is known to let rows through row security: {}", holes.join(", ")),
        repair: match safe.filter(|safe| *safe > minor) {
            Some(safe) => format!("upgrade the server to {major}.{safe} or newer"),
            None => "upgrade the server to a supported major version".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_the_holes_that_were_repaired_after_it() {
        const OLD: &str = "CVE-2017-7484";
        const STATISTICS: &str = "CVE-2019-10130";
        const INLINING: &str = "CVE-2023-2455";
        const SUBQUERY: &str = "CVE-2024-10976";
        const SAMPLES: &str = "CVE-2025-8713";
        let cases: &[(u32, &[&str])] = &[
            (180_000, &[]),
            (170_006, &[]),
            (170_005, &[SAMPLES]),
            (170_000, &[SUBQUERY, SAMPLES]),
            (160_010, &[]),
            (160_009, &[SAMPLES]),
            (160_004, &[SUBQUERY, SAMPLES]),
            (150_014, &[]),
            (150_013, &[SAMPLES]),
            (150_008, &[SUBQUERY, SAMPLES]),
            (150_002, &[INLINING, SUBQUERY, SAMPLES]),
            (140_019, &[]),
            (140_018, &[SAMPLES]),
            (130_022, &[]),
            (130_021, &[SAMPLES]),
            (120_022, &[SAMPLES]),
            (110_002, &[STATISTICS, INLINING, SUBQUERY, SAMPLES]),
            (90_602, &[OLD, STATISTICS, INLINING, SUBQUERY, SAMPLES]),
        ];
        for (version, holes) in cases {
            assert_eq!(known_holes(*version), *holes, "{version}");
        }
    }

    #[test]
    fn the_repair_names_the_next_safe_version() {
        let repair = |version| version_finding(version).map(|finding| finding.repair);
        assert_eq!(repair(150_018), None);
        assert_eq!(repair(150_002).as_deref(), Some("upgrade the server to 15.14 or newer"));
        assert_eq!(repair(170_000).as_deref(), Some("upgrade the server to 17.6 or newer"));
        assert_eq!(repair(120_022).as_deref(), Some("upgrade the server to a supported major version"));
    }
}
