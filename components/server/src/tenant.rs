//! Who is asking: the tenant of a request.
//!
//! Rules: api.md 2.5.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use phlare_model::{TenantError, TenantId};

use crate::status::Status;
use crate::trace;

/// The header that carries the tenant.
pub(crate) const HEADER: &str = "x-scope-orgid";

/// Whether requests say who they are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantMode {
    /// The header is ignored, everything belongs to `anonymous`.
    Single,
    /// The header is required.
    Multi,
}

impl TenantMode {
    /// The tenant that these headers name; lines of the log and spans of the request at hand have it from now on.
    ///
    /// # Errors
    /// What [`TenantError`] lists, in [`TenantMode::Multi`].
    pub fn tenant(self, headers: &HeaderMap) -> Result<TenantId, TenantError> {
        let tenant = self.named(headers)?;
        trace::belongs_to(&tenant);
        Ok(tenant)
    }

    fn named(self, headers: &HeaderMap) -> Result<TenantId, TenantError> {
        if self == Self::Single {
            return Ok(TenantId::anonymous());
        }
        let mut found: Option<TenantId> = None;
        for value in headers.get_all(HEADER) {
            let text = String::from_utf8_lossy(value.as_bytes());
            let tenant = TenantId::from_header(&text)?;
            if found.as_ref().is_some_and(|first| *first != tenant) {
                return Err(TenantError::Multiple);
            }
            found = Some(tenant);
        }
        found.ok_or(TenantError::Missing)
    }
}

/// Extractor for plain routes: the tenant of the request, or 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant(pub TenantId);

impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Status;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Status> {
        // Absent only where a router is used without the server around it: then nobody is let in unnamed.
        let mode = parts
            .extensions
            .get::<TenantMode>()
            .copied()
            .unwrap_or(TenantMode::Multi);
        Ok(Self(mode.tenant(&parts.headers)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn one_tenant_for_all_ignores_the_header() {
        let check = |values: &[&str]| {
            assert_eq!(
                TenantMode::Single.tenant(&headers(values)),
                Ok(TenantId::anonymous())
            )
        };
        check(&[]);
        check(&["a"]);
        check(&["not/valid"]);
    }

    #[test]
    fn many_tenants_need_the_header() {
        let check = |values: &[&str], expected: Result<&str, TenantError>| {
            let got = TenantMode::Multi.tenant(&headers(values));
            assert_eq!(
                got.as_ref().map(TenantId::as_str),
                expected.as_ref().map(|id| *id),
                "{values:?}"
            );
        };
        check(&["a"], Ok("a"));
        check(&["a", "a"], Ok("a"));
        check(&["a", "b"], Err(TenantError::Multiple));
        check(&[], Err(TenantError::Missing));
        check(&[""], Err(TenantError::Missing));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, http::HeaderValue::from_bytes(b"a\xff").unwrap());
        assert!(matches!(
            TenantMode::Multi.tenant(&headers),
            Err(TenantError::Character { .. })
        ));
    }
}
