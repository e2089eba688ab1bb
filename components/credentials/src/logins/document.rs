//! The file of logins.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use phlare_model::TenantId;
use serde::Deserialize;

use super::password::{Secret, User};
use super::{Login, Logins, Right};

/// Most bcrypt rounds, as a power of two: one check takes about a second.
const MOST_COST: u32 = 14;
/// Fewest characters of a token: with less it could be guessed from its hash.
const SHORTEST_TOKEN: usize = 16;

/// What the file says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginsDocument {
    /// Bearer tokens.
    pub tokens: Vec<TokenEntry>,
    /// Users with passwords.
    pub users: Vec<UserEntry>,
    /// Certificates of clients.
    pub certificates: Vec<CertificateEntry>,
}

/// A bearer token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// Whose it is, for messages.
    pub name: String,
    /// SHA-256 of the token, in hexadecimal.
    #[serde(default)]
    pub sha256: Option<String>,
    /// The token itself, if not its hash.
    #[serde(default)]
    pub token: Option<String>,
    /// What it is for.
    pub rights: Vec<Right>,
    /// Whose data it is for; everybody's if it is not there.
    #[serde(default)]
    pub tenants: Option<Vec<String>>,
}

/// A user with a password.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    /// The name that the user gives.
    pub name: String,
    /// The password's bcrypt, as `htpasswd -nB` writes it: `$2y$10$…`.
    pub bcrypt: String,
    /// As of a token.
    pub rights: Vec<Right>,
    /// As of a token.
    #[serde(default)]
    pub tenants: Option<Vec<String>>,
}

/// A certificate that somebody presents.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateEntry {
    /// Whose it is, for messages.
    pub name: String,
    /// One of the DNS names in the certificate.
    pub dns_name: String,
    /// As of a token.
    pub rights: Vec<Right>,
    /// As of a token.
    #[serde(default)]
    pub tenants: Option<Vec<String>>,
}

impl LoginsDocument {
    /// What follows from it. The error names the entry.
    pub(super) fn logins(self, several_tenants: bool) -> Result<Logins, String> {
        let secret = Secret::new()?;
        let mut tokens = HashMap::new();
        let mut names = HashSet::new();
        for entry in self.tokens {
            let of = format!("token `{}`", entry.name);
            let digest = entry
                .digest()
                .map_err(|problem| format!("{of}: {problem}"))?;
            let login = login(entry.name, entry.rights, entry.tenants, several_tenants);
            let login = login.map_err(|problem| format!("{of}: {problem}"))?;
            if !names.insert(login.name.clone()) {
                return Err(format!("{of} is there twice"));
            }
            if let Some(other) = tokens.insert(secret.tag(&[&digest]), login) {
                return Err(format!("{of} is the same as that of `{}`", other.name));
            }
        }
        let mut users = HashMap::new();
        for entry in self.users {
            let of = format!("user `{}`", entry.name);
            let hash = bcrypt_of(&entry).map_err(|problem| format!("{of}: {problem}"))?;
            let login = login(entry.name, entry.rights, entry.tenants, several_tenants);
            let login = login.map_err(|problem| format!("{of}: {problem}"))?;
            let name = login.name.clone();
            if users.insert(name, User::new(login, hash)).is_some() {
                return Err(format!("{of} is there twice"));
            }
        }
        let mut certificates = HashMap::new();
        for entry in self.certificates {
            let of = format!("certificate `{}`", entry.name);
            let dns_name = entry.dns_name.to_ascii_lowercase();
            if dns_name.is_empty() {
                return Err(format!("{of}: `dns_name` is empty"));
            }
            let login = login(entry.name, entry.rights, entry.tenants, several_tenants);
            let login = login.map_err(|problem| format!("{of}: {problem}"))?;
            if let Some(other) = certificates.insert(dns_name, login) {
                return Err(format!("{of} has the name of `{}`", other.name));
            }
        }
        Ok(Logins {
            secret,
            tokens,
            users,
            certificates,
        })
    }
}

impl TokenEntry {
    fn digest(&self) -> Result<[u8; 32], &'static str> {
        match (&self.sha256, &self.token) {
            (Some(text), None) => hexadecimal(text).ok_or(
                "`sha256` is not 64 hexadecimal digits: `printf %s TOKEN | sha256sum` writes them",
            ),
            (None, Some(token)) if token.len() < SHORTEST_TOKEN => {
                Err("`token` has fewer than 16 characters: `openssl rand -hex 32` makes a good one")
            }
            (None, Some(token)) => {
                let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
                Ok(std::array::from_fn(|at| {
                    digest.as_ref().get(at).copied().unwrap_or_default()
                }))
            }
            (None, None) | (Some(_), Some(_)) => Err("has to have either `sha256` or `token`"),
        }
    }
}

fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// What of `htpasswd`'s line is the hash.
fn bcrypt_of(entry: &UserEntry) -> Result<String, &'static str> {
    if entry.name.is_empty() || entry.name.contains(':') {
        return Err("the name is empty or has a colon, which no client can send");
    }
    let hash = entry.bcrypt.trim();
    let hash = hash
        .strip_prefix(&format!("{}:", entry.name))
        .unwrap_or(hash);
    let parts: bcrypt::HashParts = hash
        .parse()
        .map_err(|_| "`bcrypt` is no bcrypt hash: `htpasswd -nB NAME` writes one, `$2y$…`")?;
    if parts.get_cost() > MOST_COST {
        return Err("`bcrypt` has a cost above 14: each check would take seconds");
    }
    Ok(hash.to_owned())
}

fn login(
    name: String,
    rights: Vec<Right>,
    tenants: Option<Vec<String>>,
    several_tenants: bool,
) -> Result<Arc<Login>, String> {
    if rights.is_empty() {
        let all = "read, write, admin, metrics, internal";
        return Err(format!("`rights` is empty: name some of {all}"));
    }
    let tenants = match tenants {
        None => None,
        Some(_) if !several_tenants => {
            return Err(
                "has `tenants`, and without -auth.multitenancy-enabled there are none".to_owned(),
            );
        }
        Some(tenants) if tenants.is_empty() => {
            return Err("`tenants` is empty: leave it out for all of them".to_owned());
        }
        Some(tenants) => {
            if let Some(right) = rights.iter().find(|right| !right.is_of_tenants()) {
                return Err(format!(
                    "has `tenants` and the right `{right}`, which is about all of them"
                ));
            }
            let parsed = tenants.iter().map(|tenant| {
                TenantId::parse(tenant).map_err(|error| format!("tenant `{tenant}`: {error}"))
            });
            Some(parsed.collect::<Result<Vec<_>, _>>()?)
        }
    };
    Ok(Arc::new(Login::new(name, &rights, tenants)))
}
