//! What somebody who is known may do.

use std::fmt;

use phlare_model::{Classify, ErrorKind, TenantId};
use serde::Deserialize;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Queries, and what users have set: changes nothing.
    Read,
    /// Profiles; and what users set.
    Write,
    /// Pages of the processes, and what they can be told to do.
    Admin,
    /// `/metrics`.
    Metrics,
    /// Calls between the processes of a cluster, for any tenant.
    Internal,
}

impl Right {
    fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
            Self::Admin => 4,
            Self::Metrics => 8,
            Self::Internal => 16,
        }
    }

    /// Whether a login for single tenants may have it.
    pub(super) fn is_of_tenants(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
            Self::Internal => "internal",
        })
    }
}

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// For messages.
    pub name: String,
    rights: u8,
    tenants: Option<Vec<TenantId>>,
}

/// A login is for other tenants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("login `{login}` is not for tenant `{tenant}`")]
pub struct TenantRefused {
    login: String,
    tenant: TenantId,
}

impl Classify for TenantRefused {
    fn kind(&self) -> ErrorKind {
        ErrorKind::PermissionDenied
    }
}

impl Login {
    /// `tenants`: whose data it is for; `None` is everybody's.
    #[must_use]
    pub fn new(name: String, rights: &[Right], tenants: Option<Vec<TenantId>>) -> Self {
        Self {
            name,
            rights: rights.iter().fold(0, |bits, right| bits | right.bit()),
            tenants,
        }
    }

    /// Whether it is for this.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.rights & right.bit() != 0
    }

    /// Whose data a request is about that names `asked`. `None`: as it says, or does not say.
    ///
    /// # Errors
    /// It is not for that tenant.
    pub fn tenant(&self, asked: Option<&TenantId>) -> Result<Option<&TenantId>, TenantRefused> {
        let Some(tenants) = &self.tenants else {
            return Ok(None);
        };
        match (asked, tenants.as_slice()) {
            (None, [only]) => Ok(Some(only)),
            (None, _) => Ok(None),
            (Some(asked), _) if tenants.contains(asked) => Ok(None),
            (Some(asked), _) => Err(TenantRefused {
                login: self.name.clone(),
                tenant: asked.clone(),
            }),
        }
    }
}
