//! Which label names a client can show, by its `Accept` header (api.md 1.10).
//!
//! Clients that can show names of any characters say so with the parameter
//! `allow-utf8-labelnames=true` of any media type in it.

use http::HeaderMap;
use http::header::ACCEPT;
use phlare_model::labels::{Labels, is_legacy_name};

const PARAMETER: &str = "allow-utf8-labelnames";

/// The label names that a client can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelNames {
    /// `[a-zA-Z_][a-zA-Z0-9_]*`; others are left out.
    Legacy,
    /// All.
    Utf8,
}

impl LabelNames {
    /// What the headers of a request ask for. They are well-formed: the server refuses others.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok());
        if values
            .flat_map(|value| value.split([',', ';']))
            .any(allows_utf8)
        {
            Self::Utf8
        } else {
            Self::Legacy
        }
    }

    /// Whether the client gets to see a label of this name.
    pub(crate) fn shows(self, name: &str) -> bool {
        self == Self::Utf8 || is_legacy_name(name)
    }

    /// The labels of a set that the client gets to see.
    pub(crate) fn shown(self, labels: Labels) -> Labels {
        if labels.iter().all(|(name, _)| self.shows(name)) {
            return labels;
        }
        Labels::from_pairs(labels.iter().filter(|(name, _)| self.shows(name)))
    }
}

fn allows_utf8(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case(PARAMETER) && value.trim().trim_matches('"') == "true"
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn accept_headers() {
        let check = |values: &[&'static str], expected: LabelNames| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, HeaderValue::from_static(value));
            }
            assert_eq!(LabelNames::of(&headers), expected, "{values:?}");
        };
        check(&[], LabelNames::Legacy);
        check(&["*/*"], LabelNames::Legacy);
        check(
            &["application/json, text/plain, */*;q=0.8"],
            LabelNames::Legacy,
        );
        check(&["*/*; allow-utf8-labelnames=true"], LabelNames::Utf8);
        check(
            &["application/json; Allow-UTF8-LabelNames=\"true\""],
            LabelNames::Utf8,
        );
        check(
            &[
                "text/plain",
                "application/json;q=1;allow-utf8-labelnames=true, */*",
            ],
            LabelNames::Utf8,
        );
        check(&["*/*; allow-utf8-labelnames=false"], LabelNames::Legacy);
        check(&["*/*; allow-utf8-labelnames"], LabelNames::Legacy);
    }

    #[test]
    fn only_names_that_the_client_knows_are_shown() {
        let labels = Labels::from_pairs([("a", "1"), ("k8s.pod.name", "2"), ("9", "3")]);
        assert_eq!(
            LabelNames::Legacy.shown(labels.clone()),
            Labels::from_pairs([("a", "1")])
        );
        assert_eq!(LabelNames::Utf8.shown(labels.clone()), labels);
    }
}
