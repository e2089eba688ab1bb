//! Which blocks of each tenant a bucket holds.
//!
//! Knows nothing of heads, pushes or selectors. A list of blocks is a snapshot: it is renewed now and then, and added to
//! when somebody in this process uploads a block.

mod config;
mod error;
mod gateway;
mod metrics;
mod service;
mod sync;

pub use config::{BucketStore, Config};
pub use error::Error;
pub use gateway::{Dependencies, StoreGateway};
pub use metrics::Metrics;
pub use service::UploadsService;
