//! Settings of the operator.

use std::net::SocketAddr;

/// Settings of the operator: flags, or variables of the environment.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Settings {
    /// Namespace whose resources are reconciled; all namespaces if it is left out.
    #[arg(long, env = "WATCH_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Image of resources that name none, without tag.
    #[arg(
        long,
        env = "PHLARE_IMAGE",
        value_name = "REPOSITORY",
        default_value = "phlare/phlare"
    )]
    pub image: String,

    /// Version of resources that name none.
    #[arg(long, env = "PHLARE_VERSION", value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    pub version: String,

    /// Address of metrics and health.
    #[arg(
        long,
        env = "LISTEN_ADDRESS",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8080"
    )]
    pub listen: SocketAddr,

    /// Namespace of the Lease by which one of several operators leads; that of the pod if it is left out.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,

    /// Name of this operator among several.
    #[arg(
        long,
        env = "POD_NAME",
        value_name = "NAME",
        default_value = "phlare-operator"
    )]
    pub identity: String,

    /// Reconciles without asking others: only if there is one operator.
    #[arg(long, env = "NO_LEADER_ELECTION")]
    pub no_leader_election: bool,

    /// Resources reconciled at a time.
    #[arg(long, env = "CONCURRENCY", value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
}
