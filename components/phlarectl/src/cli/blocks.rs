//! Arguments of `blocks`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    CardinalityArgs, GoPgoArgs, MetadataArgs, Output, ProfileArgs, SeriesArgs, TimeseriesArgs,
    TopArgs,
};

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
    /// Ask blocks as `phlarectl query` asks a server
    #[command(subcommand)]
    Query(BlocksQueryCommand),
    /// Merge blocks into one, or into one for each shard, in another directory
    Compact(CompactArgs),
    /// Write blocks anew in another directory, in the newest version of the format
    Rewrite(RewriteArgs),
}

/// Questions about the profiles in blocks.
#[derive(Debug, Subcommand)]
pub(crate) enum BlocksQueryCommand {
    /// Merge profiles into one
    #[command(visible_alias = "merge")]
    Profile(InBlocks<ProfileArgs>),
    /// Merge profiles for profile-guided optimisation by the Go compiler
    GoPgo(InBlocks<GoPgoArgs>),
    /// List label sets
    Series(InBlocks<SeriesArgs>),
    /// Totals of profiles over time
    Timeseries(InBlocks<TimeseriesArgs>),
    /// The label values with the largest totals
    Top(InBlocks<TopArgs>),
    /// Number of values of each label
    LabelValuesCardinality(InBlocks<CardinalityArgs>),
    /// List profile types
    Types(InBlocks<MetadataArgs>),
}

/// A question, and the blocks it is about.
#[derive(Clone, Debug, Args)]
#[command(
    mut_arg("from", |arg| arg.help("Beginning of the time range [default: the first profile]")),
    mut_arg("to", |arg| arg.help("End of the time range [default: the last profile]"))
)]
pub(crate) struct InBlocks<T: Args> {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    #[command(flatten)]
    pub(crate) question: T,
}

impl BlocksQueryCommand {
    /// Where the blocks are.
    pub(crate) fn place(&self) -> &PlaceArgs {
        match self {
            Self::Profile(args) => &args.place,
            Self::GoPgo(args) => &args.place,
            Self::Series(args) => &args.place,
            Self::Timeseries(args) => &args.place,
            Self::Top(args) => &args.place,
            Self::LabelValuesCardinality(args) => &args.place,
            Self::Types(args) => &args.place,
        }
    }
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

/// Arguments of `blocks compact`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompactArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Directory that new blocks are written into; where the old ones are nothing changes
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) into: PathBuf,
    /// Split by series into so many blocks; 0 and 1 don't split
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) shards: u32,
    /// Write downsampled tables, too, if the result has level 3 or more
    #[arg(long)]
    pub(crate) downsample: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}

/// Arguments of `blocks rewrite`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "A new block has a new id and takes the place of the old one wherever both are: it names it as its parent \
                  and has its level, ancestors and labels. To replace a block of a bucket, upload the new one, meta.json \
                  last; a compactor then marks the old one for deletion. Nothing is counted twice meanwhile."
)]
pub(crate) struct RewriteArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Directory that new blocks are written into; where the old ones are nothing changes
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) into: PathBuf,
    /// Form of the output
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) output: Output,
}
