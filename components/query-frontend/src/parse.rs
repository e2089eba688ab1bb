//! Texts of a request → typed parts of a query.

use phlare_model::labels::names;
use phlare_model::profile_type::ProfileType;
use phlare_model::query::{Aggregation, GoPgo};
use phlare_model::selector::{MatchOp, Selector};
use phlare_proto::types::v1::{StackTraceSelector, TimeSeriesAggregationType};

use crate::error::Error;

pub(crate) fn profile_type(field: &'static str, id: &str) -> Result<ProfileType, Error> {
    id.parse()
        .map_err(|source| Error::ProfileType { field, source })
}

pub(crate) fn selector(field: &'static str, text: &str) -> Result<Selector, Error> {
    Selector::parse(text).map_err(|source| Error::Selector {
        field,
        text: text.to_owned(),
        source: Box::new(source),
    })
}

pub(crate) fn selectors(field: &'static str, texts: &[String]) -> Result<Vec<Selector>, Error> {
    texts.iter().map(|text| selector(field, text)).collect()
}

/// A query of the form `type-id{selector}`, `type-id` or `{__name__="type-id", …}`.
///
/// The type ends at the first brace, so values may contain any.
pub(crate) fn typed_query(
    field: &'static str,
    query: &str,
) -> Result<(ProfileType, Selector), Error> {
    match optionally_typed_query(field, query)? {
        (Some(kind), selector) => Ok((kind, selector)),
        (None, _) => Err(Error::NoProfileType {
            field,
            query: query.to_owned(),
        }),
    }
}

/// As [`typed_query`], but the profile type may be missing.
pub(crate) fn optionally_typed_query(
    field: &'static str,
    query: &str,
) -> Result<(Option<ProfileType>, Selector), Error> {
    let query = query.trim();
    let (id, rest) = query
        .find('{')
        .map_or((query, "{}"), |brace| query.split_at(brace));
    if !id.trim().is_empty() {
        return Ok((
            Some(profile_type(field, id.trim())?),
            selector(field, rest)?,
        ));
    }
    if query.is_empty() {
        return Err(Error::MissingParameter { parameter: field });
    }
    let mut selector = selector(field, rest)?;
    let name = selector
        .matchers
        .iter()
        .position(|matcher| matcher.name() == names::NAME && matcher.op() == MatchOp::Equal);
    let Some(at) = name else {
        return Ok((None, selector));
    };
    let matcher = selector.matchers.remove(at);
    Ok((Some(profile_type(field, matcher.value())?), selector))
}

/// Span ids as they are stored: 16 hexadecimal digits are 8 bytes, read as a little-endian number.
pub(crate) fn spans(ids: &[String]) -> Result<Vec<u64>, Error> {
    ids.iter()
        .map(|id| span(id).ok_or_else(|| Error::Span { span: id.clone() }))
        .collect()
}

fn span(id: &str) -> Option<u64> {
    if id.len() != 16 || !id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(id, 16).ok().map(u64::swap_bytes)
}

/// What a stack trace selector asks for: functions from the root, or the form for `go_pgo`.
pub(crate) fn stack_trace_selector(
    selector: Option<&StackTraceSelector>,
) -> (Vec<String>, Option<GoPgo>) {
    let Some(selector) = selector else {
        return (Vec::new(), None);
    };
    let call_site = selector
        .call_site
        .iter()
        .map(|location| location.name.clone())
        .collect();
    let go_pgo = selector.go_pgo.as_ref().map(|pgo| GoPgo {
        keep_locations: pgo.keep_locations,
        aggregate_callees: pgo.aggregate_callees,
    });
    (call_site, go_pgo)
}

pub(crate) fn aggregation(value: Option<i32>) -> Result<Aggregation, Error> {
    let value = value.unwrap_or_default();
    match TimeSeriesAggregationType::try_from(value) {
        Ok(TimeSeriesAggregationType::Sum) => Ok(Aggregation::Sum),
        Ok(TimeSeriesAggregationType::Average) => Ok(Aggregation::Average),
        Err(_) => Err(Error::UnknownValue {
            field: "aggregation",
            value,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_ids_are_read_as_stored() {
        let check = |id: &str, expected: Option<u64>| assert_eq!(span(id), expected, "{id:?}");
        check("0100000000000000", Some(1));
        check("9cda327950856346", Some(0x4663_8550_7932_da9c));
        check("9CDA327950856346", Some(0x4663_8550_7932_da9c));
        check("ff", None);
        check("zzzzzzzzzzzzzzzz", None);
        check("+000000000000001", None);
        check("00000000000000é", None);
        check("", None);
    }

    #[test]
    fn queries_begin_with_their_profile_type() {
        let check = |query: &str, expected: Result<(&str, usize), &str>| {
            let found = typed_query("query", query);
            match (found, expected) {
                (Ok((kind, selector)), Ok((id, matchers))) => {
                    assert_eq!(kind.to_string(), id, "{query}");
                    assert_eq!(selector.matchers.len(), matchers, "{query}");
                }
                (Err(error), Err(reason)) => assert_eq!(error.reason(), reason, "{query}: {error}"),
                (found, expected) => panic!("{query}: {found:?} instead of {expected:?}"),
            }
        };
        let cpu = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
        check(cpu, Ok((cpu, 0)));
        check(&format!("{cpu}{{}}"), Ok((cpu, 0)));
        check(&format!(" {cpu} {{a=\"b\"}} "), Ok((cpu, 1)));
        check(&format!("{{__name__=\"{cpu}\", a=\"b\"}}"), Ok((cpu, 1)));
        check(
            &format!("{cpu}{{path=\"/c/{{id}},x\",method=\"GET\"}}"),
            Ok((cpu, 2)),
        );
        check("odd.name-1:a:b:c:d{}", Ok(("odd.name-1:a:b:c:d", 0)));
        check("cpu{}", Err("invalid_query"));
        check("{a=\"b\"}", Err("invalid_query"));
        check("", Err("invalid_query"));
        check(&format!("{cpu}{{a=}}"), Err("invalid_query"));
        check(&format!("{cpu}{{"), Err("invalid_query"));
        check(&format!("{cpu}{{}}x"), Err("invalid_query"));
    }
}
