//! `labels` and `types`.

use phlare_proto::querier::v1::{ProfileTypesRequest, ProfileTypesResponse};
use phlare_proto::types::v1::{
    LabelNamesRequest, LabelNamesResponse, LabelValuesRequest, LabelValuesResponse,
};

use crate::cli::{LabelsArgs, MetadataArgs, Output, RangeArgs};
use crate::client::{Client, ClientError};
use crate::ui;

/// Lists label names, or the values of one label.
pub(crate) async fn labels(client: &Client, args: &LabelsArgs, now_ms: i64) -> anyhow::Result<()> {
    let range = &args.metadata.range;
    let bounds = range.range_ms(now_ms)?;
    let list = match &args.name {
        Some(name) => values(client, range, bounds, name).await?,
        None => names(client, range, bounds).await?,
    };
    match args.metadata.output {
        Output::Table => ui::data(&list.join("\n")),
        Output::Json => ui::json(&list)?,
    }
    Ok(())
}

/// Lists profile types.
pub(crate) async fn types(client: &Client, args: &MetadataArgs, now_ms: i64) -> anyhow::Result<()> {
    let (start, end) = args.range.range_ms(now_ms)?;
    // The method for this takes no selector; a label's values do.
    let ids: Vec<String> = if args.range.query.trim() == "{}" {
        let request = ProfileTypesRequest { start, end };
        let answer: ProfileTypesResponse = client.query("ProfileTypes", &request).await?;
        answer
            .profile_types
            .into_iter()
            .map(|kind| kind.id)
            .collect()
    } else {
        values(client, &args.range, (start, end), "__profile_type__").await?
    };
    match args.output {
        Output::Table => ui::data(&ids.join("\n")),
        Output::Json => ui::json(&ids)?,
    }
    Ok(())
}

/// The label names of what the range selects.
pub(crate) async fn names(
    client: &Client,
    range: &RangeArgs,
    (start, end): (i64, i64),
) -> Result<Vec<String>, ClientError> {
    let request = LabelNamesRequest {
        matchers: range.matchers(),
        start,
        end,
    };
    let answer: LabelNamesResponse = client.query("LabelNames", &request).await?;
    Ok(answer.names)
}

/// The values of a label in what the range selects.
pub(crate) async fn values(
    client: &Client,
    range: &RangeArgs,
    (start, end): (i64, i64),
    name: &str,
) -> Result<Vec<String>, ClientError> {
    let request = LabelValuesRequest {
        name: name.to_owned(),
        matchers: range.matchers(),
        start,
        end,
    };
    let answer: LabelValuesResponse = client.query("LabelValues", &request).await?;
    Ok(answer.names)
}
