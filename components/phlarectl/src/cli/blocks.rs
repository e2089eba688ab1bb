//! Arguments of `blocks`.

use clap::{Args, Subcommand};

use super::Output;

/// What to do with blocks.
#[derive(Debug, Subcommand)]
pub(crate) enum BlocksCommand {
    /// List blocks: times, level, shard, totals, size, marks
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show what blocks consist of: files, tables, columns, series, symbols
    Inspect(InspectArgs),
    /// Read every byte of blocks and check that all of it fits together; exit code 1 if a block is not sound
    Verify(VerifyArgs),
}

/// Where blocks are, and which are meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Where blocks are, and ids of those that are meant; without ids all of them. A place is a directory or a bucket:
    /// `s3://bucket/prefix?region=…&endpoint=…`, `gs://…`, `az://…`, `swift://…`, `file:///…`; or, in one of them, the
    /// directory of a tenant, of its blocks, or of a block. Credentials come from the environment
    #[arg(value_name = "PLACE|ID")]
    pub(crate) targets: Vec<String>,
    /// Where blocks are, if not named above
    #[arg(long, value_name = "PLACE", env = "PHLARECTL_BUCKET")]
    pub(crate) bucket: Option<String>,
    /// Whose blocks, where a place holds those of several tenants [default: that of --tenant-id, or `anonymous`]
    #[arg(long, value_name = "ID")]
    pub(crate) tenant: Option<String>,
}

/// Arguments of `blocks list`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `blocks inspect`.
#[derive(Clone, Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Rows of each table, 0 for all
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) top_n: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `blocks verify`.
#[derive(Clone, Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Blocks checked at the same time
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = super::at_least_one)]
    pub(crate) concurrency: usize,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}
