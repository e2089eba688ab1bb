//! `query profile` and `query go-pgo`.

use std::path::Path;

use anyhow::{Context, bail};
use phlare_model::query;
use phlare_model::{MergeQuery, TimeRange, Tree};
use phlare_pprof::gzip;
use phlare_proto::google::v1::Profile;
use phlare_proto::querier::v1::{
    ProfileFormat, SelectMergeProfileRequest, SelectMergeStacktracesRequest,
    SelectMergeStacktracesResponse,
};
use phlare_proto::types::v1::{GoPgo, Location, StackTraceSelector};
use prost::Message;

use crate::cli::{GoPgoArgs, ProfileArgs, ProfileOutput, SelectArgs, UsageError};
use crate::client::Client;
use crate::commands::files;
use crate::render::{Shown, collapsed, dot, table, tree};
use crate::source::{Source, read_profile_type, read_selector};
use crate::ui;

/// A query with its bounds.
struct Question<'a> {
    select: &'a SelectArgs,
    bounds: (i64, i64),
    max_nodes: Option<i64>,
    stacks: Option<StackTraceSelector>,
    spans: &'a [String],
}

/// Merges profiles and shows them.
pub(crate) async fn run(source: &Source, args: &ProfileArgs, now_ms: i64) -> anyhow::Result<()> {
    let stacks = (!args.stacktrace_selector.is_empty()).then(|| StackTraceSelector {
        call_site: args
            .stacktrace_selector
            .iter()
            .map(|name| Location { name: name.clone() })
            .collect(),
        go_pgo: None,
    });
    let question = Question {
        select: &args.select,
        bounds: source.range_ms(&args.select.range, now_ms)?,
        max_nodes: args.max_nodes,
        stacks,
        spans: &args.span_selector,
    };
    match &args.output {
        ProfileOutput::Pprof(path) => {
            files::check_free(path, args.force)?;
            save(&question.pprof(source).await?, path, args.force)?;
        }
        ProfileOutput::Raw => ui::json(&question.pprof(source).await?)?,
        ProfileOutput::Table => {
            let tree = question.tree(source).await?;
            ui::data(&table::render(&question.shown(&tree), args.top_n));
        }
        ProfileOutput::Tree => {
            let tree = question.tree(source).await?;
            ui::data(&tree::render(&question.shown(&tree), args.min_percent));
        }
        ProfileOutput::Json => {
            let tree = question.tree(source).await?;
            ui::json(&table::json(&question.shown(&tree)))?;
        }
        ProfileOutput::Collapsed => ui::data(&collapsed::render(&question.tree(source).await?)),
        ProfileOutput::Dot => {
            // The server's own cut would merge what the graph shows apart.
            let question = Question {
                max_nodes: None,
                ..question
            };
            ui::data(&dot::render(
                &question.pprof(source).await?,
                args.max_nodes,
            )?);
        }
    }
    Ok(())
}

/// Merges profiles for the Go compiler.
pub(crate) async fn go_pgo(source: &Source, args: &GoPgoArgs, now_ms: i64) -> anyhow::Result<()> {
    let ProfileOutput::Pprof(path) = &args.output else {
        return Err(UsageError(
            "--output: the Go compiler reads pprof; expected pprof=FILE".to_owned(),
        )
        .into());
    };
    files::check_free(path, args.force)?;
    let pgo = GoPgo {
        keep_locations: args.keep_locations,
        aggregate_callees: args.aggregate_callees,
    };
    let question = Question {
        select: &args.select,
        bounds: source.range_ms(&args.select.range, now_ms)?,
        max_nodes: None,
        stacks: Some(StackTraceSelector {
            call_site: Vec::new(),
            go_pgo: Some(pgo),
        }),
        spans: &[],
    };
    save(&question.pprof(source).await?, path, args.force)
}

impl Question<'_> {
    /// The merged profile as a tree of function names.
    async fn tree(&self, source: &Source) -> anyhow::Result<Tree> {
        let client = match source {
            Source::Server(client) => client,
            Source::Blocks(stored) => return stored.tree(self.parsed()?).await,
        };
        let answer = self.stacktraces(client, ProfileFormat::Tree).await?;
        if answer.tree.is_empty() && answer.flamegraph.is_some_and(|graph| graph.total > 0) {
            bail!(
                "the server is too old: it answers with a flame graph where a tree was asked; try --output pprof=FILE"
            );
        }
        Tree::from_bytes(&answer.tree).context("read the tree")
    }

    /// The merged profile with addresses, lines and mappings.
    async fn pprof(&self, source: &Source) -> anyhow::Result<Profile> {
        let client = match source {
            Source::Server(client) => client,
            Source::Blocks(stored) => return stored.pprof(self.parsed()?).await,
        };
        if !self.spans.is_empty() {
            let answer = self.stacktraces(client, ProfileFormat::Pprof).await?;
            let profile = answer.pprof.and_then(|pprof| pprof.profile);
            return profile.context("the server gives no pprof for spans");
        }
        let request = SelectMergeProfileRequest {
            profile_type_id: self.select.profile_type.clone(),
            label_selector: self.select.range.query.clone(),
            start: self.bounds.0,
            end: self.bounds.1,
            max_nodes: self.max_nodes,
            stack_trace_selector: self.stacks.clone(),
            ..SelectMergeProfileRequest::default()
        };
        Ok(client.query("SelectMergeProfile", &request).await?)
    }

    /// What a server would read out of a request.
    fn parsed(&self) -> Result<MergeQuery, UsageError> {
        let stacks = self.stacks.clone().unwrap_or_default();
        let names = stacks.call_site.into_iter().map(|location| location.name);
        let spans = self.spans.iter().map(|id| span(id));
        let spans: Vec<u64> = spans.collect::<Result<_, _>>()?;
        Ok(MergeQuery {
            profile_type: read_profile_type(&self.select.profile_type)?,
            selector: read_selector(&self.select.range.query)?,
            range: TimeRange {
                start_ms: self.bounds.0,
                end_ms: self.bounds.1,
            },
            spans: (!spans.is_empty()).then_some(spans),
            call_site: names.collect(),
            max_nodes: self.max_nodes.unwrap_or_default().max(0),
            go_pgo: stacks.go_pgo.map(|pgo| query::GoPgo {
                keep_locations: pgo.keep_locations,
                aggregate_callees: pgo.aggregate_callees,
            }),
        })
    }

    async fn stacktraces(
        &self,
        client: &Client,
        format: ProfileFormat,
    ) -> anyhow::Result<SelectMergeStacktracesResponse> {
        let request = SelectMergeStacktracesRequest {
            profile_type_id: self.select.profile_type.clone(),
            label_selector: self.select.range.query.clone(),
            start: self.bounds.0,
            end: self.bounds.1,
            max_nodes: self.max_nodes,
            format: format.into(),
            stack_trace_selector: self.stacks.clone(),
            span_selector: self.spans.to_vec(),
            ..SelectMergeStacktracesRequest::default()
        };
        Ok(client.query("SelectMergeStacktraces", &request).await?)
    }

    fn shown<'t>(&'t self, tree: &'t Tree) -> Shown<'t> {
        Shown {
            tree,
            profile_type: &self.select.profile_type,
            query: &self.select.range.query,
            range_ms: self.bounds,
        }
    }
}

/// A span id as it is stored: 16 hexadecimal digits are 8 bytes, read as a little-endian number.
fn span(id: &str) -> Result<u64, UsageError> {
    let is_id = id.len() == 16 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = is_id.then(|| u64::from_str_radix(id, 16).ok()).flatten();
    number.map(u64::swap_bytes).ok_or_else(|| {
        UsageError(format!(
            "--span-selector `{id}`: expected 16 hexadecimal digits"
        ))
    })
}

/// Writes a gzipped pprof file.
fn save(profile: &Profile, path: &Path, force: bool) -> anyhow::Result<()> {
    if profile.sample.is_empty() {
        bail!("no profile matches; {} is not written", path.display());
    }
    let bytes = gzip::gzip(&profile.encode_to_vec(), 6);
    files::write(path, &bytes, force)?;
    ui::note(&format!(
        "{}: {} stacks, {} bytes",
        path.display(),
        profile.sample.len(),
        bytes.len()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_ids_are_read_as_stored() {
        assert_eq!(span("9cda327950856346").unwrap(), 0x4663_8550_7932_da9c);
        for wrong in ["", "ff", "+000000000000001", "zzzzzzzzzzzzzzzz"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
