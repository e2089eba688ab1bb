//! `labels` and `types`.

use phlare_proto::types::v1::{LabelNamesRequest, LabelValuesRequest};

use crate::cli::{LabelsArgs, MetadataArgs, Output, RangeArgs};
use crate::source::Source;
use crate::ui;

/// Lists label names, or the values of one label.
pub(crate) async fn labels(source: &Source, args: &LabelsArgs, now_ms: i64) -> anyhow::Result<()> {
    let range = &args.metadata.range;
    let bounds = source.range_ms(range, now_ms)?;
    let list = match &args.name {
        Some(name) => values(source, range, bounds, name).await?,
        None => names(source, range, bounds).await?,
    };
    match args.metadata.output {
        Output::Table => ui::data(&list.join("\n")),
        Output::Json => ui::json(&list)?,
    }
    Ok(())
}

/// Lists profile types.
pub(crate) async fn types(source: &Source, args: &MetadataArgs, now_ms: i64) -> anyhow::Result<()> {
    let (start, end) = source.range_ms(&args.range, now_ms)?;
    // The method for this takes no selector; a label's values do.
    let ids: Vec<String> = if args.range.query.trim() == "{}" {
        source.profile_types(start, end).await?
    } else {
        values(source, &args.range, (start, end), "__profile_type__").await?
    };
    match args.output {
        Output::Table => ui::data(&ids.join("\n")),
        Output::Json => ui::json(&ids)?,
    }
    Ok(())
}

/// The label names of what the range selects.
pub(crate) async fn names(
    source: &Source,
    range: &RangeArgs,
    (start, end): (i64, i64),
) -> anyhow::Result<Vec<String>> {
    let request = LabelNamesRequest {
        matchers: range.matchers(),
        start,
        end,
    };
    source.label_names(request).await
}

/// The values of a label in what the range selects.
pub(crate) async fn values(
    source: &Source,
    range: &RangeArgs,
    (start, end): (i64, i64),
    name: &str,
) -> anyhow::Result<Vec<String>> {
    let request = LabelValuesRequest {
        name: name.to_owned(),
        matchers: range.matchers(),
        start,
        end,
    };
    source.label_values(request).await
}
