//! `convert`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use phlare_formats::SampleRate;
use phlare_formats::calls;
use phlare_formats::file::Assumed;
use phlare_formats::file::Profile as Found;
use phlare_pprof::gzip;
use phlare_pprof::summary::summary;
use phlare_proto::google::v1::Profile;
use prost::Message;

use crate::cli::{ConvertArgs, Target, UsageError};
use crate::commands::files;
use crate::commands::opened::{LIMIT, Opened};
use crate::render::collapsed;
use crate::ui;

/// Standard input or output.
const STANDARD: &str = "-";

/// Something that can be written.
#[derive(Debug)]
struct Choice<'a> {
    found: &'a Found,
    /// The column of values, if only one is written.
    column: Option<usize>,
    /// The names of what is written.
    types: Vec<String>,
}

/// Turns a file into others.
pub(crate) fn run(args: &ConvertArgs, now_ms: i64) -> anyhow::Result<()> {
    let target = target(args);
    let bytes = read(&args.input)?;
    let assumed = Assumed {
        suffix: &args.name,
        rate: rate(args.sample_rate),
        now_ns: now_ms.saturating_mul(1_000_000),
    };
    let name = &args.input;
    let profiles = Opened::new(&bytes, args.format)
        .and_then(|file| file.profiles(&assumed))
        .with_context(|| format!("convert {name}"))?
        .merged();
    let mut choices = choices(&profiles, target).with_context(|| format!("convert {name}"))?;
    if let Some(wanted) = &args.profile {
        let all = list(&choices);
        choices.retain(|choice| choice.is(wanted));
        ensure!(
            !choices.is_empty(),
            "{name} has no profile {wanted}: it has {all}"
        );
    }
    let directory = PathBuf::from(&args.output);
    if args.output.ends_with('/') || directory.is_dir() {
        return all_into(&directory, &choices, target, args.force);
    }
    match choices.as_slice() {
        [] => bail!("{name} has no profile: nothing is measured in it"),
        [choice] => one_into(&args.output, choice, target, args.force),
        several => Err(UsageError(format!(
            "{name} has several profiles, {}; choose one with --profile, or write all into a directory: `{}/`",
            list(several),
            args.output
        ))
        .into()),
    }
}

/// The rate that is meant.
pub(super) fn rate(hertz: Option<u32>) -> SampleRate {
    hertz.map_or(SampleRate::UNKNOWN, |hertz| SampleRate::hertz(hertz.into()))
}

fn target(args: &ConvertArgs) -> Target {
    let name = args.output.strip_suffix(".gz").unwrap_or(&args.output);
    let ends = |ending| name.ends_with(ending);
    args.to.unwrap_or_else(
        || match [".collapsed", ".folded", ".txt"].into_iter().any(ends) {
            true => Target::Collapsed,
            false => Target::Pprof,
        },
    )
}

fn read(name: &str) -> anyhow::Result<Vec<u8>> {
    if name != STANDARD {
        return std::fs::read(name).with_context(|| format!("read {name}"));
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(LIMIT).unwrap_or(u64::MAX);
    std::io::stdin()
        .take(limit)
        .read_to_end(&mut bytes)
        .context("read standard input")?;
    Ok(bytes)
}

/// What can be written: pprof as a whole, collapsed stacks for each type of values.
fn choices(profiles: &[Found], target: Target) -> anyhow::Result<Vec<Choice<'_>>> {
    let mut choices = Vec::new();
    for found in profiles {
        let profile = Profile::decode(&*found.pprof).context("read pprof")?;
        let types: Vec<String> = summary(&profile).into_iter().map(|t| t.kind).collect();
        ensure!(
            !types.is_empty(),
            "not a pprof file: it has no sample types"
        );
        match target {
            Target::Pprof => choices.push(Choice {
                found,
                column: None,
                types,
            }),
            Target::Collapsed => {
                choices.extend(types.into_iter().enumerate().map(|(column, kind)| Choice {
                    found,
                    column: Some(column),
                    types: vec![kind],
                }));
            }
        }
    }
    Ok(choices)
}

impl Choice<'_> {
    /// Name, types, and the profile's own name if it has one.
    fn name(&self) -> String {
        let types = self.types.join(",");
        let name = Some(self.found.name.as_str()).filter(|name| !name.is_empty());
        let parts = name.into_iter().chain([types.as_str()]);
        let parts: Vec<&str> = parts.chain(self.found.own_name()).collect();
        parts.join(":")
    }

    fn is(&self, wanted: &str) -> bool {
        self.name() == wanted
            || self.found.name == wanted
            || self.found.own_name() == Some(wanted)
            || self.types.iter().any(|kind| kind == wanted)
    }

    fn bytes(&self, target: Target) -> anyhow::Result<Vec<u8>> {
        match target {
            Target::Pprof => Ok(gzip::gzip(&self.found.pprof, 6)),
            Target::Collapsed => {
                let limits = calls::Limits {
                    bytes: LIMIT,
                    depth: usize::MAX,
                    symbol_bytes: usize::MAX,
                };
                let column = self.column.unwrap_or_default();
                let tree = calls::tree(&self.found.pprof, column, &limits)?;
                Ok(collapsed::render(&tree).into_bytes())
            }
        }
    }
}

fn list(choices: &[Choice<'_>]) -> String {
    let names = choices.iter().map(|choice| format!("`{}`", choice.name()));
    names.collect::<Vec<_>>().join(", ")
}

fn one_into(output: &str, choice: &Choice<'_>, target: Target, force: bool) -> anyhow::Result<()> {
    let bytes = choice.bytes(target)?;
    if output == STANDARD {
        return std::io::stdout()
            .write_all(&bytes)
            .context("write standard output");
    }
    let bytes = match (target, output.ends_with(".gz")) {
        (Target::Collapsed, true) => gzip::gzip(&bytes, 6),
        _ => bytes,
    };
    save(Path::new(output), choice, &bytes, force)
}

fn all_into(
    directory: &Path,
    choices: &[Choice<'_>],
    target: Target,
    force: bool,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    let ending = match target {
        Target::Pprof => "pb.gz",
        Target::Collapsed => "collapsed",
    };
    let mut taken = Vec::new();
    for choice in choices {
        // Names are others' words, and not paths.
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let name = choice.name().replace(|c| !plain(c), ".");
        let same = taken.iter().filter(|other| **other == name).count();
        let file = match same {
            0 => format!("{name}.{ending}"),
            _ => format!("{name}.{}.{ending}", same + 1),
        };
        taken.push(name);
        save(&directory.join(file), choice, &choice.bytes(target)?, force)?;
    }
    Ok(())
}

fn save(path: &Path, choice: &Choice<'_>, bytes: &[u8], force: bool) -> anyhow::Result<()> {
    files::check_free(path, force)?;
    files::write(path, bytes, force)?;
    ui::note(&format!(
        "{}: {}, {} bytes",
        path.display(),
        choice.name(),
        bytes.len()
    ));
    Ok(())
}

#[cfg(test)]
mod tests;
