//! [`KnownNames`]: the names that the catalog holds, as far as this process has heard.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{PoisonError, RwLock},
};

use sea_orm::{EntityTrait, QuerySelect};

use super::{
    Catalog, Name,
    entity::{domain, tenant},
    unavailable,
};
use crate::{error::Result, key::TenantKey};

/// Hashes of names, 8 bytes each. A name that is missing may exist all the same, and one that is there may have gone: this
/// says only who need not wait behind names that nobody has.
#[derive(Default)]
pub(crate) struct KnownNames {
    hashes: RwLock<HashSet<u64>>,
    state: RandomState,
}

impl KnownNames {
    pub(crate) fn contains(&self, name: &Name) -> bool {
        self.hashes.read().unwrap_or_else(PoisonError::into_inner).contains(&self.state.hash_one(name))
    }

    pub(super) fn add<'a>(&self, names: impl IntoIterator<Item = &'a Name>) {
        let hashes: Vec<u64> = names.into_iter().map(|name| self.state.hash_one(name)).collect();
        self.hashes.write().unwrap_or_else(PoisonError::into_inner).extend(hashes);
    }

    /// Takes a name out that the catalog did not have, unless it has come to be meanwhile.
    pub(crate) fn forget(&self, name: &Name, is_still_gone: impl FnOnce() -> bool) {
        if !self.contains(name) {
            return;
        }
        let mut hashes = self.hashes.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: a change is marked first and added after.
        if is_still_gone() {
            hashes.remove(&self.state.hash_one(name));
        }
    }
}

impl Catalog {
    /// Reads all names, in two queries. What changes afterwards comes with the changes.
    pub(crate) async fn names_load(&self) -> Result<()> {
        let tenants: Vec<(String, String)> = tenant::Entity::find()
            .select_only()
            .columns([tenant::Column::Id, tenant::Column::Key])
            .into_tuple()
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        let hosts: Vec<String> = domain::Entity::find()
            .select_only()
            .column(domain::Column::Host)
            .into_tuple()
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        let mut names: Vec<Name> = hosts.into_iter().map(|host| Name::Domain(host.into())).collect();
        for (id, key) in tenants {
            names.push(Name::Id(id.parse()?));
            names.push(Name::Key(TenantKey::from_catalog(&key)?));
        }
        self.0.freshness.known().add(&names);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_came_back_is_not_forgotten() {
        let known = KnownNames::default();
        let name = Name::Key("acme".parse().unwrap());
        known.add([&name]);
        known.forget(&name, || false);
        assert!(known.contains(&name));
        known.forget(&name, || true);
        assert!(!known.contains(&name));
    }
}
