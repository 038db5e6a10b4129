//! Free TCP ports on 127.0.0.1.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    net::TcpListener,
};

use crate::Result;

/// How often a server is started again when somebody took its port first.
pub(crate) const TRIES: usize = 5;

/// Below the range from which the system takes the ports of outgoing connections: a server that is stopped and started
/// again finds its port free.
pub(crate) fn free() -> Result<u16> {
    let candidates = (0..200).map(|_| 12_000 + u16::try_from(random() % 20_000).unwrap_or(0));
    let mut free = candidates.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().ok_or_else(|| "no free TCP port on 127.0.0.1".into())
}

/// Different in every process and at every call: std seeds its hashers so.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
