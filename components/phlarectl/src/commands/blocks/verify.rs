//! `blocks verify`.

use std::sync::Arc;

use anyhow::Context;
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use phlare_block::{Files, Verified};
use serde::Serialize;

use super::find::{Found, Places};
use crate::cli::{Output, VerifyArgs};
use crate::render::Unit;
use crate::ui;

/// What was found of a block. Names and order of the fields are stable.
#[derive(Debug, Serialize)]
struct Row {
    block: String,
    location: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Counts>,
}

/// What a sound block holds.
#[derive(Debug, Serialize)]
struct Counts {
    series: u64,
    profiles: u64,
    samples: u64,
    partitions: u64,
    bytes: u64,
}

/// Checks blocks, all of them; the first that is not sound is the command's error.
pub(super) async fn run(places: &Places, args: &VerifyArgs) -> anyhow::Result<()> {
    let found = places.find().await?;
    let count = found.len();
    let progress = ui::progress(count);
    let mut results = stream::iter(found)
        .map(|block| verify(block, progress.clone()))
        .buffered(args.concurrency);
    let (mut rows, mut first, mut bad) = (Vec::new(), None, 0);
    while let Some((row, error)) = results.next().await {
        progress.inc(1);
        if args.output == Output::Table {
            progress.suspend(|| ui::data(&row.line()));
        }
        rows.push(row);
        if let Some(error) = error {
            bad += 1;
            first.get_or_insert(error);
        }
    }
    progress.finish_and_clear();
    if args.output == Output::Json {
        ui::json(&rows)?;
    }
    match first {
        Some(error) => {
            Err(error.context(format!("{bad} of {count} blocks are not sound; the first")))
        }
        None => Ok(()),
    }
}

async fn verify(found: Found, progress: ProgressBar) -> (Row, Option<anyhow::Error>) {
    let mut row = Row {
        block: found.name.clone(),
        location: found.location(),
        status: "ok",
        error: None,
        found: None,
    };
    match try_verify(&found, progress).await {
        Ok(verified) => {
            row.found = Some(Counts {
                series: verified.series,
                profiles: verified.profiles,
                samples: verified.samples,
                partitions: verified.partitions,
                bytes: verified.bytes,
            });
            (row, None)
        }
        Err(error) => {
            let source = error.downcast_ref::<phlare_block::Error>();
            let is_damaged = source.is_some_and(|error| {
                error.is_corruption() || matches!(error, phlare_block::Error::Missing { .. })
            });
            row.status = if is_damaged { "bad" } else { "unknown" };
            row.error = Some(format!("{error:#}"));
            (row, Some(error))
        }
    }
}

async fn try_verify(found: &Found, progress: ProgressBar) -> anyhow::Result<Verified> {
    let name = found.name.clone();
    let note = move |file: &str| progress.set_message(format!("{name} {file}"));
    let meta = found.meta().await?;
    let files: Arc<dyn Files> = Arc::new(
        found
            .fetch(&meta, &std::env::temp_dir(), |_| true, &note)
            .await?,
    );
    let verified = tokio::task::spawn_blocking(move || {
        phlare_block::verify(&meta, &files, &mut |file| note(file))
    });
    let verified = verified
        .await
        .context("the block was not read to its end")?;
    Ok(verified?)
}

impl Row {
    fn line(&self) -> String {
        let (block, status) = (&self.block, self.status);
        if let Some(error) = &self.error {
            return format!("{block}  {status:<7}  {error}");
        }
        match &self.found {
            Some(found) => format!(
                "{block}  {status:<7}  {} series, {} profiles, {} samples, {} partitions, {}",
                found.series,
                found.profiles,
                found.samples,
                found.partitions,
                Unit::Bytes.show(found.bytes as f64)
            ),
            None => format!("{block}  {status}"),
        }
    }
}
