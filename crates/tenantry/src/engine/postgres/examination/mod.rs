//! Looking whether the walls stand, attacking them, and putting back what somebody has taken away.

pub(super) mod audit;
pub(super) mod canary;
pub(super) mod escapes;
pub(super) mod mend;
