//! Profiles as text.

pub(crate) mod collapsed;
pub(crate) mod dot;
mod spark;
pub(crate) mod table;
pub(crate) mod tree;
mod unit;

use phlare_model::Tree;

pub(crate) use spark::sparkline;
pub(crate) use unit::{Unit, percent};

/// A merged profile and what it was asked with.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) profile_type: &'a str,
    pub(crate) query: &'a str,
    /// Milliseconds since the epoch.
    pub(crate) range_ms: (i64, i64),
}

impl Shown<'_> {
    /// What is shown, in one line.
    pub(crate) fn title(&self) -> String {
        let unit = Unit::of_profile_type(self.profile_type);
        let total = unit.show_exact(self.tree.total());
        let [from, to] = [self.range_ms.0, self.range_ms.1].map(time);
        let strong = crate::ui::STRONG;
        format!(
            "{strong}{}{}{strong:#}  {from} to {to}  total {strong}{total}{strong:#}",
            self.profile_type, self.query
        )
    }
}

/// A time for people, in UTC.
pub(crate) fn time(ms: i64) -> String {
    match jiff::Timestamp::from_second(ms.div_euclid(1000)) {
        Ok(time) => time.to_string(),
        Err(_) => format!("{ms} ms"),
    }
}
