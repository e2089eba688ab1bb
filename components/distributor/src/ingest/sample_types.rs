//! What a profile is called when only its sample types tell (api.md 4.3).

use std::collections::BTreeMap;

use phlare_model::ErrorKind;
use phlare_server::Status;
use serde::Deserialize;

/// How clients describe a sample type; the rest of what they say has no effect.
#[derive(Clone, Debug, Default, Deserialize)]
struct Config {
    #[serde(rename = "display-name", default)]
    display_name: String,
}

/// Display names of sample types.
#[derive(Clone, Debug)]
pub(crate) struct SampleTypes {
    configs: BTreeMap<String, Config>,
}

impl Default for SampleTypes {
    /// What Go's profilers write.
    fn default() -> Self {
        let names = [
            ("samples", "cpu"),
            ("goroutine", "goroutines"),
            ("contentions", "mutex_count"),
            ("delay", "mutex_duration"),
        ];
        let config = |(kind, display_name): (&str, &str)| {
            (
                kind.to_owned(),
                Config {
                    display_name: display_name.to_owned(),
                },
            )
        };
        Self {
            configs: names.into_iter().map(config).collect(),
        }
    }
}

impl SampleTypes {
    /// Reads the form's part `sample_type_config`; an empty one says nothing.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Status> {
        if json.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let configs = serde_json::from_slice(json).map_err(|error| {
            let message = format!(
                "the part `sample_type_config` is no JSON object of sample types such as \
                 {{\"samples\":{{\"display-name\":\"cpu\"}}}}: {error}"
            );
            Status::new(ErrorKind::Unprocessable, message)
        })?;
        Ok(Self { configs })
    }

    /// Whether a .NET profiler sent this.
    pub(crate) fn is_dotnet(&self) -> bool {
        self.configs.contains_key("inuse-space")
    }

    /// The name of a profile with these sample types.
    pub(crate) fn name<'a>(&self, kinds: impl Iterator<Item = &'a str>) -> String {
        let mut by_type = None;
        let mut last = "";
        for kind in kinds {
            if kind == "wall" {
                return kind.to_owned();
            }
            let config = self
                .configs
                .get(kind)
                .map(|config| config.display_name.as_str());
            let shown = config.filter(|name| !name.is_empty()).unwrap_or(kind);
            by_type = by_type.or_else(|| known_name(shown));
            last = kind;
        }
        by_type.map_or_else(|| last.to_owned(), str::to_owned)
    }
}

fn known_name(shown: &str) -> Option<&'static str> {
    let contains = |part| shown.contains(part);
    Some(match shown {
        _ if contains("cpu") => "process_cpu",
        "space" | "objects" => "memory",
        _ if contains("alloc_") || contains("inuse_") => "memory",
        _ if contains("mutex_") => "mutex",
        _ if contains("block_") => "block",
        _ if contains("goroutines") => "goroutines",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, kinds: &[&str], expected: &str) {
        let types = SampleTypes::parse(json.as_bytes()).unwrap();
        assert_eq!(
            types.name(kinds.iter().copied()),
            expected,
            "{json} {kinds:?}"
        );
    }

    #[test]
    fn without_a_config_gos_names_hold() {
        check("", &["samples", "cpu"], "process_cpu");
        check("", &["samples"], "process_cpu");
        check(
            "",
            &[
                "alloc_objects",
                "alloc_space",
                "inuse_objects",
                "inuse_space",
            ],
            "memory",
        );
        check("", &["objects"], "memory");
        check("", &["contentions", "delay"], "mutex");
        check("", &["goroutine"], "goroutines");
        check("", &["sample", "wall"], "wall");
        check("", &["x", "y"], "y");
    }

    #[test]
    fn a_config_renames() {
        let block = r#"{"contentions":{"display-name":"block_count","units":"lock_samples"},"delay":{"display-name":"block_duration"}}"#;
        check(block, &["contentions", "delay"], "block");
        check(
            r#"{"samples":{"units":"samples","display-name":"my_cpu","sampled":true}}"#,
            &["samples"],
            "process_cpu",
        );
        check(r#"{"wall":{"units":"samples"}}"#, &["wall", "cpu"], "wall");
        check("{}", &["samples"], "samples");
    }

    #[test]
    fn a_config_that_is_no_json_is_refused() {
        let status = SampleTypes::parse(b"{").unwrap_err();
        assert_eq!(status.http_status().as_u16(), 422);
        assert!(
            status.message.contains("sample_type_config"),
            "{}",
            status.message
        );
    }
}
