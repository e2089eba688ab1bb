//! An uploaded file, recognised by its content.

use phlare_formats::file::{self, Assumed};
use phlare_formats::recognise::is_text;
use phlare_formats::{Format, SampleRate, calls, recognise};
use phlare_model::Tree;
use phlare_model::flamebearer::Meaning;
use phlare_pprof::Workspace;
use phlare_pprof::gzip::plain;
use phlare_tenancy::Limits;

use crate::error::Error;
use crate::flame::Flame;

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

/// Largest file of a tenant, in bytes.
pub(crate) fn limit(limits: &Limits) -> usize {
    match limits.max_profile_size_bytes {
        0 => MAX_BYTES,
        bytes => bytes,
    }
}

impl Content {
    /// Recognises a file, gzip or not: pprof, flame graph as JSON, and what [`file::read`] turns into pprof. What the stacks of a pprof are is seen by [`Self::draw`] only.
    ///
    /// # Errors
    /// What cannot be read, is larger than the tenant's limit, or has nothing to show.
    pub(crate) fn read(file: &[u8], limits: &Limits) -> Result<Self, Error> {
        let bytes = plain(file, limit(limits)).map_err(|source| Error::Pprof {
            taken: "gzip",
            source,
        })?;
        let mut content = Self::default();
        match recognise(&bytes) {
            Some(Format::Pprof) => content.add_pprof(bytes.into_owned(), limits)?,
            Some(format) => content.read_as(format, &bytes, limits)?,
            None if bytes.trim_ascii_start().starts_with(b"{") => content.read_flame(&bytes)?,
            // Their readers say what is wrong.
            None if is_text(&bytes) => content.read_as(Format::Groups, &bytes, limits)?,
            None => content.add_pprof(bytes.into_owned(), limits)?,
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

    fn read_flame(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let flame = Flame::read(bytes)?;
        self.add(flame.name(), "", 0);
        self.parts.push(Part::Flame(Box::new(flame)));
        Ok(())
    }

    /// A format that becomes pprof.
    fn read_as(&mut self, format: Format, bytes: &[u8], limits: &Limits) -> Result<(), Error> {
        let assumed = Assumed {
            suffix: "cpu",
            // Nothing says how often samples were taken, so they stay what they are: counts.
            rate: SampleRate::UNKNOWN,
            now_ns: 0,
        };
        let contents = file::read(format, bytes, &assumed, &for_formats(limits));
        for profile in contents.map_err(Error::Format)?.merged() {
            self.add_pprof(profile.pprof, limits)?;
        }
        Ok(())
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

/// The call tree of one column of a pprof.
fn draw(bytes: &[u8], column: usize, limits: &Limits) -> Result<Drawing, Error> {
    let mut workspace = Workspace::new();
    let decoded = workspace
        .decode(bytes, 2 * limit(limits))
        .map_err(of_pprof)?;
    let named = decoded.sample_types().nth(column);
    let meaning = named.map(|kind| Meaning::of(kind.kind, kind.unit));
    let of_tree = calls::Limits {
        bytes: 2 * limit(limits),
        depth: limits.max_profile_stacktrace_depth,
        symbol_bytes: limits.max_profile_symbol_value_length,
    };
    Ok(Drawing {
        tree: calls::tree(bytes, column, &of_tree).map_err(|error| match error {
            calls::Error::Pprof(source) => of_pprof(source),
            calls::Error::TooManyFrames { limit } => Error::TooManyFrames { limit },
        })?,
        meaning: meaning.ok_or(Error::Nothing)?,
    })
}

#[cfg(test)]
mod tests;
