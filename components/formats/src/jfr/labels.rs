//! The labels that a program set while it was profiled: a snapshot beside the recording.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use prost::Message;

use super::events::Origin;
use crate::error::Error;

/// Labels of contexts, and strings, both by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelsSnapshot {
    contexts: HashMap<i64, Context>,
    strings: HashMap<i64, String>,
}

/// A snapshot as it is sent.
#[derive(Clone, PartialEq, Message)]
struct Sent {
    #[prost(map = "int64, message", tag = "1")]
    contexts: HashMap<i64, Context>,
    // In the schema these are strings; a damaged one should not cost the profile.
    #[prost(map = "int64, bytes", tag = "2")]
    strings: HashMap<i64, Vec<u8>>,
}

/// Labels: names and values as numbers of strings.
#[derive(Clone, PartialEq, Message)]
struct Context {
    #[prost(btree_map = "int64, int64", tag = "1")]
    labels: BTreeMap<i64, i64>,
}

impl LabelsSnapshot {
    /// Reads a snapshot; empty bytes are an empty one.
    ///
    /// # Errors
    /// What is no snapshot.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let sent = Sent::decode(bytes).map_err(|error| {
            Error::Content(format!(
                "the labels beside the recording cannot be read: {error}"
            ))
        })?;
        // Here and not for each sample that has them.
        let strings = sent.strings.into_iter().map(|(number, bytes)| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (number, text)
        });
        Ok(Self {
            contexts: sent.contexts,
            strings: strings.collect(),
        })
    }

    fn string(&self, number: i64) -> Option<Cow<'_, str>> {
        let text = self.strings.get(&number)?;
        Some(Cow::Borrowed(text))
    }

    /// The labels of a sample, in the order of their numbers, then its span. Zero stands for nothing.
    pub(super) fn of(&self, origin: &Origin) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        let context = self.contexts.get(&origin.context.cast_signed());
        let pairs = context.into_iter().flat_map(|context| &context.labels);
        let mut labels: Vec<_> = pairs
            .filter_map(|(name, value)| Some((self.string(*name)?, self.string(*value)?)))
            .collect();
        if origin.span_id != 0 {
            let id = format!("{:016x}", origin.span_id);
            labels.push(("profile_id".into(), id.into()));
        }
        if origin.span_name != 0
            && let Some(name) = self.string(origin.span_name.cast_signed())
        {
            labels.push(("span_name".into(), name));
        }
        if origin.trace_id != (0, 0) {
            let (high, low) = origin.trace_id;
            labels.push(("trace_id".into(), format!("{high:016x}{low:016x}").into()));
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_of_the_context_and_of_the_span() {
        let labels = BTreeMap::from([(1, 2), (1000, 2)]);
        let snapshot = Sent {
            contexts: HashMap::from([(7, Context { labels })]),
            strings: HashMap::from([
                (1, b"thread".to_vec()),
                (2, b"a\xffb".to_vec()),
                (3, b"GET /".to_vec()),
            ]),
        };
        let snapshot = LabelsSnapshot::read(&snapshot.encode_to_vec()).unwrap();
        let origin = Origin {
            context: 7,
            span_id: 0xabc,
            span_name: 3,
            trace_id: (0, 1),
        };
        let labels = snapshot.of(&origin);
        let labels: Vec<(&str, &str)> = labels
            .iter()
            .map(|(n, v)| (n.as_ref(), v.as_ref()))
            .collect();
        assert_eq!(
            labels,
            [
                ("thread", "a\u{fffd}b"),
                ("profile_id", "0000000000000abc"),
                ("span_name", "GET /"),
                ("trace_id", "00000000000000000000000000000001"),
            ]
        );
        assert!(snapshot.of(&Origin::default()).is_empty());
        assert!(LabelsSnapshot::read(b"\xff\xff").is_err());
        assert_eq!(LabelsSnapshot::read(b""), Ok(LabelsSnapshot::default()));
    }
}
