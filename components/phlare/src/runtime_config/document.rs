//! What files with limits of tenants say, and what is wrong with them.
//!
//! ```yaml
//! overrides:
//!   tenant-a:
//!     ingestion_rate_mb: 10
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use phlare_model::TenantId;
use phlare_tenancy::{Limits, LimitsError, TenantLimits};

use crate::yaml::{self, Mapping, Node, Value, line_of, nearest_of};

/// The key under which tenants are.
const OVERRIDES: &str = "overrides";

/// One file.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Its path or URL.
    pub(super) name: String,
    pub(super) text: String,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    file: String,
    line: Option<usize>,
    /// Keys from the top on, with dots; empty if it is about the whole file.
    key: String,
    problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        match self.key.as_str() {
            "" => write!(f, ": {}", self.problem),
            key => write!(f, ": `{key}`: {}", self.problem),
        }
    }
}

impl Problem {
    fn at(source: &Source, path: &[&str], problem: impl Into<String>) -> Self {
        Self {
            file: source.name.clone(),
            // A key that comes from an alias has no line here; its tenant has.
            line: (1..=path.len())
                .rev()
                .find_map(|length| line_of(&source.text, &path[..length])),
            key: path.join("."),
            problem: problem.into(),
        }
    }
}

/// By tenant and limit, its value, and the number of the file that says so.
type Named = BTreeMap<TenantId, BTreeMap<String, (Value, usize)>>;

/// The limits of all tenants that the files name: what they name, and `defaults` for the rest.
pub(super) fn read(sources: &[Source], defaults: &Limits) -> Result<TenantLimits, Problem> {
    let Value::Mapping(base) = yaml::to_value(defaults) else {
        return Ok(TenantLimits::new());
    };
    let mut named = Named::new();
    for (number, source) in sources.iter().enumerate() {
        let reader = Reader {
            source,
            number,
            base: &base,
        };
        reader.document(&mut named)?;
    }
    let mut tenants = TenantLimits::new();
    for (tenant, values) in named {
        let limits = overlaid(&base, &values).map_err(|error| error.to_string());
        let limits = limits.map_err(|problem| {
            let number = values.values().map(|(_, number)| *number).max();
            let source = &sources[number.unwrap_or_default()];
            Problem::at(source, &[OVERRIDES, tenant.as_str()], problem)
        })?;
        if let Err(error) = limits.validate() {
            return Err(invalid(sources, &tenant, &values, &error));
        }
        tenants.insert(tenant, Arc::new(limits));
    }
    Ok(tenants)
}

fn overlaid(
    base: &Mapping,
    values: &BTreeMap<String, (Value, usize)>,
) -> Result<Limits, yaml::Error> {
    let mut all = base.clone();
    for (name, (value, _)) in values {
        all.insert(name.as_str().into(), value.clone());
    }
    yaml::from_value(Value::Mapping(all))
}

/// Limits that cannot hold together: the place of the first that a file names.
fn invalid(
    sources: &[Source],
    tenant: &TenantId,
    values: &BTreeMap<String, (Value, usize)>,
    error: &LimitsError,
) -> Problem {
    let named = error.names().into_iter();
    let mut named = named.filter_map(|name| Some((name, values.get(name)?.1)));
    let (path, number) = match named.next() {
        Some((name, number)) => (vec![OVERRIDES, tenant.as_str(), name], number),
        None => (vec![OVERRIDES, tenant.as_str()], 0),
    };
    Problem::at(&sources[number], &path, error.to_string())
}

/// Reads one file.
struct Reader<'a> {
    source: &'a Source,
    number: usize,
    base: &'a Mapping,
}

impl Reader<'_> {
    fn problem(&self, path: &[&str], problem: impl Into<String>) -> Problem {
        Problem::at(self.source, path, problem)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.base.keys().filter_map(Value::as_str)
    }

    fn is_limit(&self, name: &str) -> bool {
        self.base.contains_key(name)
    }

    fn document(&self, named: &mut Named) -> Result<(), Problem> {
        let parsed = yaml::parse(&self.source.text).map_err(|error| Problem {
            file: self.source.name.clone(),
            line: error.line,
            key: String::new(),
            problem: error.problem,
        })?;
        let entries = match parsed {
            Node::Map(entries) => entries,
            Node::Leaf(Value::Null) => return Ok(()),
            Node::Leaf(_) => {
                let problem = "no mapping: write `overrides: {TENANT: {LIMIT: VALUE}}`";
                return Err(self.problem(&[], problem));
            }
        };
        for (key, node) in entries {
            if key != OVERRIDES {
                return Err(self.problem(&[&key], self.misplaced(&key, &node)));
            }
            self.tenants(node, named)?;
        }
        Ok(())
    }

    /// What to do with a key beside `overrides`.
    fn misplaced(&self, key: &str, node: &Node) -> String {
        if key == "limits" {
            return "limits of all tenants belong into the file of `-config.file`; here are those of single ones: \
                    `overrides: {TENANT: {LIMIT: VALUE}}`"
                .to_owned();
        }
        if self.is_limit(key) {
            return format!(
                "a limit belongs under its tenant, which is under `overrides`: write `overrides: {{TENANT: {{{key}: {}}}}}`",
                shown(node)
            );
        }
        if let Some(OVERRIDES) = nearest_of(key, [OVERRIDES]) {
            return "unknown key, did you mean `overrides`?".to_owned();
        }
        match node {
            Node::Map(_) => format!(
                "unknown key; a tenant belongs under `overrides`: write `overrides: {{{key}: {{LIMIT: VALUE}}}}`"
            ),
            Node::Leaf(_) => {
                "unknown key: a file has `overrides: {TENANT: {LIMIT: VALUE}}`".to_owned()
            }
        }
    }

    fn tenants(&self, node: Node, named: &mut Named) -> Result<(), Problem> {
        let entries = match node {
            Node::Map(entries) => entries,
            Node::Leaf(Value::Null) => return Ok(()),
            Node::Leaf(_) => {
                let problem = "no mapping of tenants: write `overrides: {TENANT: {LIMIT: VALUE}}`";
                return Err(self.problem(&[OVERRIDES], problem));
            }
        };
        for (name, node) in entries {
            let path = [OVERRIDES, name.as_str()];
            if name == "*" {
                let problem = "`*` is no tenant; limits of all tenants are `limits` in the file of `-config.file`";
                return Err(self.problem(&path, problem));
            }
            let limits = match node {
                Node::Map(limits) => limits,
                Node::Leaf(Value::Null) if !self.is_limit(&name) => Vec::new(),
                Node::Leaf(_) => return Err(self.problem(&path, self.no_limits(&name, &node))),
            };
            let tenant = TenantId::parse(&name);
            let tenant = tenant
                .map_err(|error| self.problem(&path, format!("no name of a tenant: {error}")))?;
            let values = named.entry(tenant).or_default();
            for (limit, node) in limits {
                let value = self.value(&name, &limit, node)?;
                if !value.is_null() {
                    values.insert(limit, (value, self.number));
                }
            }
        }
        Ok(())
    }

    /// What to do with a value where the limits of a tenant should be.
    fn no_limits(&self, name: &str, node: &Node) -> String {
        let value = shown(node);
        if self.is_limit(name) {
            return format!(
                "a limit directly under `overrides`, where tenants are: write `overrides: {{TENANT: {{{name}: {value}}}}}`"
            );
        }
        format!(
            "{value} where the limits of tenant `{name}` should be: write `overrides: {{{name}: {{LIMIT: VALUE}}}}`"
        )
    }

    /// The value of a limit; nothing if the tenant has none of its own.
    fn value(&self, tenant: &str, name: &str, node: Node) -> Result<Value, Problem> {
        let path = [OVERRIDES, tenant, name];
        if !self.is_limit(name) {
            let problem = match (name, nearest_of(name, self.names())) {
                ("limits" | OVERRIDES, _) => format!(
                    "one level too many: limits are directly under their tenant, `overrides: {{{tenant}: {{LIMIT: VALUE}}}}`"
                ),
                (_, Some(nearest)) => format!("unknown limit, did you mean `{nearest}`?"),
                (_, None) => {
                    "unknown limit; `GET /runtime_config` and `GET /config` show all".to_owned()
                }
            };
            return Err(self.problem(&path, problem));
        }
        let value = node.into_value();
        if value.is_null() {
            return Ok(value);
        }
        let mut alone = Mapping::new();
        alone.insert(name.into(), value.clone());
        match yaml::from_value::<Limits>(Value::Mapping(alone)) {
            Ok(_) => Ok(value),
            Err(error) => {
                let problem = error.problem.trim_start_matches(name);
                let problem = problem.trim_start_matches(": ");
                Err(self.problem(&path, in_words(problem)))
            }
        }
    }
}

/// A value in a message: short, and in one line.
fn shown(node: &Node) -> String {
    let Node::Leaf(value) = node else {
        return "VALUE".to_owned();
    };
    let text = yaml::write(value);
    let text = text.trim();
    match text.len() < 40 && !text.contains('\n') {
        true if value.is_null() => "VALUE".to_owned(),
        true => text.to_owned(),
        false => "VALUE".to_owned(),
    }
}

/// Types as people call them.
fn in_words(problem: &str) -> String {
    match problem.rsplit_once("expected ") {
        Some((before, "f64")) => format!("{before}expected a number"),
        Some((before, "usize" | "u32")) => {
            format!("{before}expected a whole number, 0 or more")
        }
        Some((before, "i64")) => format!("{before}expected a whole number"),
        Some((before, "a boolean")) => format!("{before}expected true or false"),
        _ => problem.to_owned(),
    }
}
