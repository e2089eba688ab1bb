//! Values on the call tree of function names.

use phlare_model::tree::{Names, Tree};

use super::symbols::SymbolTables;
use super::values::Values;

/// The function that stands for a stack trace of which no function is known.
const UNKNOWN: &str = "[unknown]";

/// The call tree of stack traces with values, below a call site.
pub(super) fn tree<S: SymbolTables>(symbols: &S, values: &Values, call_site: &[String]) -> Tree {
    match CallSite::find(symbols, call_site) {
        Some(filter) => build(symbols, &selves(symbols, values, &filter)),
        None => Tree::new(),
    }
}

/// Keeps stack traces whose root-side functions are a given list.
pub(super) enum CallSite {
    /// Keeps all.
    Any,
    /// By node of the call tree, whether it is below the list's last function.
    Below(Vec<bool>),
}

impl CallSite {
    /// `None` if no stack trace begins with these functions. O(nodes of the call tree) unless the list is empty.
    pub(super) fn find<S: SymbolTables>(symbols: &S, functions: &[String]) -> Option<Self> {
        let calls = symbols.calls();
        if functions.is_empty() {
            return Some(Self::Any);
        }
        let mut site = 0;
        for function in functions {
            site = calls.find(site, symbols.find_string(function)?)?;
        }
        let mut below = vec![false; calls.len()];
        below[site as usize] = true;
        for node in site as usize + 1..below.len() {
            below[node] = below[calls.parents()[node] as usize];
        }
        Some(Self::Below(below))
    }

    pub(super) fn keeps(&self, call: u32) -> bool {
        match self {
            Self::Any => true,
            Self::Below(below) => below[call as usize],
        }
    }
}

/// Self values by node of the call tree; 0 has those of stack traces without any function.
pub(super) fn selves<S: SymbolTables>(symbols: &S, values: &Values, filter: &CallSite) -> Vec<u64> {
    let mut selves = vec![0_u64; symbols.calls().len()];
    let calls = symbols.calls_of();
    for (stacktrace, value) in values.iter() {
        let call = calls[stacktrace as usize];
        if filter.keeps(call) {
            let sum = &mut selves[call as usize];
            *sum = sum.saturating_add(value);
        }
    }
    selves
}

/// A tree of the nodes that have a value, or a node below them has.
fn build<S: SymbolTables>(symbols: &S, selves: &[u64]) -> Tree {
    const ABSENT: u32 = u32::MAX;
    let calls = symbols.calls();
    let mut needed = vec![false; selves.len()];
    for node in (1..selves.len()).rev() {
        if selves[node] > 0 || needed[node] {
            needed[node] = true;
            needed[calls.parents()[node] as usize] = true;
        }
    }
    let mut parts = Parts::default();
    let mut ids = vec![0_u32; selves.len()];
    let mut names = vec![ABSENT; symbols.strings()];
    parts.push(0, 0, 0);
    for node in (1..selves.len()).filter(|&node| needed[node]) {
        let string = calls.names()[node];
        let name = &mut names[string as usize];
        if *name == ABSENT {
            *name = parts.names.push(symbols.text(string));
        }
        ids[node] = parts.push(ids[calls.parents()[node] as usize], *name, selves[node]);
    }
    if selves[0] > 0 {
        let name = parts.names.push(UNKNOWN);
        parts.push(0, name, selves[0]);
    }
    Tree::from_parts(parts.names, parts.parents, parts.name_ids, parts.selves)
}

#[derive(Default)]
struct Parts {
    names: Names,
    parents: Vec<u32>,
    name_ids: Vec<u32>,
    selves: Vec<i64>,
}

impl Parts {
    fn push(&mut self, parent: u32, name: u32, value: u64) -> u32 {
        self.parents.push(parent);
        self.name_ids.push(name);
        self.selves.push(i64::try_from(value).unwrap_or(i64::MAX));
        self.parents.len() as u32 - 1
    }
}
