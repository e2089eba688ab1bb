//! One question about a tenant's profiles and its answer, of whatever kind: what passes from whoever takes queries to
//! whoever answers them.

use phlare_proto::google::v1::Profile;

use crate::error::{Classify, ErrorKind};
use crate::labels::Labels;
use crate::query::{
    Analysis, AnalyzeQuery, MergeQuery, MetadataQuery, ProfileStats, SeriesQuery, TimeSeries,
};
use crate::tree::Tree;

/// A question.
#[derive(Clone, Debug)]
pub enum Query {
    /// Names of the labels of matching series.
    LabelNames(MetadataQuery),
    /// Values of one label of matching series.
    LabelValues {
        /// The label.
        name: String,
        /// Which series.
        query: MetadataQuery,
    },
    /// Label sets of matching series.
    LabelSets {
        /// The labels that they are reduced to; empty: all.
        names: Vec<String>,
        /// Which series.
        query: MetadataQuery,
    },
    /// Matching profiles merged into one call tree, cut as the query says.
    Tree(MergeQuery),
    /// Matching profiles merged into one pprof, cut as the query says.
    Pprof(MergeQuery),
    /// Totals of matching profiles over time.
    TimeSeries(SeriesQuery),
    /// Times of the oldest and the newest profile.
    Stats,
    /// How much a query would read.
    Analyze(AnalyzeQuery),
}

impl Query {
    /// As metrics and logs name it.
    #[must_use]
    pub const fn operation(&self) -> &'static str {
        match self {
            Self::LabelNames(_) => "label_names",
            Self::LabelValues { .. } => "label_values",
            Self::LabelSets { .. } => "series",
            Self::Tree(_) => "select_tree",
            Self::Pprof(_) => "select_pprof",
            Self::TimeSeries(_) => "select_series",
            Self::Stats => "stats",
            Self::Analyze(_) => "analyze",
        }
    }
}

/// An answer; its kind is that of the question. Lists are in any order.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To [`Query::LabelNames`] and [`Query::LabelValues`].
    Names(Vec<String>),
    /// To [`Query::LabelSets`].
    LabelSets(Vec<Labels>),
    /// To [`Query::Tree`].
    Tree(Tree),
    /// To [`Query::Pprof`].
    Pprof(Box<Profile>),
    /// To [`Query::TimeSeries`].
    TimeSeries(Vec<TimeSeries>),
    /// To [`Query::Stats`].
    Stats(ProfileStats),
    /// To [`Query::Analyze`].
    Analysis(Analysis),
}

/// An answer of another kind than the question: a mistake in the program, or another version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer to a query for {asked} is of another kind")]
pub struct OtherKind {
    asked: &'static str,
}

impl Classify for OtherKind {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

macro_rules! kinds {
    ($($kind:ident => $name:literal, $type:ty;)*) => {
        $(impl TryFrom<Answer> for $type {
            type Error = OtherKind;

            fn try_from(answer: Answer) -> Result<Self, OtherKind> {
                match answer {
                    Answer::$kind(answer) => Ok(answer),
                    _ => Err(OtherKind { asked: $name }),
                }
            }
        })*
    };
}

kinds! {
    Names => "names", Vec<String>;
    LabelSets => "label sets", Vec<Labels>;
    Tree => "a call tree", Tree;
    TimeSeries => "time series", Vec<TimeSeries>;
    Stats => "times", ProfileStats;
    Analysis => "sizes", Analysis;
    Pprof => "a pprof", Box<Profile>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_kind_is_said_so() {
        let names = Answer::Names(vec!["a".to_owned()]);
        assert_eq!(Vec::<String>::try_from(names.clone()).unwrap(), ["a"]);
        let error = Tree::try_from(names).unwrap_err();
        assert!(error.to_string().contains("a call tree"), "{error}");
    }
}
