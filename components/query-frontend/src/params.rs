//! Parameters of the plain HTTP routes (api.md 5.1).

use axum::extract::Query;
use http::Uri;
use phlare_model::time;

use crate::error::Error;

/// The parameters of a URL, in their order; a name may come more than once.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Text that is not URL-encoded stays as it is.
    pub(crate) fn of(uri: &Uri) -> Self {
        Query::try_from_uri(uri).map_or_else(|_| Self::default(), |Query(pairs)| Self(pairs))
    }

    /// The first value of a parameter, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn required(&self, parameter: &'static str) -> Result<&str, Error> {
        self.get(parameter)
            .ok_or(Error::MissingParameter { parameter })
    }

    /// A time in milliseconds; now if it is not given.
    pub(crate) fn time(&self, parameter: &'static str, now_ms: i64) -> Result<i64, Error> {
        match self.get(parameter) {
            None => Ok(now_ms),
            Some(text) => {
                time::parse_time(text, now_ms).map_err(|source| Error::Time { parameter, source })
            }
        }
    }

    /// `maxNodes`, else `max-nodes`; what is no number does not count. 0 means that none is asked for.
    pub(crate) fn max_nodes(&self) -> i64 {
        let number = |name| self.get(name).and_then(|text| text.parse().ok());
        number("maxNodes")
            .or_else(|| number("max-nodes"))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::of(&format!("/render?{query}").parse().unwrap())
    }

    #[test]
    fn values_are_decoded_and_the_first_counts() {
        let check = |query: &str, expected: Option<&str>| {
            assert_eq!(params(query).get("a"), expected, "{query}")
        };
        check("a=b", Some("b"));
        check("a=%7Bx%3D%22y%22%7D&a=c", Some("{x=\"y\"}"));
        check("b=1&a=x+y", Some("x y"));
        check("a=%zz", Some("%zz"));
        check("a=", None);
        check("a", None);
        check("", None);
    }

    #[test]
    fn the_camel_case_node_limit_wins() {
        let check =
            |query: &str, expected: i64| assert_eq!(params(query).max_nodes(), expected, "{query}");
        check("max-nodes=5", 5);
        check("max-nodes=5&maxNodes=20", 20);
        check("max-nodes=5&maxNodes=x", 5);
        check("maxNodes=x", 0);
        check("maxNodes=-1", -1);
        check("maxNodes=99999999999999999999", 0);
        check("", 0);
    }

    #[test]
    fn times_default_to_now() {
        let check = |query: &str, expected: Option<i64>| {
            let now_ms = 1_767_225_600_000;
            assert_eq!(
                params(query).time("until", now_ms).ok(),
                expected,
                "{query}"
            );
        };
        check("", Some(1_767_225_600_000));
        check("until=", Some(1_767_225_600_000));
        check("until=now-1h", Some(1_767_222_000_000));
        check("until=20260101", Some(1_767_225_600_000));
        check("until=1767225600", Some(1_767_225_600_000));
        check("until=1767225600000", Some(1_767_225_600_000));
        check("until=1767225600000000", Some(1_767_225_600_000));
        check("until=1767225600000000000", Some(1_767_225_600_000));
        check("until=yesterday", None);
    }
}
