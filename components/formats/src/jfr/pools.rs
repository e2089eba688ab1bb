//! The constants of a chunk that samples lead to: stack traces, methods, classes, names, thread states.
//!
//! Stack traces are not read here: their places are kept, and the events of a recording use some of them.

use hashbrown::{HashMap, HashSet};

use super::chunk::{Chunk, Event};
use super::cursor::{Cursor, Text};
use super::types::{Field, Form, Types};
use crate::error::Error;

/// Constants of a chunk; a busy JVM has some 200 000 in an hour.
const MOST_CONSTANTS: usize = 1 << 20;
/// What separates the constants and the types that they are of.
const CONSTANTS: u64 = 1;

/// A method: who has it, and what it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Method {
    pub(super) class: u64,
    pub(super) name: u64,
}

/// The constants of a chunk. Ids have 64 bits: a JVM that runs for weeks has large ones.
#[derive(Debug)]
pub(super) struct Pools<'a> {
    /// The frames of a stack trace, not read yet.
    stack_traces: HashMap<u64, Cursor<'a>>,
    methods: HashMap<u64, Method>,
    /// Names of classes, as ids of symbols.
    classes: HashMap<u64, u64>,
    symbols: HashMap<u64, Text<'a>>,
    states: Vec<(u64, Text<'a>)>,
    /// Those of the states in which a thread sleeps.
    sleeping: HashSet<u64>,
    strings: HashMap<u64, Text<'a>>,
    frames: FrameLayout<'a>,
    left: usize,
}

/// How frames are stored.
#[derive(Debug, Default)]
struct FrameLayout<'a> {
    fields: Vec<(FrameField, Field<'a>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameField {
    Method,
    Line,
    Other,
}

/// Which constants are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pool {
    StackTrace,
    Method,
    Class,
    Symbol,
    ThreadState,
    Text,
    Other,
}

impl Pool {
    fn of(name: &str) -> Self {
        match name {
            "jdk.types.StackTrace" => Self::StackTrace,
            "jdk.types.Method" => Self::Method,
            "java.lang.Class" => Self::Class,
            "jdk.types.Symbol" => Self::Symbol,
            "jdk.types.ThreadState" => Self::ThreadState,
            "java.lang.String" => Self::Text,
            _ => Self::Other,
        }
    }
}

impl<'a> Pools<'a> {
    /// Reads the constants of a chunk, from its last event with constants back to its first.
    pub(super) fn read(chunk: &Chunk<'a>, types: &Types<'a>) -> Result<Self, Error> {
        let mut pools = Self {
            stack_traces: HashMap::new(),
            methods: HashMap::new(),
            classes: HashMap::new(),
            symbols: HashMap::new(),
            states: Vec::new(),
            sleeping: HashSet::new(),
            strings: HashMap::new(),
            frames: FrameLayout::of(types),
            left: MOST_CONSTANTS,
        };
        let mut at = chunk.pools();
        let mut end = usize::MAX;
        loop {
            let event = chunk.event(at)?;
            if event.kind != CONSTANTS || event.offset.saturating_add(event.size) > end {
                return Err(event
                    .body
                    .error("constants expected, there is something else"));
            }
            let back = pools.event(event, types)?;
            if back == 0 {
                pools.sleeping = pools.sleeping();
                return Ok(pools);
            }
            end = at;
            let before = usize::try_from(back.unsigned_abs())
                .ok()
                .filter(|_| back < 0);
            let before = before.and_then(|back| at.checked_sub(back));
            at = before.ok_or_else(|| {
                event.body.error(format_args!(
                    "the constants before these are {back} bytes away"
                ))
            })?;
        }
    }

    fn sleeping(&self) -> HashSet<u64> {
        const SLEEPING: &str = "STATE_SLEEPING";
        let states = self.states.iter().filter(|(_, text)| {
            let text = self.resolve(*text);
            // Others need not be decoded.
            text.size() <= SLEEPING.len().saturating_mul(3)
                && text.decode().is_some_and(|text| text == SLEEPING)
        });
        states.map(|(id, _)| *id).collect()
    }

    /// Reads one event with constants; the distance to the one before it, 0 if there is none.
    fn event(&mut self, event: Event<'a>, types: &Types<'a>) -> Result<i64, Error> {
        let mut body = event.body;
        body.long()?;
        body.long()?;
        let back = body.long()?.cast_signed();
        body.byte()?;
        for _ in 0..body.count("pools")? {
            let start = body;
            let id = body.long()?;
            let found = types.by_id(id).ok_or_else(|| {
                start.error(format_args!(
                    "constants of type {id}, which the chunk does not describe"
                ))
            })?;
            let pool = Pool::of(found.name);
            let count = body.count("constants")?;
            self.left = self.left.checked_sub(count).ok_or_else(|| {
                start.error(format_args!(
                    "a chunk has more than {MOST_CONSTANTS} constants"
                ))
            })?;
            for _ in 0..count {
                let id = body.long()?;
                self.constant(pool, id, &found.fields, types, &mut body)
                    .map_err(|error| named(error, found.name))?;
            }
        }
        Ok(back)
    }

    fn constant(
        &mut self,
        pool: Pool,
        id: u64,
        fields: &[Field<'a>],
        types: &Types<'a>,
        body: &mut Cursor<'a>,
    ) -> Result<(), Error> {
        if pool == Pool::Text {
            self.strings.insert(id, body.text()?);
            return Ok(());
        }
        let (mut class, mut name) = (0, 0);
        for field in fields {
            match (pool, field.name, field.form, field.array) {
                (Pool::StackTrace, "frames", _, true) => {
                    self.stack_traces.insert(id, *body);
                    types.skip(field, body)?;
                }
                (Pool::Method, "type", Form::Long, false) => class = body.long()?,
                (Pool::Method | Pool::Class, "name", Form::Long, false) => name = body.long()?,
                (Pool::Symbol, "string", Form::Text, false) => {
                    self.symbols.insert(id, body.text()?);
                }
                (Pool::ThreadState, "name", Form::Text, false) => {
                    self.states.push((id, body.text()?));
                }
                _ => types.skip(field, body)?,
            }
        }
        match pool {
            Pool::Method => drop(self.methods.insert(id, Method { class, name })),
            Pool::Class => drop(self.classes.insert(id, name)),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn method(&self, id: u64) -> Option<Method> {
        self.methods.get(&id).copied()
    }

    /// The name of a class; no string if there is none.
    pub(super) fn class_name(&self, class: u64) -> Text<'a> {
        let name = self.classes.get(&class);
        name.map_or(Text::Null, |name| self.symbol(*name))
    }

    pub(super) fn symbol(&self, id: u64) -> Text<'a> {
        let symbol = self.symbols.get(&id);
        symbol.map_or(Text::Null, |text| self.resolve(*text))
    }

    /// Whether a thread in this state waits for time to pass.
    pub(super) fn is_sleeping(&self, state: u64) -> bool {
        self.sleeping.contains(&state)
    }

    /// The string itself, where it stands in the pool.
    pub(super) fn resolve(&self, text: Text<'a>) -> Text<'a> {
        match text {
            Text::Pooled(id) => self.strings.get(&id).copied().unwrap_or(Text::Null),
            text => text,
        }
    }

    /// Calls `frame` with the method and the line of each frame of a stack trace, leaf first.
    /// `false` if there is no such stack trace.
    pub(super) fn frames(
        &self,
        stack_trace: u64,
        types: &Types<'a>,
        mut frame: impl FnMut(u64, u64) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let Some(&(mut body)) = self.stack_traces.get(&stack_trace) else {
            return Ok(false);
        };
        if self.frames.fields.is_empty() {
            return Ok(false);
        }
        for _ in 0..body.count("frames")? {
            let (mut method, mut line) = (0, 0);
            for (what, field) in &self.frames.fields {
                match what {
                    FrameField::Method => method = body.long()?,
                    FrameField::Line => line = body.int()?,
                    FrameField::Other => types.skip(field, &mut body)?,
                }
            }
            frame(method, line)?;
        }
        Ok(true)
    }
}

impl<'a> FrameLayout<'a> {
    fn of(types: &Types<'a>) -> Self {
        let stack_trace = types.iter().find(|t| Pool::of(t.name) == Pool::StackTrace);
        let frames = stack_trace.and_then(|t| t.fields.iter().find(|field| field.name == "frames"));
        let Some(Field {
            form: Form::Fields(place),
            array: true,
            ..
        }) = frames
        else {
            return Self::default();
        };
        let what = |field: &Field<'a>| match (field.name, field.form, field.array) {
            ("method", Form::Long, false) => FrameField::Method,
            ("lineNumber", Form::Int, false) => FrameField::Line,
            _ => FrameField::Other,
        };
        let fields = types.at(*place).iter().map(|field| (what(field), *field));
        Self {
            fields: fields.collect(),
        }
    }
}

/// An error among constants, with their type.
fn named(error: Error, name: &str) -> Error {
    match error {
        Error::Bytes { at, reason } => {
            Error::bytes(at, format_args!("constants of {name}: {reason}"))
        }
        error => error,
    }
}
