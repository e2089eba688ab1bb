//! What one store adds to an answer that several make together.
//!
//! [`View::keys`] says which profiles there are. The others answer from all of them, each once, or from those with
//! given keys only, and say how many they counted.

use std::collections::BTreeMap;

use phlare_model::query::{Analysis, AnalyzeQuery, MergeQuery, SeriesQuery};
use phlare_model::selector::Selector;
use phlare_model::tree::Tree;
use rayon::prelude::*;

use super::block::{self, Plan};
use super::keys::{self, Keep, Keys};
use super::pprof::{Parts, PprofParts};
use super::series::{SeriesPart, Totals};
use super::values::Common;
use super::{Bounds, Need, View, calls, head, merge, readable};
use crate::error::Error;

/// An answer, and how many profiles are in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted<T> {
    /// The answer.
    pub answer: T,
    /// Profiles that were found; with keys, each at most once.
    pub profiles: u64,
}

/// Which profiles a store has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundKeys {
    /// Their keys.
    pub keys: Keys,
    /// Times of the first and the last in ns; `None` without any.
    pub times_ns: Option<(i64, i64)>,
}

impl View {
    /// The keys of matching profiles: O(profiles), and reads the ids of those in blocks. Blocks that cannot be read are
    /// left out, also those of which only samples cannot.
    ///
    /// # Errors
    /// If a block cannot be read now; [`Error::TooManyKeys`] if there are more than `limit`.
    pub fn keys(&self, query: &AnalyzeQuery, limit: usize) -> Result<FoundKeys, Error> {
        let mut found = Vec::new();
        let mut times_ns: Option<(i64, i64)> = None;
        let mut note = |key: u64, time_ns: i64| {
            found.push(key);
            let (first, last) = times_ns.unwrap_or((time_ns, time_ns));
            times_ns = Some((first.min(time_ns), last.max(time_ns)));
        };
        for head in &self.heads {
            head::keys(head, query, &mut note);
        }
        let selector = head::with_profile_type(query.profile_type.as_ref(), &query.selector);
        // Rows with one id have one key; comparing samples as well would read them all.
        let plans = self.found(&selector, Bounds::new(query.range), Need::Headers, true)?;
        let of_plan = |plan: &Plan| {
            let groups = plan.groups.iter().map(|group| keys::of_group(plan, group));
            groups.collect::<Result<Vec<_>, _>>()
        };
        for (key, time_ns) in Self::read(&plans, of_plan)?.into_iter().flatten().flatten() {
            note(key, time_ns);
        }
        let keys = Keys::new(found);
        match keys.len() > limit {
            true => Err(Error::TooManyKeys { limit }),
            false => Ok(FoundKeys { keys, times_ns }),
        }
    }

    /// Call trees of matching profiles, not cut: one for each symbol partition if the query has a limit of nodes, which
    /// [`merge_trees`] observes, else one under 0.
    ///
    /// # Errors
    /// As [`View::select_tree`].
    pub fn tree_parts(
        &self,
        query: &MergeQuery,
        keys: Option<&Keys>,
    ) -> Result<Counted<Vec<(u64, Tree)>>, Error> {
        let keep = keys.map(Keep::new);
        let keep = keep.as_ref();
        let apart = query.max_nodes > 0;
        let mut profiles = 0;
        let mut trees: BTreeMap<u64, Tree> = BTreeMap::new();
        let mut add = |partition, tree| {
            let partition = if apart { partition } else { 0 };
            merge(trees.entry(partition).or_default(), tree);
        };
        for head in &self.heads {
            let tree = |found: &head::Found| {
                calls::tree(&*head.symbols.read(), &found.values, &query.call_site)
            };
            if apart {
                for (partition, found) in head::by_partition(head, query, keep) {
                    profiles += found.profiles;
                    add(partition, tree(&found));
                }
            } else {
                let found = head::values(head, query, keep);
                profiles += found.profiles;
                add(0, tree(&found));
            }
        }
        let selector = head::with_profile_type(Some(&query.profile_type), &query.selector);
        let plans = self.kept(&selector, Bounds::new(query.range), Need::Samples, keep)?;
        let found = Self::read(&plans, |plan| Ok((plan.rows(), block::trees(plan, query)?)))?;
        for (rows, trees) in found {
            profiles += rows;
            for (partition, tree) in trees {
                add(partition, tree);
            }
        }
        trees.retain(|_, tree| !tree.is_empty());
        Ok(Counted {
            answer: trees.into_iter().collect(),
            profiles,
        })
    }

    /// What [`super::PprofMerge`] makes one pprof of.
    ///
    /// # Errors
    /// As [`View::select_tree`].
    pub fn pprof_parts(
        &self,
        query: &MergeQuery,
        keys: Option<&Keys>,
    ) -> Result<Counted<PprofParts>, Error> {
        let keep = keys.map(Keep::new);
        let keep = keep.as_ref();
        let mut parts = Parts::new(query);
        let mut doc_url = Common::NoProfile;
        let mut profiles = 0;
        for head in &self.heads {
            let found: Vec<(u64, head::Found)> = match Parts::are_cut(query) {
                true => head::by_partition(head, query, keep).into_iter().collect(),
                false => vec![(0, head::values(head, query, keep))],
            };
            for (partition, found) in found {
                profiles += found.profiles;
                parts.add(partition, &*head.symbols.read(), &found.values);
                doc_url = doc_url.and(found.doc_url(head));
            }
        }
        let selector = head::with_profile_type(Some(&query.profile_type), &query.selector);
        let plans = self.kept(&selector, Bounds::new(query.range), Need::Samples, keep)?;
        let found = Self::read(&plans, |plan| Ok((plan.rows(), block::pprof(plan, query)?)))?;
        for (rows, found) in found {
            profiles += rows;
            doc_url = doc_url.and(found.add_to_parts(&mut parts));
        }
        Ok(Counted {
            answer: parts.finish(doc_url),
            profiles,
        })
    }

    /// Sums that [`super::merge_series`] makes series of.
    ///
    /// # Errors
    /// As [`View::select_tree`].
    pub fn series_parts(
        &self,
        query: &SeriesQuery,
        keys: Option<&Keys>,
    ) -> Result<Counted<Vec<SeriesPart>>, Error> {
        let keep = keys.map(Keep::new);
        let keep = keep.as_ref();
        let mut totals = Totals::new(query);
        let mut profiles = 0;
        for head in &self.heads {
            profiles += head::totals(head, &mut totals, keep);
        }
        let selector = head::with_profile_type(Some(&query.profile_type), &query.selector);
        let need = Need::of_totals(&query.call_site);
        let plans = self.kept(&selector, totals.bounds, need, keep)?;
        let found = Self::read(&plans, |plan| {
            Ok((plan.rows(), block::totals(plan, &query.call_site)?))
        })?;
        for (rows, found) in found {
            profiles += rows;
            for series in found {
                series.add_to(&mut totals);
            }
        }
        Ok(Counted {
            answer: totals.into_parts(),
            profiles,
        })
    }

    /// How much a query would read; series are named by their fingerprints, because several stores have one series.
    ///
    /// # Errors
    /// As [`View::select_tree`].
    pub fn analyze_parts(
        &self,
        query: &AnalyzeQuery,
        keys: Option<&Keys>,
    ) -> Result<Counted<AnalysisPart>, Error> {
        let keep = keys.map(Keep::new);
        let keep = keep.as_ref();
        let heads = self.heads.iter();
        let mut found: Vec<_> = heads.map(|head| head::analyze(head, query, keep)).collect();
        let selector = head::with_profile_type(query.profile_type.as_ref(), &query.selector);
        let plans = self.kept(&selector, Bounds::new(query.range), Need::Headers, keep)?;
        found.extend(Self::read(&plans, block::analyze)?);
        let mut series = Vec::new();
        let mut part = AnalysisPart::default();
        for (analysis, fingerprints) in found {
            series.extend(fingerprints);
            part.add(&analysis);
        }
        part.series = Keys::new(series);
        Ok(Counted {
            profiles: part.profiles,
            answer: part,
        })
    }

    /// The rows that count: all, each once, or those that `keep` takes.
    fn kept(
        &self,
        selector: &Selector,
        bounds: Bounds,
        need: Need,
        keep: Option<&Keep<'_>>,
    ) -> Result<Vec<Plan>, Error> {
        let Some(keep) = keep else {
            return self.planned(selector, bounds, need);
        };
        let plans = self.found(selector, bounds, need, true)?.into_par_iter();
        let filtered = plans.map(|mut plan| {
            let outcome = keep.filter(&mut plan);
            Ok(readable(&plan.block, outcome)?.map(|()| plan))
        });
        let mut plans: Vec<Plan> = filtered
            .filter_map(Result::transpose)
            .collect::<Result<_, Error>>()?;
        plans.retain(|plan| !plan.is_empty());
        Ok(plans)
    }
}

/// How much one store would read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnalysisPart {
    /// Fingerprints of the series.
    pub series: Keys,
    /// Matching profiles.
    pub profiles: u64,
    /// Samples of these profiles.
    pub samples: u64,
    /// Their size, as far as it is known.
    pub bytes: u64,
}

impl AnalysisPart {
    fn add(&mut self, analysis: &Analysis) {
        self.profiles = self.profiles.saturating_add(analysis.profiles);
        self.samples = self.samples.saturating_add(analysis.samples);
        self.bytes = self.bytes.saturating_add(analysis.bytes);
    }
}

/// What several stores would read together; series that several have count once.
#[must_use]
pub fn merge_analyses(parts: impl IntoIterator<Item = AnalysisPart>) -> Analysis {
    let mut whole = Analysis::default();
    let mut series: Vec<u64> = Vec::new();
    for part in parts {
        whole.profiles = whole.profiles.saturating_add(part.profiles);
        whole.samples = whole.samples.saturating_add(part.samples);
        whole.bytes = whole.bytes.saturating_add(part.bytes);
        series.extend(part.series.as_slice());
    }
    whole.series = Keys::new(series).len() as u64;
    whole
}

/// One tree of those of several stores: those of each partition are merged and cut, then the whole is. A single
/// partition is cut once, as in a head.
#[must_use]
pub fn merge_trees(query: &MergeQuery, parts: impl IntoIterator<Item = (u64, Tree)>) -> Tree {
    let cut = |tree: Tree| match query.max_nodes {
        limit if limit > 0 => tree.truncate(limit),
        _ => tree,
    };
    let mut by_partition: BTreeMap<u64, Tree> = BTreeMap::new();
    for (partition, tree) in parts {
        merge(by_partition.entry(partition).or_default(), tree);
    }
    let alone = by_partition.len() == 1;
    let mut whole = Tree::new();
    for tree in by_partition.into_values() {
        merge(&mut whole, if alone { tree } else { cut(tree) });
    }
    cut(whole)
}
