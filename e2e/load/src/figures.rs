//! What a server says about itself in `/metrics`.

use crate::report::Read;

/// Bytes that queries read from the files of blocks.
const QUERIES: &str = "phlare_querier_query_read_bytes_sum";
/// Bytes that buckets sent.
const BUCKETS: &str = "phlare_bucket_read_bytes_total";

/// What was read between two looks, for each of `requests`; `None` if the server does not say.
#[expect(clippy::cast_precision_loss, reason = "requests stay far below 2^53")]
pub(crate) fn between(
    before: Option<String>,
    after: Option<String>,
    requests: u64,
) -> Option<Read> {
    let (before, after) = before.zip(after)?;
    let grown = |name| {
        Some((sum(&after, name)? - sum(&before, name).unwrap_or_default()) / requests.max(1) as f64)
    };
    let block_bytes = grown(QUERIES);
    let bucket_bytes = grown(BUCKETS);
    block_bytes.or(bucket_bytes)?;
    Some(Read {
        block_bytes: block_bytes.unwrap_or_default(),
        bucket_bytes: bucket_bytes.unwrap_or_default(),
    })
}

/// A figure, summed up over its labels; `None` if there is none of that name.
fn sum(metrics: &str, name: &str) -> Option<f64> {
    let values = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        // `name{labels} value` or `name value`; labels may hold blanks.
        let value = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_up_over_labels() {
        let text = "# HELP a_total x\na_total{b=\"c d\"} 5\na_total{b=\"}\"} 2.5\na_total_more 9\na_total 1\n";
        assert_eq!(sum(text, "a_total"), Some(8.5));
        assert_eq!(sum(text, "b"), None);
    }

    #[test]
    fn growth_is_shared_among_requests() {
        let text = |queries: u64| Some(format!("{QUERIES}{{operation=\"a\"}} {queries}\n"));
        let read = between(text(100), text(300), 4).unwrap();
        assert_eq!((read.block_bytes, read.bucket_bytes), (50.0, 0.0));
        // The first query makes the figure.
        assert_eq!(
            between(Some(String::new()), text(8), 4)
                .unwrap()
                .block_bytes,
            2.0
        );
        assert_eq!(between(text(1), Some(String::new()), 4), None);
        assert_eq!(between(None, text(1), 4), None);
    }
}
