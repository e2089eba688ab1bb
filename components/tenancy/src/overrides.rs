//! Which limits hold for which tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use phlare_model::TenantId;

use crate::limits::Limits;

/// The limits of the tenants that have their own, all of them, also those that are as the defaults.
pub type TenantLimits = BTreeMap<TenantId, Arc<Limits>>;

/// The limits of every tenant. Cheap to clone; clones see the same limits.
#[derive(Clone, Debug)]
pub struct Overrides {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    defaults: Arc<Limits>,
    tenants: ArcSwap<TenantLimits>,
}

impl Overrides {
    /// The same limits for every tenant, until [`Overrides::replace`] says otherwise.
    #[must_use]
    pub fn fixed(limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared {
                defaults: Arc::new(limits),
                tenants: ArcSwap::default(),
            }),
        }
    }

    /// The limits that hold for a tenant now. They may be others a moment later, so they are asked for at each use.
    #[must_use]
    pub fn limits(&self, tenant: &TenantId) -> Arc<Limits> {
        let tenants = self.shared.tenants.load();
        Arc::clone(tenants.get(tenant).unwrap_or(&self.shared.defaults))
    }

    /// The limits of tenants that have none of their own.
    #[must_use]
    pub fn defaults(&self) -> &Limits {
        &self.shared.defaults
    }

    /// Tenants with limits of their own, as they are now.
    #[must_use]
    pub fn tenants(&self) -> Arc<TenantLimits> {
        self.shared.tenants.load_full()
    }

    /// From now on these tenants have these limits, and all others the defaults.
    pub fn replace(&self, tenants: TenantLimits) {
        self.shared.tenants.store(Arc::new(tenants));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_see_new_limits_and_tenants_that_left_have_the_defaults() {
        let overrides = Overrides::fixed(Limits::default());
        let used = overrides.clone();
        let tenant = |id: &str| TenantId::parse(id).unwrap();
        let own = Limits {
            ingestion_rate_mb: 1.0,
            ..Limits::default()
        };
        overrides.replace(TenantLimits::from([(tenant("a"), Arc::new(own.clone()))]));
        assert_eq!(*used.limits(&tenant("a")), own);
        assert_eq!(*used.limits(&tenant("b")), Limits::default());
        overrides.replace(TenantLimits::new());
        assert_eq!(*used.limits(&tenant("a")), Limits::default());
    }
}
