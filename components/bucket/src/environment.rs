//! Variables of the environment that credentials come from.

use std::collections::BTreeMap;

/// Where variables are looked up; [`Self::of_process`] outside of tests.
#[derive(Clone, Debug)]
pub struct Environment(Source);

#[derive(Clone, Debug)]
enum Source {
    Process,
    Given(BTreeMap<String, String>),
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub const fn of_process() -> Self {
        Self(Source::Process)
    }

    /// These variables and no others.
    #[must_use]
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self(Source::Given(variables.into_iter().map(own).collect()))
    }

    /// The value of a variable; an empty one counts as none.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = match &self.0 {
            Source::Process => std::env::var(name).ok(),
            Source::Given(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }
}
