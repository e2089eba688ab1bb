//! Arguments of `upload`.

use clap::Args;

use super::{Output, at_least_one};

/// Arguments of `upload`.
#[derive(Clone, Debug, Args)]
pub(crate) struct UploadArgs {
    /// pprof files, plain or gzipped; also collapsed stacks (.collapsed, .folded, .txt), speedscope
    /// (.speedscope.json) and JFR (.jfr). A directory stands for all files in it
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// One more label, `name=value` (repeatable)
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub(crate) extra_labels: Vec<(String, String)>,
    /// Label `service_name`
    #[arg(long, value_name = "NAME", default_value = "phlarectl-upload")]
    pub(crate) service_name: String,
    /// Label `__name__`, e.g. `process_cpu`, `memory`; guessed from the sample types if left out. For other
    /// formats than pprof the suffix of the application name, e.g. `cpu`, `wall`, `inuse_space`
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Send the profiles as of now
    #[arg(long, conflicts_with = "timestamp")]
    pub(crate) override_timestamp: bool,
    /// Send the profiles as of this time, e.g. `now-5m`
    #[arg(long, value_name = "TIME")]
    pub(crate) timestamp: Option<String>,
    /// Files sent at the same time
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = at_least_one)]
    pub(crate) concurrency: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!("`{text}`: expected name=value")),
    }
}
