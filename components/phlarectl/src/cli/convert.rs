//! Arguments of `convert`.

use clap::{Args, ValueEnum};
use phlare_formats::Format;
use phlare_formats::otlp::Encoding;

/// Arguments of `convert`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The file, plain or gzipped, recognised by its content: pprof, JFR, OTLP, speedscope, a tree, a trie, collapsed
    /// stacks, lines of stacks, the text of `perf script`. `-` is standard input
    #[arg(value_name = "IN")]
    pub(crate) input: String,
    /// Where to write; `-` is standard output. A directory takes all profiles of the file, each under its name
    #[arg(value_name = "OUT")]
    pub(crate) output: String,
    /// What the file is, where its content does not tell
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<FileFormat>,
    /// What to make of it [default: by the ending of OUT, .collapsed, .folded or .txt are collapsed stacks; else pprof]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) to: Option<Target>,
    /// Which profile of a file with several: its name, its sample type, or both as they are listed
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// What stacks without a unit count: the suffix of an application's name, e.g. `cpu`, `wall`, `alloc_space`
    #[arg(long, value_name = "SUFFIX", default_value = "cpu")]
    pub(crate) name: String,
    /// Samples per second of a file that does not say it; without it samples are not turned into time
    #[arg(long, value_name = "HZ")]
    pub(crate) sample_rate: Option<u32>,
    /// Overwrite existing files
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// What to make of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// Gzipped
    Pprof,
    /// Lines `main;work 12`
    Collapsed,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Plain or gzipped
    Pprof,
    /// A recording of the Java Flight Recorder
    Jfr,
    /// An export request of OpenTelemetry, protobuf
    Otlp,
    /// The same as JSON
    OtlpJson,
    /// JSON
    Speedscope,
    /// Collapsed stacks as a trie
    Trie,
    /// A call tree
    Tree,
    /// Lines `main;work 12`
    #[value(alias = "folded", alias = "groups")]
    Collapsed,
    /// Lines `main;work`, each of which counts 1
    Lines,
    /// The text of `perf script`
    Perf,
}

impl From<FileFormat> for Format {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Pprof => Self::Pprof,
            FileFormat::Jfr => Self::Jfr,
            FileFormat::Otlp => Self::Otlp(Encoding::Protobuf),
            FileFormat::OtlpJson => Self::Otlp(Encoding::Json),
            FileFormat::Speedscope => Self::Speedscope,
            FileFormat::Trie => Self::Trie,
            FileFormat::Tree => Self::Tree,
            FileFormat::Collapsed => Self::Groups,
            FileFormat::Lines => Self::Lines,
            FileFormat::Perf => Self::PerfScript,
        }
    }
}
