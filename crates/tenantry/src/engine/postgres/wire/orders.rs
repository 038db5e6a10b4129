//! [`Orders`]: what the holder of a connection wants done around the words that come next.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use crate::{
    engine::{
        Begin,
        postgres::{PgScope, outcome::is_of_role},
    },
    id::TenantId,
};

/// Shared by a link and the wire behind it. What is set here holds for what is sent afterwards.
#[derive(Default)]
pub(in crate::engine::postgres) struct Orders {
    now: Mutex<Now>,
    /// The server, or what stands before it, is gone.
    lost: AtomicBool,
    /// The scope that each flush is in was entered.
    entered: AtomicBool,
}

#[derive(Default)]
struct Now {
    before: Before,
    tenant: Option<TenantId>,
    /// The words are an app's, not the engine's.
    apps: bool,
    /// How the scope of the last flush failed, if it did and nobody has asked yet.
    failure: Option<Box<str>>,
    /// Whether it was the tenant's role that could not be taken on.
    refused: bool,
}

/// What goes before the words of a flush.
#[derive(Clone, Default)]
pub(super) enum Before {
    #[default]
    Nothing,
    /// The scope, in the transaction that the server makes of one flush: before each. It may be for reading only.
    Scope(Arc<PgScope>, bool),
    /// The beginning of a transaction, and the scope: once.
    Begin(Arc<PgScope>, Begin),
}

/// What holds for one flush, as it was when its first byte came.
pub(super) struct Flush {
    pub(super) before: Before,
    pub(super) tenant: Option<TenantId>,
    pub(super) apps: bool,
}

impl Orders {
    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        // Plain values: nothing in it is ever left half changed.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each flush from now on is a transaction in this scope.
    pub(in crate::engine::postgres) fn each_in(&self, scope: &Arc<PgScope>, read_only: bool) {
        let mut now = self.now();
        now.before = Before::Scope(Arc::clone(scope), read_only);
        now.tenant = scope.schema_of;
        now.failure = None;
        now.refused = false;
        self.entered.store(false, Ordering::Release);
    }

    /// The next flush begins a transaction in this scope.
    pub(in crate::engine::postgres) fn begin_with_next(&self, scope: &Arc<PgScope>, begin: Begin) {
        let mut now = self.now();
        now.before = Before::Begin(Arc::clone(scope), begin);
        now.tenant = scope.schema_of;
        now.failure = None;
    }

    /// A transaction of that tenant was begun by the engine's own words.
    pub(in crate::engine::postgres) fn has_begun(&self, scope: &PgScope) {
        let mut now = self.now();
        now.before = Before::Nothing;
        now.tenant = scope.schema_of;
        now.failure = None;
    }

    /// What comes next is in no scope. `true`: a transaction was ordered, and nothing of it was sent.
    pub(in crate::engine::postgres) fn end(&self) -> bool {
        let mut now = self.now();
        now.tenant = None;
        now.failure = None;
        matches!(std::mem::take(&mut now.before), Before::Begin(..))
    }

    /// Whether a transaction was ordered, and nothing of it was sent.
    pub(in crate::engine::postgres) fn is_to_begin(&self) -> bool {
        matches!(self.now().before, Before::Begin(..))
    }

    /// Whose the words are that come next.
    pub(in crate::engine::postgres) fn words_of_app(&self, apps: bool) {
        self.now().apps = apps;
    }

    /// Whether the scope that each flush is in was entered, once at least.
    pub(in crate::engine::postgres) fn has_entered(&self) -> bool {
        self.entered.load(Ordering::Acquire)
    }

    /// Whether the scope that each flush is in failed by the tenant's role.
    pub(in crate::engine::postgres) fn was_refused(&self) -> bool {
        self.now().refused
    }

    /// The SQLSTATE with which the scope of the last flush failed.
    pub(in crate::engine::postgres) fn take_failure(&self) -> Option<Box<str>> {
        self.now().failure.take()
    }

    pub(in crate::engine::postgres) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    pub(super) fn scope_entered(&self) {
        self.entered.store(true, Ordering::Release);
    }

    pub(super) fn scope_failed(&self, code: &str) {
        let mut now = self.now();
        now.refused = is_of_role(code);
        now.failure = Some(code.into());
    }

    /// For a flush whose first message has come.
    pub(super) fn flush(&self) -> Flush {
        let mut now = self.now();
        let before = match &now.before {
            Before::Begin(..) => std::mem::take(&mut now.before),
            other => other.clone(),
        };
        Flush { before, tenant: now.tenant, apps: now.apps }
    }
}
