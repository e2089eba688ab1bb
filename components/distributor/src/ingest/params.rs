//! The query parameters of `/ingest` (api.md 4.1).

use axum::extract::Query;
use http::Uri;
use phlare_formats::{SampleRate, Timing};
use phlare_model::time::parse_time;
use phlare_server::Status;
use tracing::debug;

use crate::app_name::AppName;

/// What the URL says about a profile.
///
/// `units` and `aggregationType` are known and have no effect: they never changed what is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The application and its tags.
    pub app: AppName,
    /// Start and length of the profile.
    pub timing: Timing,
    /// Samples per second.
    pub sample_rate: SampleRate,
    /// Whether the client named that rate; else it is what is usual.
    pub names_rate: bool,
    /// The program that profiled.
    pub spy: String,
    /// The format of the body; may be empty.
    pub format: String,
}

impl Params {
    /// Reads the query of a URL; of a repeated parameter the first counts.
    ///
    /// # Errors
    /// A name or a time that cannot be read.
    pub fn read(uri: &Uri, now_ns: i64) -> Result<Self, Status> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let query = query
            .map_err(|error| Status::invalid_argument(error.body_text()))?
            .0;
        let get = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map_or("", |(_, value)| value.as_str())
        };
        let now_ms = now_ns.div_euclid(1_000_000);
        let from = get("from");
        let from_ms = time("from", from, now_ms)?;
        let until_ms = time("until", get("until"), now_ms)?;
        let ns = |ms: i64| ms.saturating_mul(1_000_000);
        let rate = sample_rate(get("sampleRate"));
        Ok(Self {
            app: AppName::parse(get("name"))?,
            timing: Timing {
                time_ns: if from.is_empty() { now_ns } else { ns(from_ms) },
                duration_ns: ns(until_ms.saturating_sub(from_ms).max(0)),
            },
            sample_rate: rate.unwrap_or(SampleRate::DEFAULT),
            names_rate: rate.is_some(),
            spy: if get("spyName").is_empty() {
                "unknown"
            } else {
                get("spyName")
            }
            .to_owned(),
            format: get("format").to_owned(),
        })
    }
}

fn time(name: &str, text: &str, now_ms: i64) -> Result<i64, Status> {
    parse_time(text, now_ms).map_err(|error| {
        let status = Status::from(error);
        Status {
            message: format!("query parameter `{name}`: {}", status.message),
            ..status
        }
    })
}

/// Old SDKs send rates that are none, for each heap profile: not worth a line in the log.
fn sample_rate(text: &str) -> Option<SampleRate> {
    if text.is_empty() {
        return None;
    }
    let rate = SampleRate::parse(text);
    if rate.is_none() {
        debug!(
            sample_rate = text,
            "query parameter `sampleRate` is no number from 0 to 1e9: taken as not set"
        );
    }
    rate
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_000_000_123_456_789;

    #[track_caller]
    fn read(query: &str) -> Params {
        Params::read(&format!("http://x/ingest?{query}").parse().unwrap(), NOW).unwrap()
    }

    #[test]
    fn defaults() {
        let params = read("name=app");
        assert_eq!(params.app.name, "app");
        assert_eq!(
            params.timing,
            Timing {
                time_ns: NOW,
                duration_ns: 0
            }
        );
        assert_eq!(params.sample_rate, SampleRate::DEFAULT);
        assert_eq!(
            (params.spy.as_str(), params.format.as_str()),
            ("unknown", "")
        );
    }

    #[test]
    fn everything_is_read() {
        let params = read(
            "name=app%7Bregion%3Deu%7D&from=1763000000&until=1763000010&sampleRate=10&spyName=gospy&format=lines&units=bytes&name=other",
        );
        assert_eq!(params.app, AppName::parse("app{region=eu}").unwrap());
        assert_eq!(
            params.timing,
            Timing {
                time_ns: 1_763_000_000_000_000_000,
                duration_ns: 10_000_000_000
            }
        );
        assert_eq!(params.sample_rate, SampleRate::hertz(10));
        assert_eq!(
            (params.spy.as_str(), params.format.as_str()),
            ("gospy", "lines")
        );
    }

    #[test]
    fn times_come_in_several_units() {
        for from in [
            "1763000000",
            "1763000000000",
            "1763000000000000",
            "1763000000000000000",
        ] {
            assert_eq!(
                read(&format!("name=a&from={from}")).timing.time_ns,
                1_763_000_000_000_000_000,
                "{from}"
            );
        }
        assert_eq!(read("name=a&from=20&until=10").timing.duration_ns, 0);
    }

    #[test]
    fn a_rate_that_is_none_is_the_default() {
        for rate in ["-1", "abc", "1e300", "NaN", ""] {
            assert_eq!(
                read(&format!("name=a&sampleRate={rate}")).sample_rate,
                SampleRate::DEFAULT,
                "{rate}"
            );
        }
        assert!(read("name=a&sampleRate=0").sample_rate.is_unknown());
    }

    #[test]
    fn mistakes_are_named() {
        let check = |query: &str, expected: &str| {
            let status =
                Params::read(&format!("/ingest?{query}").parse().unwrap(), NOW).unwrap_err();
            assert_eq!(status.http_status().as_u16(), 400);
            assert!(status.message.contains(expected), "{}", status.message);
        };
        check("", "application name is empty");
        check("name=a%20b", "not allowed");
        check("name=a&from=yesterday", "query parameter `from`");
        check("name=a&until=x", "query parameter `until`");
    }

    #[test]
    fn hostile_queries_never_panic() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let query: String = bytes
                .iter()
                .map(|byte| format!("{}", std::ascii::escape_default(*byte)))
                .collect();
            for query in [
                format!("/ingest?{query}"),
                format!("/ingest?name=a&from={query}&sampleRate={query}"),
            ] {
                if let Ok(uri) = query.parse::<Uri>() {
                    let _ = Params::read(&uri, NOW);
                }
            }
        });
    }
}
