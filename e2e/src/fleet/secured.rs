//! Fleets over TLS.

use std::net::Ipv4Addr;

use super::{Fleet, PORT, Settings};
use crate::Client;
use crate::certificates::{Certificates, OPERATOR};

impl Settings {
    /// Over TLS, also between processes, for clients that have one of the tokens.
    #[must_use]
    pub fn secured(mut self, certificates: &Certificates) -> Self {
        self.flags.extend(certificates.server());
        self.flags.extend(certificates.peer());
        self.authority = Some(certificates.ca());
        self
    }
}

impl Fleet {
    /// A client of one process; over TLS one that may do all that people may.
    ///
    /// # Errors
    /// If no client can be made.
    pub fn client(&self, name: &str) -> anyhow::Result<Client> {
        let url = self.url(name);
        match &self.authority {
            Some(authority) => Ok(Client::secured(url, authority)?.token(OPERATOR)),
            None => Client::new(url),
        }
    }

    pub(super) fn url_of(&self, address: Ipv4Addr) -> String {
        let scheme = match self.authority {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{address}:{PORT}")
    }
}
