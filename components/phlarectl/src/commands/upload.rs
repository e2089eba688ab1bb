//! `upload`.

mod parcel;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use phlare_model::time::parse_time;
use serde::Serialize;
use tokio::task::JoinSet;

use self::parcel::Parcel;
use crate::cli::{FileFormat, Output, UploadArgs, UsageError};
use crate::client::Client;
use crate::commands::files;
use crate::render::time;
use crate::ui;

/// A profile further from now than this is likely to be refused for its time.
const HOUR_MS: i64 = 3_600_000;

/// How profiles are labelled and timed.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// Labels of all files, `service_name` included.
    labels: BTreeMap<String, String>,
    /// Label `__name__`, if it is not to be guessed.
    name: Option<String>,
    /// Whether the service's name was chosen; else one that a file has is better.
    service_given: bool,
    /// The time to set, if any.
    time_ms: Option<i64>,
    now_ms: i64,
    /// What the files are, if they are not to be recognised.
    format: Option<FileFormat>,
    /// Samples per second of what does not say it.
    sample_rate: Option<u32>,
}

/// What became of a file.
#[derive(Debug, Serialize)]
struct Sent {
    file: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Sends files; the first failure is the command's, after all files were tried.
pub(crate) async fn run(client: &Client, args: &UploadArgs, now_ms: i64) -> anyhow::Result<()> {
    let address = Arc::new(Address::new(args, now_ms)?);
    let files = files::find(&args.paths)?;
    let mut results = send_all(client, &address, &files, args.concurrency).await?;
    let failed = results.iter().filter(|(_, error)| error.is_some()).count();
    let first = results.iter_mut().find_map(|(_, error)| error.take());
    let sent: Vec<Sent> = results.into_iter().map(|(sent, _)| sent).collect();
    match args.output {
        Output::Json => ui::json(&sent)?,
        Output::Table => table(&sent),
    }
    match first {
        Some(error) => Err(error.context(format!(
            "{failed} of {} files were not sent; the first",
            sent.len()
        ))),
        None => Ok(()),
    }
}

async fn send_all(
    client: &Client,
    address: &Arc<Address>,
    files: &[PathBuf],
    concurrency: usize,
) -> anyhow::Result<Vec<(Sent, Option<anyhow::Error>)>> {
    let progress = ui::progress(files.len());
    let mut waiting = files.iter().cloned().enumerate();
    let mut results = BTreeMap::new();
    let mut running = JoinSet::new();
    loop {
        while running.len() < concurrency {
            let Some((position, file)) = waiting.next() else {
                break;
            };
            let (client, address) = (client.clone(), Arc::clone(address));
            running.spawn(async move { (position, send(&client, &address, &file).await) });
        }
        let Some(ended) = running.join_next().await else {
            break;
        };
        let (position, result) = ended.context("an upload ended early")?;
        progress.set_message(result.0.file.clone());
        progress.inc(1);
        results.insert(position, result);
    }
    progress.finish_and_clear();
    Ok(results.into_values().collect())
}

async fn send(client: &Client, address: &Address, file: &Path) -> (Sent, Option<anyhow::Error>) {
    let name = file.display().to_string();
    let mut sent = Sent {
        file: name.clone(),
        status: "sent",
        samples: None,
        time: None,
        labels: address.labels.clone(),
        error: None,
    };
    match try_send(client, address, file, &mut sent).await {
        Ok(()) => (sent, None),
        Err(error) => {
            sent.status = "failed";
            sent.error = Some(format!("{error:#}"));
            (sent, Some(error.context(name)))
        }
    }
}

async fn try_send(
    client: &Client,
    address: &Address,
    file: &Path,
    sent: &mut Sent,
) -> anyhow::Result<()> {
    let bytes = tokio::fs::read(file).await.context("read the file")?;
    let parcel = Parcel::pack(&bytes, address)?;
    sent.labels.clone_from(&parcel.labels);
    sent.samples = parcel.samples;
    sent.time = Some(time(parcel.time_ms));
    let outcome = parcel.send(client).await.map_err(anyhow::Error::from);
    let age = address.now_ms.saturating_sub(parcel.time_ms);
    if age.abs() <= HOUR_MS {
        return outcome;
    }
    outcome.with_context(|| {
        format!(
            "its time is {}; --override-timestamp sends it as of now",
            time(parcel.time_ms)
        )
    })
}

impl Address {
    fn new(args: &UploadArgs, now_ms: i64) -> Result<Self, UsageError> {
        let mut labels: BTreeMap<String, String> = args.extra_labels.iter().cloned().collect();
        let name = args
            .name
            .clone()
            .or_else(|| labels.get("__name__").cloned());
        labels.remove("__name__");
        let service_given = args.service_name.is_some() || labels.contains_key("service_name");
        let service = args.service_name.as_deref();
        labels
            .entry("service_name".to_owned())
            .or_insert_with(|| service.unwrap_or("phlarectl-upload").to_owned());
        let time_ms = match &args.timestamp {
            Some(text) => Some(
                parse_time(text, now_ms)
                    .map_err(|error| UsageError(format!("--timestamp: {error}")))?,
            ),
            None => args.override_timestamp.then_some(now_ms),
        };
        Ok(Self {
            labels,
            name,
            service_given,
            time_ms,
            now_ms,
            format: args.format,
            sample_rate: args.sample_rate,
        })
    }
}

fn table(sent: &[Sent]) {
    let mut table = ui::table(&["status", "samples", "time", "file", "labels"], &[1]);
    for row in sent {
        table.add_row([
            row.status.to_owned(),
            row.samples
                .map_or_else(|| "-".to_owned(), |samples| samples.to_string()),
            row.time.clone().unwrap_or_default(),
            row.file.clone(),
            phlare_model::Labels::from_pairs(&row.labels).to_string(),
        ]);
    }
    ui::data(&table.trim_fmt());
    for row in sent {
        if let Some(error) = &row.error {
            ui::note(&format!("{}: {error}", row.file));
        }
    }
}
