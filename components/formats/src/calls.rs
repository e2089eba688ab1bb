//! The call tree of a pprof: what is drawn of it, or written as collapsed stacks.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use phlare_model::Tree;
use phlare_pprof::{Normalized, Options, OverLimit, Seed, Workspace};

/// Frames of all distinct stacks of a profile: some 200 MB while a tree is made of them.
const MAX_FRAMES: usize = 4 << 20;

/// What a profile may consist of; 0 is no limit but for `bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the pprof.
    pub bytes: usize,
    /// Locations of a stack; deeper ones are cut.
    pub depth: usize,
    /// Bytes of a name; longer ones are cut.
    pub symbol_bytes: usize,
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pprof cannot be read.
    #[error(transparent)]
    Pprof(#[from] phlare_pprof::Error),
    /// More frames than can be held.
    #[error("the stacks of the profile have more than {limit} frames, which are too many to draw")]
    TooManyFrames {
        /// The limit.
        limit: usize,
    },
}

/// The call tree of one column of values. The profile is taken as it is: no limit of samples, no repairs of stacks.
///
/// # Errors
/// [`Error`].
pub fn tree(pprof: &[u8], column: usize, limits: &Limits) -> Result<Tree, Error> {
    let mut workspace = Workspace::new();
    let decoded = workspace.decode(pprof, limits.bytes)?;
    let options = Options {
        max_samples: 0,
        over_limit: OverLimit::Fold,
        max_sample_labels: 0,
        max_depth: limits.depth,
        max_symbol_length: limits.symbol_bytes,
        rename_dashes: true,
        ..Options::new(Seed::random(), 1)
    };
    of_normalized(&decoded.normalize(&options)?, column)
}

fn of_normalized(profile: &Normalized<'_>, column: usize) -> Result<Tree, Error> {
    // Samples with other labels may have the same stack, which is walked once.
    let mut values = vec![0_i64; profile.stacks.len()];
    for (number, sample) in profile.samples.iter().enumerate() {
        let value = profile.values_of(number).get(column).copied();
        if let Some(sum) = values.get_mut(sample.stack as usize) {
            *sum = sum.saturating_add(value.unwrap_or_default());
        }
    }
    let addresses: Vec<String> = profile
        .locations
        .iter()
        .map(|location| match location.line_count {
            0 => format!("{:#x}", location.address),
            _ => String::new(),
        })
        .collect();
    let mut tree = Tree::new();
    let mut frames = 0_usize;
    let mut names = Vec::new();
    for (stack, value) in profile.stacks.iter().zip(values) {
        if value <= 0 {
            continue;
        }
        names.clear();
        for &location in profile.frames_of(stack).iter().rev() {
            let number = location as usize;
            let Some(location) = profile.locations.get(number) else {
                continue;
            };
            let lines = profile.lines_of(location);
            frames = frames.saturating_add(lines.len().max(1));
            if frames > MAX_FRAMES {
                return Err(Error::TooManyFrames { limit: MAX_FRAMES });
            }
            if lines.is_empty() {
                names.extend(addresses.get(number).map(String::as_str));
            }
            // The innermost inlined function comes first.
            names.extend(lines.iter().rev().map(|line| {
                let function = profile.functions.get(line.function as usize);
                function.map_or("", |function| profile.string(function.name))
            }));
        }
        tree.insert(names.iter().copied(), value);
    }
    Ok(tree)
}
