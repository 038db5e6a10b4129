//! [`Statements`]: prepared statements by tenant. A driver prepares a text once on a connection; where each tenant has
//! tables of its own, the server needs one of it for each: a plan is thrown away when the search path has changed.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use super::frames;
use crate::id::TenantId;

/// How many statements are kept prepared on one connection: the server keeps the plan of each, some 10 KiB. Two texts of each
/// tenant that one login serves; with fewer, tenants that are asked for in turn push each other's out all the time.
const MOST: usize = 1_024;

/// A statement of the driver, by the order of its coming.
type Number = u32;

/// Prepared for a tenant, or for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tenant: Option<TenantId>,
    number: Number,
}

/// What the driver has prepared, and what the server has for it.
#[derive(Default)]
pub(super) struct Statements {
    numbers: HashMap<Box<[u8]>, Number>,
    texts: HashMap<Number, Text>,
    prepared: HashMap<Key, Prepared>,
    /// Statements of the server that nobody needs any more.
    unneeded: Vec<Arc<str>>,
    next_number: Number,
    next_name: u64,
    ticks: u64,
}

struct Text {
    /// The text and the types of its parameters, as the driver sent them.
    parse: Bytes,
    /// Parameters and columns as the driver knows them.
    shape: Vec<u8>,
}

impl Text {
    /// Whether it gives no columns, and the driver told the types of all its parameters: for another tenant the server
    /// takes it with these, or it fails.
    fn is_told(&self) -> bool {
        let Some((_, types)) = frames::text(&self.parse) else { return false };
        let are_known = types.get(2..).is_some_and(|types| types.chunks(4).all(|one| one != [0; 4]));
        // The shape is the answer to a describe: the types of the parameters, and that there are columns, or none.
        are_known && self.shape == [b"t", types, b"n"].concat()
    }
}

struct Prepared {
    name: Arc<str>,
    used: u64,
}

/// What has to be done before a statement of the driver can be used.
pub(super) enum Use {
    /// Nothing: this is its name.
    Ready(Arc<str>),
    /// It has to be prepared for the tenant. `is_told`: see [`Text::is_told`].
    Prepare { key: Key, name: Arc<str>, parse: Bytes, is_told: bool },
    /// The driver has not prepared it.
    Unknown,
}

impl Statements {
    /// The driver prepares a statement. Gives its key, and its name at the server.
    pub(super) fn define(&mut self, tenant: Option<TenantId>, name: &[u8], parse: Bytes) -> (Key, Arc<str>) {
        self.close(name);
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(name.into(), number);
        self.texts.insert(number, Text { parse, shape: Vec::new() });
        let key = Key { tenant, number };
        (key, self.prepare(key))
    }

    fn prepare(&mut self, key: Key) -> Arc<str> {
        if self.prepared.len() >= MOST
            && let Some(oldest) = self.prepared.iter().min_by_key(|(_, p)| p.used).map(|(key, _)| *key)
        {
            self.drop_prepared(oldest);
        }
        let name: Arc<str> = format!("tenantry_{}", self.next_name).into();
        self.next_name += 1;
        self.ticks += 1;
        self.prepared.insert(key, Prepared { name: Arc::clone(&name), used: self.ticks });
        name
    }

    pub(super) fn use_of(&mut self, tenant: Option<TenantId>, name: &[u8]) -> Use {
        let Some(&number) = self.numbers.get(name) else { return Use::Unknown };
        let key = Key { tenant, number };
        self.ticks += 1;
        if let Some(prepared) = self.prepared.get_mut(&key) {
            prepared.used = self.ticks;
            return Use::Ready(Arc::clone(&prepared.name));
        }
        match self.texts.get(&number).map(|text| (text.parse.clone(), text.is_told())) {
            Some((parse, is_told)) => Use::Prepare { key, name: self.prepare(key), parse, is_told },
            None => Use::Unknown,
        }
    }

    /// A statement that the server has for that tenant.
    pub(super) fn prepared(&self, tenant: Option<TenantId>, name: &[u8]) -> Option<(Key, &str)> {
        let key = Key { tenant, number: *self.numbers.get(name)? };
        self.prepared.get(&key).map(|prepared| (key, &*prepared.name))
    }

    /// What the driver learns of a statement that it has prepared.
    pub(super) fn learn(&mut self, key: Key, shape: &[u8]) {
        if let Some(text) = self.texts.get_mut(&key.number) {
            text.shape = shape.to_vec();
        }
    }

    /// Whether a tenant's own is what the driver takes it for.
    pub(super) fn is_as_known(&self, key: Key, shape: &[u8]) -> bool {
        self.texts.get(&key.number).is_some_and(|text| text.shape == shape)
    }

    /// The server has not got it, or not as it should be.
    pub(super) fn drop_prepared(&mut self, key: Key) {
        if let Some(prepared) = self.prepared.remove(&key) {
            self.unneeded.push(prepared.name);
        }
    }

    /// The driver's own could not be prepared.
    pub(super) fn undefine(&mut self, key: Key) {
        self.texts.remove(&key.number);
        self.numbers.retain(|_, number| *number != key.number);
    }

    /// The driver has closed it.
    pub(super) fn close(&mut self, name: &[u8]) {
        let Some(number) = self.numbers.remove(name) else { return };
        self.texts.remove(&number);
        let of_it: Vec<Key> = self.prepared.keys().filter(|key| key.number == number).copied().collect();
        for key in of_it {
            self.drop_prepared(key);
        }
    }

    pub(super) fn take_unneeded(&mut self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.unneeded)
    }

    /// The server has forgotten all of them.
    pub(super) fn forget(&mut self) {
        self.prepared.clear();
        self.unneeded.clear();
    }
}
