//! Who may do what: tokens, passwords and certificates that are known, and what each of them is for.
//!
//! Tokens are long and random, so their SHA-256 is what is kept and compared. Passwords are neither: they are kept as bcrypt, which
//! is slow on purpose, so a password that was right once is known again by a fast hash under a secret of the process.

mod document;
mod login;
mod password;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::hmac;

use crate::error::Error;
use crate::figures::Figures;
use crate::watch::{Reload, Source, Watched};

pub use document::{CertificateEntry, LoginsDocument, TokenEntry, UserEntry};
pub use login::{Login, Right, TenantRefused};
pub use password::{Password, PasswordCheck};
use password::{Secret, Tag, User};

/// Reads a document: as YAML, for example. The error says where it is wrong.
pub type ReadDocument = fn(&str) -> Result<LoginsDocument, String>;

/// All that are known.
pub struct Logins {
    secret: Secret,
    /// By what the secret makes of a token's SHA-256: how long a look-up takes says nothing of the token.
    tokens: HashMap<Tag, Arc<Login>>,
    users: HashMap<String, User>,
    /// By DNS name.
    certificates: HashMap<String, Arc<Login>>,
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins")
            .field("tokens", &self.tokens.len())
            .field("users", &self.users.len())
            .field("certificates", &self.certificates.len())
            .finish()
    }
}

impl Logins {
    /// Whose token this is.
    #[must_use]
    pub fn token(&self, token: &[u8]) -> Option<&Arc<Login>> {
        let digest = ring::digest::digest(&ring::digest::SHA256, token);
        self.tokens.get(&self.secret.tag(&[digest.as_ref()]))
    }

    /// Whose certificate has one of these DNS names.
    #[must_use]
    pub fn certificate(&self, names: &[String]) -> Option<&Arc<Login>> {
        names.iter().find_map(|name| self.certificates.get(name))
    }

    /// Whether there is anybody with a password.
    #[must_use]
    pub fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// Whether anybody may do this.
    #[must_use]
    pub fn anybody_may(&self, right: Right) -> bool {
        let users = self.users.values().map(|user| &user.login);
        let all = self.tokens.values().chain(self.certificates.values());
        all.chain(users).any(|login| login.may(right))
    }
}

#[derive(Debug)]
struct Files {
    path: PathBuf,
    read: ReadDocument,
    /// Whether requests name their tenant.
    several_tenants: bool,
}

impl Source for Files {
    type Made = Logins;

    fn files(&self) -> Vec<&Path> {
        vec![&self.path]
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<Logins, Error> {
        let text = contents.first().map(Vec::as_slice).unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|error| Error::content(&self.path, error))?;
        let document = (self.read)(text).map_err(|error| Error::content(&self.path, error))?;
        document
            .logins(self.several_tenants)
            .map_err(|problem| Error::content(&self.path, problem))
    }

    fn not_after(&self, _: &[Vec<u8>]) -> Option<i64> {
        None
    }
}

/// A file of logins. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LoginsFile(Arc<Watched<Files>>);

impl LoginsFile {
    /// Reads it for the first time.
    ///
    /// # Errors
    /// It is not there, or makes no sense.
    pub fn open(
        path: &Path,
        read: ReadDocument,
        several_tenants: bool,
        figures: &Figures,
    ) -> Result<Self, Error> {
        let files = Files {
            path: path.to_owned(),
            read,
            several_tenants,
        };
        let watched = Watched::open(files, figures.of("logins"))?;
        Ok(Self(Arc::new(watched)))
    }

    /// Those in force.
    #[must_use]
    pub fn current(&self) -> Arc<Logins> {
        self.0.current()
    }

    /// To look at the file again.
    #[must_use]
    pub fn reload(&self) -> Arc<dyn Reload> {
        Arc::clone(&self.0) as _
    }
}

impl Secret {
    fn new() -> Result<Self, &'static str> {
        let random = ring::rand::SystemRandom::new();
        match hmac::Key::generate(hmac::HMAC_SHA256, &random) {
            Ok(key) => Ok(Self(key)),
            Err(_) => Err("the system has no random bytes"),
        }
    }
}

#[cfg(test)]
mod tests;
