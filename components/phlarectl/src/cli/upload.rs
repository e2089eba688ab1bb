//! Arguments of `upload`.

use clap::Args;

use super::{FileFormat, Output, at_least_one};

/// Arguments of `upload`.
#[derive(Clone, Debug, Args)]
pub(crate) struct UploadArgs {
    /// Files, plain or gzipped, recognised by their content: pprof, JFR, OTLP, speedscope, trees, tries, collapsed
    /// stacks, lines of stacks, the text of `perf script`. A directory stands for all files in it
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// One more label, `name=value` (repeatable)
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub(crate) extra_labels: Vec<(String, String)>,
    /// What the files are, where their content does not tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<FileFormat>,
    /// Samples per second of files that do not say it; the server takes 100 without it
    #[arg(long, value_name = "HZ")]
    pub(crate) sample_rate: Option<u32>,
    /// Label `service_name` [default: as OTLP files have it, else phlarectl-upload]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_name: Option<String>,
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
