//! Who is asked.

use std::sync::Arc;

use phlare_block::BlockId;
use phlare_model::TenantId;
use phlare_peer::Peers;
use phlare_ring::{Instance, Membership, Operation, RingKind, Tally, Token};
use phlare_server::Status;

use crate::config::Config;
use crate::remote::RemoteStore;
use crate::store::Store;

/// Ingesters to be asked at once.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who.
    pub stores: Vec<Arc<dyn Store>>,
    /// Whose answers are enough, by place in `stores`.
    pub tally: Tally,
}

/// Knows the stores of a fleet.
pub trait Stores: Send + Sync {
    /// The ingesters that may hold profiles of a tenant.
    ///
    /// # Errors
    /// `Unavailable` if so many are away that an answer could have gaps.
    fn ingesters(&self, tenant: &TenantId) -> Result<Asked, Status>;

    /// The instances that know the blocks of the bucket, in the order in which they are asked for the list. None at all:
    /// there is no bucket.
    ///
    /// # Errors
    /// `Unavailable` if there should be some.
    fn gateways(&self, tenant: &TenantId) -> Result<Vec<Arc<dyn Store>>, Status>;

    /// The instances that answer from a block, in the order in which they are asked.
    ///
    /// # Errors
    /// `Unavailable` if there is none.
    fn owners(&self, tenant: &TenantId, block: BlockId) -> Result<Vec<Arc<dyn Store>>, Status>;
}

/// The stores that are in the rings of ingesters and store-gateways. A tenant's profiles may be on any of them.
#[derive(Debug)]
pub struct RingStores {
    membership: Membership,
    ingesters: Peers,
    gateways: Peers,
    config: Config,
}

impl RingStores {
    /// Those that `membership` knows, over connections to ingesters and to store-gateways.
    #[must_use]
    pub fn new(membership: Membership, ingesters: Peers, gateways: Peers, config: Config) -> Self {
        Self {
            membership,
            ingesters,
            gateways,
            config,
        }
    }

    fn stores<'a>(
        &self,
        peers: &Peers,
        instances: impl IntoIterator<Item = &'a Arc<Instance>>,
    ) -> Result<Vec<Arc<dyn Store>>, Status> {
        let store = |instance| -> Result<Arc<dyn Store>, Status> {
            Ok(Arc::new(RemoteStore::new(instance, peers, &self.config)?))
        };
        instances.into_iter().map(store).collect()
    }
}

impl Stores for RingStores {
    fn ingesters(&self, _: &TenantId) -> Result<Asked, Status> {
        let ring = self.membership.ring(RingKind::Ingester);
        let now_ms = self.membership.clock().now_ms();
        let set = ring.read_set(Operation::READ, now_ms)?;
        Ok(Asked {
            tally: set.tally(),
            stores: self.stores(&self.ingesters, &set.instances)?,
        })
    }

    fn gateways(&self, _: &TenantId) -> Result<Vec<Arc<dyn Store>>, Status> {
        let ring = self.membership.ring(RingKind::StoreGateway);
        let now_ms = self.membership.clock().now_ms();
        let can = |instance: &&Arc<Instance>| {
            ring.is_alive(instance, now_ms) && Operation::READ_ANY.is_served_by(instance)
        };
        let able: Vec<_> = ring.instances().iter().filter(can).collect();
        if able.is_empty() {
            return Err(phlare_ring::Error::Empty.into());
        }
        self.stores(&self.gateways, able)
    }

    fn owners(&self, _: &TenantId, block: BlockId) -> Result<Vec<Arc<dyn Store>>, Status> {
        let ring = self.membership.ring(RingKind::StoreGateway);
        let now_ms = self.membership.clock().now_ms();
        let token = Token::of_block(&block.to_bytes());
        let set = ring.get(token, Operation::READ_ANY, now_ms)?;
        self.stores(&self.gateways, &set.instances)
    }
}
