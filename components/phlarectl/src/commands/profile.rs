//! `query profile` and `query go-pgo`.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use phlare_model::Tree;
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
use crate::render::{Shown, collapsed, dot, table, tree};
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
pub(crate) async fn run(client: &Client, args: &ProfileArgs, now_ms: i64) -> anyhow::Result<()> {
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
        bounds: args.select.range.range_ms(now_ms)?,
        max_nodes: args.max_nodes,
        stacks,
        spans: &args.span_selector,
    };
    match &args.output {
        ProfileOutput::Pprof(path) => {
            check_free(path, args.force)?;
            save(&question.pprof(client).await?, path, args.force)?;
        }
        ProfileOutput::Raw => ui::json(&question.pprof(client).await?)?,
        ProfileOutput::Table => {
            let tree = question.tree(client).await?;
            ui::data(&table::render(&question.shown(&tree), args.top_n));
        }
        ProfileOutput::Tree => {
            let tree = question.tree(client).await?;
            ui::data(&tree::render(&question.shown(&tree), args.min_percent));
        }
        ProfileOutput::Json => {
            let tree = question.tree(client).await?;
            ui::json(&table::json(&question.shown(&tree)))?;
        }
        ProfileOutput::Collapsed => ui::data(&collapsed::render(&question.tree(client).await?)),
        ProfileOutput::Dot => {
            // The server's own cut would merge what the graph shows apart.
            let question = Question {
                max_nodes: None,
                ..question
            };
            ui::data(&dot::render(
                &question.pprof(client).await?,
                args.max_nodes,
            )?);
        }
    }
    Ok(())
}

/// Merges profiles for the Go compiler.
pub(crate) async fn go_pgo(client: &Client, args: &GoPgoArgs, now_ms: i64) -> anyhow::Result<()> {
    let ProfileOutput::Pprof(path) = &args.output else {
        return Err(UsageError(
            "--output: the Go compiler reads pprof; expected pprof=FILE".to_owned(),
        )
        .into());
    };
    check_free(path, args.force)?;
    let pgo = GoPgo {
        keep_locations: args.keep_locations,
        aggregate_callees: args.aggregate_callees,
    };
    let question = Question {
        select: &args.select,
        bounds: args.select.range.range_ms(now_ms)?,
        max_nodes: None,
        stacks: Some(StackTraceSelector {
            call_site: Vec::new(),
            go_pgo: Some(pgo),
        }),
        spans: &[],
    };
    save(&question.pprof(client).await?, path, args.force)
}

impl Question<'_> {
    /// The merged profile as a tree of function names.
    async fn tree(&self, client: &Client) -> anyhow::Result<Tree> {
        let answer = self.stacktraces(client, ProfileFormat::Tree).await?;
        if answer.tree.is_empty() && answer.flamegraph.is_some_and(|graph| graph.total > 0) {
            bail!(
                "the server is too old: it answers with a flame graph where a tree was asked; try --output pprof=FILE"
            );
        }
        Tree::from_bytes(&answer.tree).context("read the tree")
    }

    /// The merged profile with addresses, lines and mappings.
    async fn pprof(&self, client: &Client) -> anyhow::Result<Profile> {
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

/// Refuses to overwrite, before the query is made.
fn check_free(path: &Path, force: bool) -> anyhow::Result<()> {
    let taken = path
        .try_exists()
        .with_context(|| format!("look at {}", path.display()))?;
    if taken && !force {
        bail!("{} exists already; -f overwrites it", path.display());
    }
    Ok(())
}

/// Writes a gzipped pprof file.
fn save(profile: &Profile, path: &Path, force: bool) -> anyhow::Result<()> {
    if profile.sample.is_empty() {
        bail!("no profile matches; {} is not written", path.display());
    }
    let bytes = gzip::gzip(&profile.encode_to_vec(), 6);
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(&bytes));
    written.with_context(|| format!("write {}", path.display()))?;
    ui::note(&format!(
        "{}: {} stacks, {} bytes",
        path.display(),
        profile.sample.len(),
        bytes.len()
    ));
    Ok(())
}
