//! The steps of each kind of operation, and how the journal says which of them are done.
//!
//! A row holds the name of the last step that is done, and beside it the number by which catalogs before version 3 said
//! the same. Programs of those versions may still be running when the catalog is upgraded under them. They do no harm:
//!
//! - They begin operations without a name: the number then counts the steps of their time ([`counted_names`]).
//! - They take operations over by the number and skip that many steps: it never counts a step that is not done.
//! - They raise the number and leave the name as it is: of the two, the one that is further along is right ([`last_done`]).
//!
//! A program that does not know a name leaves the operation to the newer program that wrote it. A row in which no step is
//! done says nothing about steps, so a step that older programs must not leave out needs an operation of a new kind: a
//! kind that they do not know is refused by all of them.

use super::{OperationKind, Subject};
use crate::error::{Error, ErrorKind, Result};

/// One step. Each may be run again after a crash in the middle of it, and so may its undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Makes the tenant's place; undone by destroying it.
    Place,
    /// Lets nobody in and waits until nobody is in.
    Drain,
    /// Destroys the tenant's place. From here there is no way back, and none is wanted.
    Destroy,
    /// Migrates the targets of a fleet, each with a ledger of its own.
    Targets,
}

impl Step {
    /// As the journal names it: never changed, and never given to another step.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Drain => "drain",
            Self::Destroy => "destroy",
            Self::Targets => "targets",
        }
    }
}

impl OperationKind {
    pub(crate) const fn steps(self) -> &'static [Step] {
        match self {
            Self::Provision => &[Step::Place],
            Self::Purge => &[Step::Drain, Step::Destroy],
            Self::Migrate => &[Step::Targets],
        }
    }

    /// Where a step is in the list; `None`: it is not in it.
    fn position(self, name: &str) -> Option<usize> {
        self.steps().iter().position(|step| step.name() == name)
    }

    /// The steps that are left when this one is done.
    pub(super) fn steps_after(self, done: Option<Step>) -> &'static [Step] {
        let first = done.and_then(|step| self.position(step.name())).map_or(0, |at| at + 1);
        self.steps().get(first..).unwrap_or_default()
    }
}

/// The lists of steps of the programs that counted them. They are history: a new step is not added here.
const fn counted_names(kind: OperationKind) -> &'static [&'static str] {
    match kind {
        OperationKind::Provision => &["place"],
        OperationKind::Purge => &["drain", "destroy"],
        // Programs that counted knew no such operation.
        OperationKind::Migrate => &[],
    }
}

/// How many steps a program that counts them may skip when this one is done.
pub(super) fn number_of(kind: OperationKind, done: Step) -> i32 {
    let last = kind.position(done.name());
    let skipped = counted_names(kind).iter().take_while(|name| kind.position(name) <= last);
    skipped.zip(1..).last().map_or(0, |(_, number)| number)
}

/// The last step of which the journal says that it is done, by its name, or by an older program's number if that is
/// further along.
///
/// # Errors
/// If a newer program wrote it: this one does not guess where to go on.
pub(super) fn last_done(kind: OperationKind, on: Subject, number: i32, name: Option<&str>) -> Result<Option<Step>> {
    let unknown = |what: String| {
        let kind = kind.as_str();
        Error::new(ErrorKind::Internal, format!("the {kind} of {on} has done {what}, which this program does not know"))
            .help("a newer program wrote it: let that one finish, with `tenantry doctor --repair`")
    };
    let position = |name: &str| kind.position(name).ok_or_else(|| unknown(format!("the step `{name}`")));
    let by_name = name.map(position).transpose()?;
    let by_number = match number {
        0 => None,
        number => {
            let counted = usize::try_from(number).ok().and_then(|n| counted_names(kind).get(n.checked_sub(1)?));
            Some(position(counted.ok_or_else(|| unknown(format!("step number {number}")))?)?)
        }
    };
    Ok(by_name.max(by_number).and_then(|at| kind.steps().get(at).copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::id::TenantId;

    const KINDS: [OperationKind; 3] = OperationKind::ALL;

    fn somebody() -> Subject {
        Subject::Tenant(TenantId::new())
    }

    fn resumed(kind: OperationKind, number: i32, name: Option<&str>) -> Option<&'static [Step]> {
        let done = last_done(kind, somebody(), number, name).ok()?;
        Some(kind.steps_after(done))
    }

    #[test]
    fn an_operation_goes_on_after_the_step_that_is_named() {
        for kind in KINDS {
            for (at, step) in kind.steps().iter().enumerate() {
                let number = number_of(kind, *step);
                assert_eq!(resumed(kind, number, Some(step.name())), kind.steps().get(at + 1..), "{step:?}");
            }
        }
    }

    #[test]
    fn an_operation_that_an_older_program_began_goes_on_by_its_number() {
        use OperationKind::{Provision, Purge};
        assert_eq!(resumed(Provision, 0, None), Some([Step::Place].as_slice()));
        assert_eq!(resumed(Purge, 0, None), Some([Step::Drain, Step::Destroy].as_slice()));
        assert_eq!(resumed(Purge, 1, None), Some([Step::Destroy].as_slice()));
        assert_eq!(resumed(Purge, 2, None), Some([].as_slice()));
    }

    #[test]
    fn what_an_older_program_did_after_the_named_step_is_not_done_again() {
        assert_eq!(resumed(OperationKind::Purge, 2, Some("drain")), Some([].as_slice()));
        assert_eq!(resumed(OperationKind::Purge, 0, Some("drain")), Some([Step::Destroy].as_slice()));
    }

    #[test]
    fn the_number_for_older_programs_never_counts_a_step_that_is_not_done() {
        for kind in KINDS {
            for done in kind.steps() {
                let number = usize::try_from(number_of(kind, *done)).unwrap_or(usize::MAX);
                let left: Vec<_> = kind.steps_after(Some(*done)).iter().map(|step| step.name()).collect();
                let skipped = counted_names(kind).iter().take(number);
                assert!(skipped.clone().all(|name| !left.contains(name)), "{done:?}: {number}");
                assert_eq!(skipped.count(), number, "{done:?}");
            }
        }
    }

    #[test]
    fn every_step_that_was_ever_counted_is_still_known() {
        for kind in KINDS {
            assert!(counted_names(kind).iter().all(|name| kind.position(name).is_some()), "{kind:?}");
        }
    }

    #[test]
    fn nothing_goes_on_after_a_step_that_is_not_known() {
        for (number, name) in [(0, Some("archive")), (1, Some("archive")), (1, Some("place")), (3, None), (-1, None)] {
            assert_eq!(resumed(OperationKind::Purge, number, name), None, "{number} {name:?}");
        }
        let error = last_done(OperationKind::Purge, somebody(), 1, Some("archive")).unwrap_err();
        assert!(error.to_string().contains("the step `archive`, which this program does not know"), "{error}");
        assert!(error.help_text().is_some_and(|help| help.contains("newer program")), "{error:?}");
    }
}
