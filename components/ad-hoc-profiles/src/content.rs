//! An uploaded file, recognised by its content.

use std::borrow::Cow;

use phlare_formats::{Kind, SampleRate, Timing, groups, perf, speedscope};
use phlare_model::Tree;
use phlare_model::flamebearer::Meaning;
use phlare_pprof::gzip::{Inflater, is_gzip};
use phlare_pprof::{Normalized, Options, OverLimit, Seed, Workspace};
use phlare_tenancy::Limits;
use serde::Deserialize;

use crate::error::Error;
use crate::flame::Flame;

/// Frames of all distinct stacks of a profile that are drawn: some 200 MB while it lasts.
const MAX_FRAMES: usize = 4 << 20;
/// Bytes of a file where the tenant has no limit.
const MAX_BYTES: usize = 256 << 20;

/// Most kinds of values of a file that are offered.
const MAX_TYPES: usize = 100;
/// Longest name of a kind of values, in characters.
const MAX_TYPE_NAME: usize = 200;

/// A file that can be drawn, in one or several ways.
#[derive(Debug, Default)]
pub(crate) struct Content {
    parts: Vec<Part>,
    views: Vec<View>,
}

/// One profile of a file.
#[derive(Debug)]
enum Part {
    Pprof(Vec<u8>),
    Flame(Box<Flame>),
}

/// One kind of values of a file.
#[derive(Debug)]
struct View {
    /// As clients choose it; no two have the same.
    name: String,
    part: usize,
    /// The column of values, in a pprof.
    column: usize,
}

/// What is drawn.
#[derive(Debug)]
pub(crate) struct Drawing {
    pub(crate) tree: Tree,
    pub(crate) meaning: Meaning,
}

/// The part of a speedscope file that says what it measures.
#[derive(Deserialize)]
struct Units {
    profiles: Vec<Unit>,
}

#[derive(Deserialize)]
struct Unit {
    unit: String,
}

/// Largest file of a tenant, in bytes.
pub(crate) fn limit(limits: &Limits) -> usize {
    match limits.max_profile_size_bytes {
        0 => MAX_BYTES,
        bytes => bytes,
    }
}

impl Content {
    /// Recognises a file, gzip or not: pprof, flame graph as JSON, speedscope, collapsed stacks, the text of
    /// `perf script`. What the stacks of a pprof are is seen by [`Self::draw`] only.
    ///
    /// # Errors
    /// What cannot be read, is larger than the tenant's limit, or has nothing to show.
    pub(crate) fn read(file: &[u8], limits: &Limits) -> Result<Self, Error> {
        let bytes = inflated(file, limit(limits))?;
        let begins = bytes.trim_ascii_start();
        let mut content = Self::default();
        match begins {
            [b'{', ..] => content.read_json(&bytes, limits)?,
            [b'F', b'L', b'R', 0, ..] => {
                return Err(Error::Unread {
                    what: "a JFR recording",
                });
            }
            _ if is_text(&bytes) => content.read_text(&bytes, limits)?,
            _ => content.add_pprof(bytes.into_owned(), limits)?,
        }
        match content.views.is_empty() {
            true => Err(Error::Nothing),
            false => Ok(content),
        }
    }

    /// The ways in which it can be drawn, at least one.
    pub(crate) fn types(&self) -> impl Iterator<Item = &str> {
        self.views.iter().map(|view| view.name.as_str())
    }

    /// The name of a way that is asked for: the first if none is.
    ///
    /// # Errors
    /// [`Error::UnknownType`].
    pub(crate) fn choose(&self, asked: Option<&str>) -> Result<String, Error> {
        let mut types = self.types();
        let found = match asked {
            None | Some("") => types.next(),
            Some(asked) => types.find(|name| *name == asked),
        };
        found.map(str::to_owned).ok_or_else(|| Error::UnknownType {
            asked: asked.unwrap_or_default().chars().take(256).collect(),
            known: list(self.types()),
        })
    }

    /// The call tree of one of [`Self::types`].
    ///
    /// # Errors
    /// As [`Self::choose`]; a profile that cannot be read or has too many frames.
    pub(crate) fn draw(&self, name: &str, limits: &Limits) -> Result<Drawing, Error> {
        let name = self.choose(Some(name))?;
        let view = self.views.iter().find(|view| view.name == name);
        let (part, column) = view
            .and_then(|view| Some((self.parts.get(view.part)?, view.column)))
            .ok_or(Error::Nothing)?;
        match part {
            Part::Flame(flame) => Ok(Drawing {
                tree: flame.tree()?,
                meaning: flame.meaning(),
            }),
            Part::Pprof(bytes) => draw(bytes, column, limits),
        }
    }

    fn read_json(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Error> {
        let Ok(Units { profiles }) = serde_json::from_slice::<Units>(bytes) else {
            let flame = Flame::read(bytes)?;
            self.add(flame.name(), "", 0);
            self.parts.push(Part::Flame(Box::new(flame)));
            return Ok(());
        };
        let refused = |source| Error::Format {
            taken: "a speedscope file",
            source,
        };
        // The name of an application says what is measured, and a file has none.
        let app = match profiles.first().map(|profile| profile.unit.as_str()) {
            Some("none") | None => "file".to_owned(),
            Some(unit) => format!("file.{unit}"),
        };
        let read = speedscope::parse(bytes, &app, SampleRate::DEFAULT, &for_formats(limits));
        for profile in read.map_err(refused)? {
            if let Some(pprof) = profile.to_pprof(Timing::default()).map_err(refused)? {
                self.add_pprof(pprof, limits)?;
            }
        }
        Ok(())
    }

    fn read_text(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Error> {
        let limits_of_text = for_formats(limits);
        let (taken, stacks) = match perf::is_perf_script(bytes) {
            true => (
                "the text of `perf script`",
                perf::parse(bytes, &limits_of_text),
            ),
            false => ("collapsed stacks", groups::parse(bytes, &limits_of_text)),
        };
        let refused = |source| Error::Format { taken, source };
        let stacks = stacks.map_err(refused)?;
        let (_, kind) = Kind::of_name("file.cpu").map_err(refused)?;
        // Nothing says how often samples were taken, so they stay what they are: counts.
        let pprof = stacks.to_pprof(kind, SampleRate::UNKNOWN, Timing::default());
        match pprof.map_err(refused)? {
            Some(pprof) => self.add_pprof(pprof, limits),
            None => Ok(()),
        }
    }

    fn add_pprof(&mut self, bytes: Vec<u8>, limits: &Limits) -> Result<(), Error> {
        let mut workspace = Workspace::new();
        let decoded = workspace
            .decode(&bytes, 2 * limit(limits))
            .map_err(of_pprof)?;
        for (column, kind) in decoded.sample_types().enumerate() {
            self.add(kind.kind, kind.unit, column);
        }
        self.parts.push(Part::Pprof(bytes));
        Ok(())
    }

    /// Adds a view of the part that is pushed next.
    fn add(&mut self, kind: &str, unit: &str, column: usize) {
        let (part, number) = (self.parts.len(), self.views.len());
        if number >= MAX_TYPES {
            return;
        }
        let kind: String = kind.chars().take(MAX_TYPE_NAME).collect();
        let unit: String = unit.chars().take(MAX_TYPE_NAME).collect();
        let taken = |name: &str| self.types().any(|other| other == name);
        let longer = format!("{kind}:{unit}");
        let name = match (taken(&kind), taken(&longer)) {
            (false, _) => kind,
            (true, false) => longer,
            (true, true) => format!("{longer}:{}", number + 1),
        };
        self.views.push(View { name, part, column });
    }
}

/// Names in quotes, not too many of them.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = names.take(SHOWN).map(|name| format!("{name:?}")).collect();
    shown.join(", ")
}

/// A file without its gzip.
fn inflated(file: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, Error> {
    if !is_gzip(file) {
        return Ok(Cow::Borrowed(file));
    }
    let mut bytes = Vec::new();
    let refused = |source| Error::Pprof {
        taken: "gzip",
        source,
    };
    Inflater::new()
        .gunzip(file, limit, &mut bytes)
        .map_err(refused)?;
    Ok(Cow::Owned(bytes))
}

/// Whether a file is text: a pprof begins with the tag and the length of a message, and has zeros or other control characters
/// nearby.
fn is_text(bytes: &[u8]) -> bool {
    const LOOKED_AT: usize = 512;
    let head = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    let control = |byte: &u8| byte.is_ascii_control() && !b"\t\r\n".contains(byte);
    !head.iter().any(control)
}

fn for_formats(limits: &Limits) -> phlare_formats::Limits {
    phlare_formats::Limits {
        profile_bytes: 2 * limit(limits),
        symbol_bytes: limits.max_profile_symbol_value_length,
        stacktraces: limits.max_profile_stacktrace_samples,
    }
}

fn of_pprof(source: phlare_pprof::Error) -> Error {
    Error::Pprof {
        taken: "pprof",
        source,
    }
}

/// The call tree of one column of a pprof. It is shown as it is: no limit of samples, no repairs of stacks.
fn draw(bytes: &[u8], column: usize, limits: &Limits) -> Result<Drawing, Error> {
    let mut workspace = Workspace::new();
    let decoded = workspace
        .decode(bytes, 2 * limit(limits))
        .map_err(of_pprof)?;
    let named = decoded.sample_types().nth(column);
    let meaning = named.map(|kind| Meaning::of(kind.kind, kind.unit));
    let options = Options {
        max_samples: 0,
        over_limit: OverLimit::Fold,
        max_sample_labels: 0,
        max_depth: limits.max_profile_stacktrace_depth,
        max_symbol_length: limits.max_profile_symbol_value_length,
        rename_dashes: true,
        ..Options::new(Seed::random(), 1)
    };
    let profile = decoded.normalize(&options).map_err(of_pprof)?;
    Ok(Drawing {
        tree: tree(&profile, column)?,
        meaning: meaning.ok_or(Error::Nothing)?,
    })
}

fn tree(profile: &Normalized<'_>, column: usize) -> Result<Tree, Error> {
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

#[cfg(test)]
mod tests;
