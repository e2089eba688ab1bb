//! Settings, with upstream's names where the meaning is the same.

mod gossip;
mod lifecycler;
mod member;

use std::path::PathBuf;

use crate::AddressError;
use crate::seeds::BadSeed;

pub use gossip::GossipConfig;
pub use lifecycler::{IngesterRing, Lifecycler};
pub use member::{
    CompactorRing, DistributorRing, MemberConfig, QuerySchedulerRing, StoreGatewayRing,
};

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that is out of its range.
    #[error("`{key}` is {value}: {allowed}")]
    Range {
        /// The YAML key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A member to join that makes no sense.
    #[error("`memberlist.join_members`: {0}")]
    Join(#[from] BadSeed),
    /// No address to advertise.
    #[error("`{key}`: {problem}")]
    Address {
        /// The YAML key.
        key: &'static str,
        /// What is wrong.
        problem: AddressError,
    },
    /// The secret cannot be read.
    #[error("read `memberlist.secret_file` {}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The secret cannot be used.
    #[error("`memberlist.secret_file` {}: {problem}", path.display())]
    BadSecret {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
}

/// The name of this machine, as the kernel has it.
#[must_use]
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
