//! What the report says of an attack that got through, and of those that could not be tried.

use crate::{engine::Finding, error::Error, tenant::Tenant};

/// A finding that must stop everything; the other tenant's name in the text is not shown.
pub(super) fn bled(what: &str, attack: &str) -> Finding {
    Finding {
        code: "canary_bled",
        what: format!("{what}: {}", shown(attack)),
        repair: "stop serving and report it: the walls of this build or this server do not hold".into(),
    }
}

/// Attacks that failed as no wall refuses. What was not tried proves nothing.
#[derive(Default)]
pub(super) struct NotTried(Vec<(String, Error)>);

impl NotTried {
    pub(super) fn add(&mut self, text: &str, error: Error) {
        self.0.push((shown(text).to_owned(), error));
    }

    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// One finding for each reason, with the first attack that it kept from being tried.
    pub(super) fn findings(&self, attacker: &Tenant) -> Vec<Finding> {
        let mut reasons: Vec<(String, &str, usize)> = Vec::new();
        for (text, error) in &self.0 {
            let reason = [vec![error.to_string()], error.causes()].concat().join(": ");
            match reasons.iter_mut().find(|(known, ..)| *known == reason) {
                Some((_, _, count)) => *count += 1,
                None => reasons.push((reason, text, 1)),
            }
        }
        let (isolation, server) = (attacker.isolation, &attacker.server);
        let finding = |(reason, text, count)| Finding {
            code: "attack_not_tried",
            what: format!(
                "{count} attacks of {isolation} isolation on server `{server}` could not be tried, the first is `{text}`: {reason}"
            ),
            repair: "remove the cause and run `tenantry doctor` again".into(),
        };
        reasons.into_iter().map(finding).collect()
    }
}

/// An attack without the other tenant's name in it.
fn shown(attack: &str) -> &str {
    attack.split('\'').next().unwrap_or_default().trim()
}
