//! Which components a process runs.

use std::fmt;

/// A component that `-target` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Distributor,
    Ingester,
    QueryFrontend,
    QueryScheduler,
    Querier,
    StoreGateway,
    Compactor,
}

impl Target {
    /// All of them: what `all` stands for.
    pub(crate) const ALL: [Self; 7] = [
        Self::Distributor,
        Self::Ingester,
        Self::QueryFrontend,
        Self::QueryScheduler,
        Self::Querier,
        Self::StoreGateway,
        Self::Compactor,
    ];

    /// As the command line names it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Distributor => "distributor",
            Self::Ingester => "ingester",
            Self::QueryFrontend => "query-frontend",
            Self::QueryScheduler => "query-scheduler",
            Self::Querier => "querier",
            Self::StoreGateway => "store-gateway",
            Self::Compactor => "compactor",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The components of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Targets(Vec<Target>);

/// A name that is no component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`target` is {name:?}: this program runs {}", known())]
pub(crate) struct UnknownTarget {
    name: String,
}

fn known() -> String {
    let names = Target::ALL.map(Target::as_str).join(", ");
    format!("all, {names}")
}

impl Targets {
    /// The components that the names in `-target` stand for.
    pub(crate) fn parse(names: &[String]) -> Result<Self, UnknownTarget> {
        let mut targets = Vec::new();
        for name in names.iter().map(|name| name.trim()) {
            if name == "all" {
                targets.extend(Target::ALL);
                continue;
            }
            let known = Target::ALL
                .into_iter()
                .find(|target| target.as_str() == name);
            targets.push(known.ok_or_else(|| UnknownTarget {
                name: name.to_owned(),
            })?);
        }
        if targets.is_empty() {
            return Err(UnknownTarget {
                name: String::new(),
            });
        }
        targets.sort_unstable();
        targets.dedup();
        Ok(Self(targets))
    }

    /// Whether the process runs it.
    pub(crate) fn has(&self, target: Target) -> bool {
        self.0.contains(&target)
    }

    /// Whether the process can be the whole system.
    pub(crate) fn is_all(&self) -> bool {
        self.0.len() == Target::ALL.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(names: &[&str]) -> Result<Vec<Target>, String> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let targets = Targets::parse(&names).map_err(|error| error.to_string())?;
        Ok(targets.0)
    }

    #[test]
    fn names_stand_for_components() {
        assert_eq!(parsed(&["all"]), Ok(Target::ALL.to_vec()));
        assert_eq!(parsed(&["all", "ingester"]), Ok(Target::ALL.to_vec()));
        assert_eq!(
            parsed(&["store-gateway", " distributor", "store-gateway"]),
            Ok(vec![Target::Distributor, Target::StoreGateway])
        );
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let error = parsed(&["ingestor"]).unwrap_err();
        assert!(
            error.contains("\"ingestor\"") && error.contains("all, distributor, ingester"),
            "{error}"
        );
        assert!(parsed(&[]).is_err());
    }
}
