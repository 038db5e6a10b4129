//! [`Orders`]: what the holder of a connection wants done around the words that come next.

use std::sync::Arc;

use crate::{
    engine::{
        Begin,
        postgres::{PgScope, session::failure::is_of_role},
    },
    id::TenantId,
};

/// What is set here holds for what is sent afterwards.
#[derive(Default)]
pub(in crate::engine::postgres) struct Orders {
    before: Before,
    tenant: Option<TenantId>,
    /// The words are in a scope, or their statements have other names at the server.
    scoped: bool,
    /// The words are an app's, not the engine's.
    apps: bool,
    /// How the scope of the last flush failed, if it did and nobody has asked yet.
    failure: Option<Box<str>>,
    /// Whether it was the tenant's role that could not be taken on.
    refused: bool,
    /// The scope that each flush is in was entered.
    entered: bool,
    /// The SQLSTATE with which the server has said that it goes.
    lost: Option<Box<str>>,
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
    /// Each flush from now on is a transaction in this scope.
    pub(in crate::engine::postgres) fn each_in(&mut self, scope: &Arc<PgScope>, read_only: bool) {
        self.before = Before::Scope(Arc::clone(scope), read_only);
        self.scoped = true;
        self.tenant = scope.schema_of;
        self.failure = None;
        self.refused = false;
        self.entered = false;
    }

    /// The next flush begins a transaction in this scope.
    pub(in crate::engine::postgres) fn begin_with_next(&mut self, scope: &Arc<PgScope>, begin: Begin) {
        self.before = Before::Begin(Arc::clone(scope), begin);
        self.scoped = !scope.is_own();
        self.tenant = scope.schema_of;
        self.failure = None;
    }

    /// A transaction of that tenant was begun by the engine's own words.
    pub(in crate::engine::postgres) fn has_begun(&mut self, scope: &PgScope) {
        self.before = Before::Nothing;
        self.scoped = !scope.is_own();
        self.tenant = scope.schema_of;
        self.failure = None;
    }

    /// What comes next is in no scope. `true`: a transaction was ordered, and nothing of it was sent.
    pub(in crate::engine::postgres) fn end(&mut self) -> bool {
        self.scoped = false;
        self.tenant = None;
        self.failure = None;
        matches!(std::mem::take(&mut self.before), Before::Begin(..))
    }

    /// Whether a transaction was ordered, and nothing of it was sent.
    pub(in crate::engine::postgres) const fn is_to_begin(&self) -> bool {
        matches!(self.before, Before::Begin(..))
    }

    /// Whether what comes next is in a scope, or its statements have other names at the server.
    pub(in crate::engine::postgres) const fn are_around(&self) -> bool {
        self.scoped
    }

    /// Whose the words are that come next.
    pub(in crate::engine::postgres) const fn words_of_app(&mut self, apps: bool) {
        self.apps = apps;
    }

    /// Whether the scope that each flush is in was entered, once at least.
    pub(in crate::engine::postgres) const fn has_entered(&self) -> bool {
        self.entered
    }

    /// Whether the scope that each flush is in failed by the tenant's role.
    pub(in crate::engine::postgres) const fn was_refused(&self) -> bool {
        self.refused
    }

    /// The SQLSTATE with which the scope of the last flush failed.
    pub(in crate::engine::postgres) const fn take_failure(&mut self) -> Option<Box<str>> {
        self.failure.take()
    }

    pub(super) const fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Why the server has said that it goes.
    pub(in crate::engine::postgres) fn lost_by(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    pub(super) fn lose(&mut self, code: &str) {
        self.lost = Some(code.into());
    }

    pub(super) const fn scope_entered(&mut self) {
        self.entered = true;
    }

    pub(super) fn scope_failed(&mut self, code: &str) {
        self.refused = is_of_role(code);
        self.failure = Some(code.into());
    }

    /// For a flush whose first message has come.
    pub(super) fn flush(&mut self) -> Flush {
        let before = match &self.before {
            Before::Begin(..) => std::mem::take(&mut self.before),
            other => other.clone(),
        };
        Flush { before, tenant: self.tenant, apps: self.apps }
    }
}
