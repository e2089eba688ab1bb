//! The command line.

mod blocks;
mod convert;
mod kubernetes;
mod output;
mod upload;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use phlare_model::time::parse_time;

use crate::render::time;

pub(crate) use blocks::{
    BlocksCommand, BlocksQueryCommand, CompactArgs, InspectArgs, PlaceArgs, RewriteArgs, VerifyArgs,
};
pub(crate) use convert::{ConvertArgs, FileFormat, Target};
pub(crate) use kubernetes::{
    AccessArgs, DiagnoseArgs, KubernetesArgs, KubernetesCommand, Plugin, RingArgs, RolloutAction,
    RolloutArgs, StatusArgs,
};
pub(crate) use output::ProfileOutput;
pub(crate) use upload::UploadArgs;

/// The profile type that queries are about if none is given.
const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// Arguments that parse but do not fit together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Uploads profiles to a Phlare or Pyroscope server and asks it; looks into its blocks.
#[derive(Debug, Parser)]
#[command(
    name = "phlarectl",
    version,
    args_override_self = true,
    after_help = "Exit codes: 0 done; 1 failed, not ready, or a block is not sound; 2 usage; 3 the server or bucket \
                  refused the request (4xx); 4 it failed or was not reached.\n\
                  Long flags may be written with one dash. Colour is off where NO_COLOR is set."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to reach the server.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    /// The server
    #[arg(
        long,
        global = true,
        env = "PHLARECTL_URL",
        default_value = "http://localhost:4040"
    )]
    pub(crate) url: String,
    /// Tenant, sent as `X-Scope-OrgID`
    #[arg(long, global = true, env = "PHLARECTL_TENANT_ID", value_name = "ID")]
    pub(crate) tenant_id: Option<String>,
    /// User of basic authentication
    #[arg(long, global = true, env = "PHLARECTL_USERNAME", value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// Password of basic authentication
    #[arg(
        long,
        global = true,
        env = "PHLARECTL_PASSWORD",
        hide_env_values = true
    )]
    pub(crate) password: Option<String>,
    /// Bearer token
    #[arg(long, global = true, env = "PHLARECTL_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Seconds allowed for one request
    #[arg(
        long,
        global = true,
        env = "PHLARECTL_TIMEOUT",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    pub(crate) timeout: u64,
}

/// Whom to believe, if not those whom the system believes, and who the client is.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TlsArgs {
    /// Certificates of those who may sign the server's (PEM)
    #[arg(
        long,
        global = true,
        env = "PHLARECTL_TLS_CA_PATH",
        value_name = "FILE"
    )]
    pub(crate) tls_ca_path: Option<PathBuf>,
    /// Certificate to present (PEM); needs the two others
    #[arg(
        long,
        global = true,
        env = "PHLARECTL_TLS_CERT_PATH",
        value_name = "FILE"
    )]
    pub(crate) tls_cert_path: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(
        long,
        global = true,
        env = "PHLARECTL_TLS_KEY_PATH",
        value_name = "FILE"
    )]
    pub(crate) tls_key_path: Option<PathBuf>,
    /// Name in the server's certificate, if not the one in --url
    #[arg(
        long,
        global = true,
        env = "PHLARECTL_TLS_SERVER_NAME",
        value_name = "NAME"
    )]
    pub(crate) tls_server_name: Option<String>,
    /// Believe any certificate
    #[arg(long, global = true, env = "PHLARECTL_TLS_INSECURE_SKIP_VERIFY")]
    pub(crate) tls_insecure_skip_verify: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send profiles: files, directories, globs
    Upload(UploadArgs),
    /// Turn a file of profiles, of whatever format, into pprof or collapsed stacks; without a server
    Convert(ConvertArgs),
    /// Ask for profiles
    #[command(subcommand)]
    Query(QueryCommand),
    /// List label names, or the values of one label
    Labels(LabelsArgs),
    /// List profile types
    Types(MetadataArgs),
    /// Say whether the server is ready; exit code 1 if it is not
    Ready,
    /// Look into blocks in a directory or a bucket, without a server
    #[command(subcommand)]
    Blocks(BlocksCommand),
    /// Look at Phlares on a Kubernetes, and have their operator do things
    #[command(visible_alias = "k8s")]
    Kubernetes(KubernetesArgs),
}

/// Questions about profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum QueryCommand {
    /// Merge profiles into one
    #[command(visible_alias = "merge")]
    Profile(ProfileArgs),
    /// Merge profiles for profile-guided optimisation by the Go compiler
    GoPgo(GoPgoArgs),
    /// List label sets
    Series(SeriesArgs),
    /// Totals of profiles over time
    Timeseries(TimeseriesArgs),
    /// The label values with the largest totals
    Top(TopArgs),
    /// Number of values of each label
    LabelValuesCardinality(CardinalityArgs),
}

/// Form of lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// Which profiles, when.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Query")]
pub(crate) struct RangeArgs {
    /// Beginning of the time range [default: now-1h]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// End of the time range [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Label selector
    #[arg(long, default_value = "{}", value_name = "SELECTOR")]
    pub(crate) query: String,
}

impl RangeArgs {
    /// Start and end in milliseconds since the epoch; `whole` is what they are if they are not given.
    pub(crate) fn range_ms(
        &self,
        now_ms: i64,
        whole: (i64, i64),
    ) -> Result<(i64, i64), UsageError> {
        let read = |flag: &str, text: &Option<String>, default_ms: i64| match text {
            Some(text) => {
                parse_time(text, now_ms).map_err(|error| UsageError(format!("--{flag}: {error}")))
            }
            None => Ok(default_ms),
        };
        let start = read("from", &self.from, whole.0)?;
        let end = read("to", &self.to, whole.1)?;
        let is_given = self.from.is_some() || self.to.is_some();
        if start > end || (start == end && is_given) {
            let show = |text: &Option<String>, ms| text.clone().unwrap_or_else(|| time(ms));
            let (from, to) = (show(&self.from, start), show(&self.to, end));
            return Err(UsageError(format!(
                "--from `{from}` is not before --to `{to}`"
            )));
        }
        Ok((start, end))
    }

    /// The selector as a list of matchers.
    pub(crate) fn matchers(&self) -> Vec<String> {
        vec![self.query.clone()]
    }
}

/// A profile type with its selector and range.
#[derive(Clone, Debug, Args)]
pub(crate) struct SelectArgs {
    /// Profile type, `name:sample_type:sample_unit:period_type:period_unit`; `phlarectl types` lists them
    #[arg(long, default_value = CPU, value_name = "TYPE", help_heading = "Query")]
    pub(crate) profile_type: String,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
}

/// Arguments of `query profile`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ProfileArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// `table`, `tree`, `collapsed`, `dot`, `json`, `raw` (the server's answer), or `pprof=FILE` (gzipped)
    #[arg(long, default_value = "table")]
    pub(crate) output: ProfileOutput,
    /// Overwrite an existing file
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Rows of the table, 0 for all
    #[arg(long, default_value_t = 30, value_name = "N")]
    pub(crate) top_n: usize,
    /// Leave out branches of the tree below this share of the total
    #[arg(long, default_value_t = 0.5, value_name = "PERCENT")]
    pub(crate) min_percent: f64,
    /// Merge the lightest nodes into `other` until about so many are left; of `dot`, draw only so many
    #[arg(long, value_name = "N", help_heading = "Query")]
    pub(crate) max_nodes: Option<i64>,
    /// Only stacks that begin with this function at the root (repeatable: the next one called)
    #[arg(long, value_name = "FUNCTION", help_heading = "Query")]
    pub(crate) stacktrace_selector: Vec<String>,
    /// Only samples of this span, 16 hexadecimal digits (repeatable)
    #[arg(long, value_name = "ID", help_heading = "Query")]
    pub(crate) span_selector: Vec<String>,
}

/// Arguments of `query go-pgo`.
#[derive(Clone, Debug, Args)]
pub(crate) struct GoPgoArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Where to write
    #[arg(long, default_value = "pprof=./default.pgo")]
    pub(crate) output: ProfileOutput,
    /// Overwrite an existing file
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Locations kept of each stack, from the leaf; 0 for all
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) keep_locations: u32,
    /// Ignore the line numbers of leaves
    #[arg(
        long, num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true",
        action = clap::ArgAction::Set, value_parser = go_bool, value_name = "BOOL"
    )]
    pub(crate) aggregate_callees: bool,
}

/// Arguments of `query series`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SeriesArgs {
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// Show only this label (repeatable)
    #[arg(long = "label-names", value_name = "NAME")]
    pub(crate) label_names: Vec<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `query timeseries`.
#[derive(Clone, Debug, Args)]
pub(crate) struct TimeseriesArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// One series for each value of this label (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) group_by: Vec<String>,
    /// Seconds between points; without it about 60 points
    #[arg(long, value_name = "SECONDS")]
    pub(crate) step: Option<f64>,
    /// How profiles of one step are combined
    #[arg(long, value_enum, default_value = "sum")]
    pub(crate) aggregation: Aggregation,
    /// Only the largest series
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<i64>,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// How profiles of one step are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Aggregation {
    /// Their sum
    Sum,
    /// Their mean
    Average,
}

/// Arguments of `query top`.
#[derive(Clone, Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Compare the values of this label (repeatable)
    #[arg(
        long = "label-names",
        value_name = "NAME",
        default_value = "service_name"
    )]
    pub(crate) label_names: Vec<String>,
    /// Rows, 0 for all
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) top_n: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `query label-values-cardinality`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CardinalityArgs {
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// Rows, 0 for all
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) top_n: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `labels`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LabelsArgs {
    /// The label whose values to list
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) metadata: MetadataArgs,
}

/// Arguments of questions about what there is.
#[derive(Clone, Debug, Args)]
pub(crate) struct MetadataArgs {
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Turns `-long-flag` into `--long-flag`, as flags are written in Go. `-h`, `-` and `-1` stay.
pub(crate) fn normalise(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut flags_ended = false;
    args.into_iter()
        .map(|arg| {
            flags_ended |= arg == "--";
            match arg.to_str() {
                Some(text) if !flags_ended && is_one_dash_flag(text) => format!("-{text}").into(),
                _ => arg,
            }
        })
        .collect()
}

fn is_one_dash_flag(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next() == Some(b'-')
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.next().is_some()
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{text}`: expected a number from 1")),
        Ok(number) => Ok(number),
    }
}

/// Booleans as Go's flags read them.
fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

#[cfg(test)]
mod tests;
