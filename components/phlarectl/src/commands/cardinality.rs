//! `query label-values-cardinality`.

use std::cmp::Reverse;

use serde::Serialize;

use crate::cli::{CardinalityArgs, Output};
use crate::commands::labels::{names, values};
use crate::source::Source;
use crate::ui;

/// A label and how many values it has.
#[derive(Debug, Serialize)]
struct Row {
    label: String,
    values: usize,
}

/// Counts the values of each label.
pub(crate) async fn run(
    source: &Source,
    args: &CardinalityArgs,
    now_ms: i64,
) -> anyhow::Result<()> {
    let bounds = source.range_ms(&args.range, now_ms)?;
    let names = names(source, &args.range, bounds).await?;
    let progress = ui::progress(names.len());
    let mut rows = Vec::with_capacity(names.len());
    for label in names {
        progress.set_message(label.clone());
        let values = values(source, &args.range, bounds, &label).await?.len();
        rows.push(Row { label, values });
        progress.inc(1);
    }
    progress.finish_and_clear();
    rows.sort_by(|a, b| (Reverse(a.values), &a.label).cmp(&(Reverse(b.values), &b.label)));
    if args.top_n > 0 {
        rows.truncate(args.top_n);
    }
    match args.output {
        Output::Json => ui::json(&rows)?,
        Output::Table => {
            let mut table = ui::table(&["values", "label"], &[0]);
            for row in &rows {
                table.add_row([row.values.to_string(), row.label.clone()]);
            }
            ui::data(&table.trim_fmt());
        }
    }
    Ok(())
}
