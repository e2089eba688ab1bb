//! What the credentials of a process are like.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    r#use: &'static str,
}

/// Figures of all files of this room. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    reload_successful: Family<Labels, Gauge>,
    not_after: Family<Labels, Gauge>,
}

impl Figures {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let figures = Self::default();
        registry.register(
            "phlare_credentials_reload_successful",
            "Whether what is in the files now is in force: 0 if it cannot be used, and what was before counts",
            figures.reload_successful.clone(),
        );
        registry.register(
            "phlare_tls_certificate_not_after_seconds",
            "When the certificate in force expires, in seconds since the epoch",
            figures.not_after.clone(),
        );
        figures
    }

    pub(crate) fn of(&self, r#use: &'static str) -> Figure {
        Figure {
            reload_successful: self
                .reload_successful
                .get_or_create_owned(&Labels { r#use }),
            all: self.clone(),
            r#use,
        }
    }
}

/// Figures of one use of files.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) reload_successful: Gauge,
    all: Figures,
    pub(crate) r#use: &'static str,
}

impl Figure {
    /// `None`: there is no certificate.
    pub(crate) fn not_after(&self, seconds: Option<i64>) {
        let labels = Labels { r#use: self.r#use };
        match seconds {
            Some(seconds) => drop(self.all.not_after.get_or_create(&labels).set(seconds)),
            None => drop(self.all.not_after.remove(&labels)),
        }
    }
}
