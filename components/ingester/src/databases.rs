//! The databases of all tenants.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use phlare_model::TenantId;
use phlare_phlaredb::Database;

type Map = HashMap<TenantId, Arc<Database>>;

/// Readers take a snapshot and never wait; a new tenant copies the map, which happens once for each.
#[derive(Debug, Default)]
pub(crate) struct Databases {
    map: ArcSwap<Map>,
    /// Held while a database is opened, so that it is opened once.
    opening: Mutex<()>,
}

impl Databases {
    pub(crate) fn get(&self, tenant: &TenantId) -> Option<Arc<Database>> {
        self.map.load().get(tenant).map(Arc::clone)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.load().len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Database>> {
        self.map.load().values().map(Arc::clone).collect()
    }

    /// The database of a tenant, opened by `open` if there is none; `open` learns how many there are.
    pub(crate) fn get_or_open<E>(
        &self,
        tenant: &TenantId,
        open: impl FnOnce(usize) -> Result<Database, E>,
    ) -> Result<Arc<Database>, E> {
        if let Some(known) = self.get(tenant) {
            return Ok(known);
        }
        let _opening = self.opening.lock();
        if let Some(known) = self.get(tenant) {
            return Ok(known);
        }
        let map = self.map.load_full();
        let database = Arc::new(open(map.len())?);
        let mut map = Map::clone(&map);
        map.insert(tenant.clone(), Arc::clone(&database));
        self.map.store(Arc::new(map));
        Ok(database)
    }
}
