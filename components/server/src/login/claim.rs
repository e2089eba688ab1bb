//! Who a request says it is from.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Longest token or pair of user and password.
const LONGEST: usize = 4096;

/// What the header `Authorization` says.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Claim {
    None,
    Token(String),
    Password {
        user: String,
        password: String,
    },
    /// There is something, and it is none of these.
    Unreadable,
}

impl Claim {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return match headers.contains_key(AUTHORIZATION) {
                true => Self::Unreadable,
                false => Self::None,
            };
        };
        let read = value.to_str().ok().filter(|text| text.len() <= LONGEST);
        read.and_then(Self::read).unwrap_or(Self::Unreadable)
    }

    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self::Token(rest.to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        Some(Self::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// For figures: how somebody logs in who may have a certificate, too.
    pub(super) fn method(&self, has_certificate: bool) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Password { .. } => "password",
            Self::Unreadable => "unreadable",
            Self::None if has_certificate => "certificate",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(values: &[&str]) -> Claim {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        Claim::of(&headers)
    }

    #[test]
    fn headers_are_read() {
        let check = |values: &[&str], expected: Claim| {
            assert!(claim(values) == expected, "{values:?}");
        };
        let password = |user: &str, password: &str| Claim::Password {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        check(&[], Claim::None);
        check(&["Bearer abc"], Claim::Token("abc".to_owned()));
        check(&["bearer  abc "], Claim::Token("abc".to_owned()));
        check(&["Basic YTpiOmM="], password("a", "b:c"));
        check(&["BASIC Og=="], password("", ""));
        check(&["Basic YQ=="], Claim::Unreadable);
        check(&["Basic %%%"], Claim::Unreadable);
        check(&["Digest a"], Claim::Unreadable);
        check(&["abc"], Claim::Unreadable);
        check(&[""], Claim::Unreadable);
        check(&["Bearer a", "Bearer a"], Claim::Unreadable);
        check(
            &[&format!("Bearer {}", "a".repeat(5000))],
            Claim::Unreadable,
        );
    }

    #[test]
    fn hostile_bytes_are_no_claim() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            if let Ok(value) = http::HeaderValue::from_bytes(bytes) {
                headers.insert(AUTHORIZATION, value);
                assert!(Claim::of(&headers) != Claim::None);
            }
        });
    }
}
