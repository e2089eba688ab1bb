//! The components of a Phlare, as workloads of a Kubernetes.

use std::fmt;

use phlare_operator_api::{Components, Mode, PhlareClusterSpec, Pod, Volume};

/// A component with pods of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// All components in one process.
    Monolithic,
    /// The queriers that get a release before all others.
    QuerierCanary,
    /// Holds the queues of queries.
    QueryScheduler,
    /// Takes queries, and profiles too.
    QueryFrontend,
    /// Answers queries.
    Querier,
    /// Answers from blocks.
    StoreGateway,
    /// Keeps recent profiles.
    Ingester,
    /// Takes profiles.
    Distributor,
    /// Merges blocks.
    Compactor,
}

impl Part {
    /// The components of a mode, in the order in which a release reaches them: who reads before who writes, so that
    /// nobody meets what it can't read yet.
    #[must_use]
    pub const fn of(mode: Mode) -> &'static [Self] {
        match mode {
            Mode::Monolithic => &[Self::Monolithic],
            Mode::Microservices => &[
                Self::QuerierCanary,
                Self::QueryScheduler,
                Self::QueryFrontend,
                Self::Querier,
                Self::StoreGateway,
                Self::Ingester,
                Self::Distributor,
                Self::Compactor,
            ],
        }
    }

    /// The component of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let modes = [Mode::Monolithic, Mode::Microservices].into_iter();
        let mut all = modes.flat_map(Self::of).copied();
        all.find(|part| part.as_str() == name)
    }

    /// Whose pods the Service with the resource's name selects.
    #[must_use]
    pub const fn front(mode: Mode) -> Self {
        match mode {
            Mode::Monolithic => Self::Monolithic,
            Mode::Microservices => Self::QueryFrontend,
        }
    }

    /// As names and labels have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monolithic => "monolithic",
            Self::QuerierCanary => "querier-canary",
            Self::QueryScheduler => "query-scheduler",
            Self::QueryFrontend => "query-frontend",
            Self::Querier => "querier",
            Self::StoreGateway => "store-gateway",
            Self::Ingester => "ingester",
            Self::Distributor => "distributor",
            Self::Compactor => "compactor",
        }
    }

    /// What `-target` says. Query-frontends are distributors as well: whoever has one address for everything, the
    /// Service named as the resource, has it in both modes.
    #[must_use]
    pub const fn target(self) -> &'static str {
        match self {
            Self::Monolithic => "all",
            Self::QueryFrontend => "query-frontend,distributor",
            Self::QuerierCanary => "querier",
            other => other.as_str(),
        }
    }

    /// Whether its pods have a volume and a name that stay.
    #[must_use]
    pub const fn is_stateful(self) -> bool {
        matches!(
            self,
            Self::Monolithic | Self::Ingester | Self::StoreGateway | Self::Compactor
        )
    }

    /// Whether it has a StatefulSet for each zone.
    #[must_use]
    pub const fn is_zoned(self) -> bool {
        matches!(self, Self::Ingester | Self::StoreGateway)
    }

    /// Whether its pods hold profiles that are nowhere else.
    #[must_use]
    pub const fn holds_profiles(self) -> bool {
        matches!(self, Self::Monolithic | Self::Ingester)
    }

    /// Whether clients from outside of the Phlare call it.
    #[must_use]
    pub const fn is_called_by_clients(self) -> bool {
        matches!(
            self,
            Self::Monolithic | Self::QueryFrontend | Self::Distributor
        )
    }

    /// What the resource says of its pods.
    #[must_use]
    pub const fn pod(self, components: &Components) -> &Pod {
        match self {
            Self::Monolithic => &components.monolithic.pod,
            Self::QueryScheduler => &components.query_scheduler.pod,
            Self::QueryFrontend => &components.query_frontend.pod,
            Self::Querier | Self::QuerierCanary => &components.querier.pod,
            Self::StoreGateway => &components.store_gateway.pod,
            Self::Ingester => &components.ingester.pod,
            Self::Distributor => &components.distributor.pod,
            Self::Compactor => &components.compactor.pod,
        }
    }

    /// What the resource says of its number of pods.
    #[must_use]
    pub const fn replicas(self, spec: &PhlareClusterSpec) -> Option<i32> {
        let components = &spec.components;
        match self {
            Self::QuerierCanary => Some(spec.rollout.canary.queriers),
            Self::Monolithic => components.monolithic.replicas,
            Self::QueryScheduler => components.query_scheduler.replicas,
            Self::QueryFrontend => components.query_frontend.replicas,
            Self::Querier => Some(components.querier.replicas),
            Self::StoreGateway => components.store_gateway.replicas,
            Self::Ingester => components.ingester.replicas,
            Self::Distributor => components.distributor.replicas,
            Self::Compactor => components.compactor.replicas,
        }
    }

    /// What the resource says of its volumes.
    #[must_use]
    pub const fn volume(self, components: &Components) -> Option<&Volume> {
        match self {
            Self::Monolithic => Some(&components.monolithic.volume),
            Self::StoreGateway => Some(&components.store_gateway.volume),
            Self::Ingester => Some(&components.ingester.volume),
            Self::Compactor => Some(&components.compactor.volume),
            _ => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
