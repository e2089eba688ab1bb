//! Tenant ids: valid by construction.
//!
//! Rules: api.md 2.5. An id becomes part of paths and object names, so what is
//! not allowed here never reaches a file system.

use std::fmt;
use std::sync::Arc;

use crate::error::{Classify, ErrorKind};

/// The tenant of every request while multi-tenancy is off.
pub const ANONYMOUS: &str = "anonymous";

const MAX_BYTES: usize = 150;

/// Whose data it is: 1–150 bytes of `a-z A-Z 0-9 ! - _ . * ' ( )`, neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// Why a text is no tenant id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    /// No id was given where one is required.
    #[error("no org id: send the header `X-Scope-OrgID`")]
    Missing,
    /// The id is too long.
    #[error("tenant ID is too long: {bytes} bytes, at most {MAX_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A character that is not allowed.
    #[error(
        "tenant ID contains the unsupported character {character:?} at byte {at}; allowed are letters, digits and !-_.*'()"
    )]
    Character {
        /// The first such character.
        character: char,
        /// Its offset in bytes.
        at: usize,
    },
    /// `.` and `..` would leave the tenant's directory.
    #[error("tenant ID {0:?} is not allowed")]
    Dots(String),
    /// Several different ids where one is needed.
    #[error("multiple org IDs present: this call serves one tenant")]
    Multiple,
}

impl TenantId {
    /// The tenant of a single-tenant system.
    #[must_use]
    pub fn anonymous() -> Self {
        Self(Arc::from(ANONYMOUS))
    }

    /// One id, exactly as written.
    ///
    /// # Errors
    /// What [`TenantError`] lists.
    pub fn parse(id: &str) -> Result<Self, TenantError> {
        if id.is_empty() {
            return Err(TenantError::Missing);
        }
        if id.len() > MAX_BYTES {
            return Err(TenantError::TooLong { bytes: id.len() });
        }
        if let Some((at, character)) = id.char_indices().find(|(_, c)| !is_allowed(*c)) {
            return Err(TenantError::Character { character, at });
        }
        if id == "." || id == ".." {
            return Err(TenantError::Dots(id.to_owned()));
        }
        Ok(Self(Arc::from(id)))
    }

    /// The value of an `X-Scope-OrgID` header: ids separated by `|`, each with an
    /// optional `:key=value` suffix that is not part of the id. Repetitions of one id count once.
    ///
    /// # Errors
    /// What [`TenantError`] lists; [`TenantError::Multiple`] if different ids are left.
    pub fn from_header(value: &str) -> Result<Self, TenantError> {
        let mut found: Option<Self> = None;
        for part in value.split('|') {
            let id = part.split_once(':').map_or(part, |(id, _metadata)| id);
            let tenant = Self::parse(id)?;
            match &found {
                Some(first) if *first != tenant => return Err(TenantError::Multiple),
                Some(_) => {}
                None => found = Some(tenant),
            }
        }
        found.ok_or(TenantError::Missing)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!-_.*'()".contains(c)
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Classify for TenantError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing
            | Self::TooLong { .. }
            | Self::Character { .. }
            | Self::Dots(_)
            | Self::Multiple => ErrorKind::Unauthenticated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values() {
        let check = |header: &str, expected: Result<&str, TenantError>| {
            assert_eq!(
                TenantId::from_header(header),
                expected.map(|id| TenantId(Arc::from(id))),
                "{header:?}"
            );
        };
        check("a", Ok("a"));
        check("a|a", Ok("a"));
        check("a:region=eu", Ok("a"));
        check("Aa0!-_.*'()", Ok("Aa0!-_.*'()"));
        check("a|b", Err(TenantError::Multiple));
        check("", Err(TenantError::Missing));
        check("..", Err(TenantError::Dots("..".into())));
        check(
            "a b",
            Err(TenantError::Character {
                character: ' ',
                at: 1,
            }),
        );
        check(
            "a/b",
            Err(TenantError::Character {
                character: '/',
                at: 1,
            }),
        );
        check(&"x".repeat(151), Err(TenantError::TooLong { bytes: 151 }));
    }

    #[test]
    fn the_longest_id_is_accepted() {
        assert!(TenantId::parse(&"x".repeat(150)).is_ok());
    }
}
