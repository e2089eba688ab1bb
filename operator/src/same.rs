//! Whether an object already is as it should be.
//!
//! The API server fills in defaults, other controllers add fields, and amounts are written in their shortest form: so
//! what should be there has to be *in* the object, not be equal to it.

use phlare_operator_api::Amount;
use serde_json::Value;

use crate::memory;

/// What tells elements of lists apart, as the API server merges them.
const KEYS: &[&str] = &["name", "mountPath", "topologyKey", "uid"];

/// Whether every field of `desired` has the same value in `live`.
#[must_use]
pub fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, value)| {
            let there = live.get(key);
            match there {
                Some(there) if is_amounts(key) => same_amounts(there, value),
                Some(there) => contains(there, value),
                None => is_nothing(value),
            }
        }),
        (Value::Array(live), Value::Array(desired)) => contains_all(live, desired),
        (live, desired) => live == desired,
    }
}

fn contains_all(live: &[Value], desired: &[Value]) -> bool {
    let key = KEYS.iter().find(|key| {
        let has = |value: &Value| value.get(**key).is_some_and(Value::is_string);
        !desired.is_empty() && desired.iter().all(has)
    });
    let Some(key) = key else {
        let pairs = || live.iter().zip(desired);
        return live.len() == desired.len()
            && pairs().all(|(live, desired)| contains(live, desired));
    };
    let twin = |wanted: &Value| {
        live.iter()
            .find(|value| value.get(*key) == wanted.get(*key))
    };
    desired
        .iter()
        .all(|wanted| twin(wanted).is_some_and(|there| contains(there, wanted)))
}

/// Empty objects and lists may be left out.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

fn is_amounts(key: &str) -> bool {
    matches!(key, "requests" | "limits")
}

fn same_amounts(live: &Value, desired: &Value) -> bool {
    let (Value::Object(live), Value::Object(desired)) = (live, desired) else {
        return live == desired;
    };
    desired.iter().all(|(name, wanted)| {
        live.get(name).is_some_and(|there| {
            there == wanted
                || match (thousandths(there), thousandths(wanted)) {
                    (Some(there), Some(wanted)) => there == wanted,
                    _ => false,
                }
        })
    })
}

/// An amount, times a thousand: processors are counted so.
fn thousandths(value: &Value) -> Option<u64> {
    let text = value.as_str()?;
    match text.strip_suffix('m') {
        Some(number) => number.parse().ok(),
        None => {
            let (digits, unit) = match text.find(|letter: char| letter.is_ascii_alphabetic()) {
                Some(at) => text.split_at(at),
                None => (text, ""),
            };
            if unit.is_empty() {
                let number: f64 = digits.parse().ok()?;
                return Some((number * 1000.0).round() as u64);
            }
            memory::bytes(&Amount::Text(text.to_owned()))?.checked_mul(1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_and_others_fields_make_no_difference() {
        let desired = json!({"spec": {"containers": [{"name": "phlare", "image": "a"}]}});
        let live = json!({"spec": {"restartPolicy": "Always", "containers": [
            {"name": "sidecar", "image": "b"},
            {"name": "phlare", "image": "a", "terminationMessagePath": "/dev/termination-log"},
        ]}});
        assert!(contains(&live, &desired));
    }

    #[test]
    fn another_value_is_seen_wherever_it_is() {
        let desired = json!({"containers": [{"name": "phlare", "args": ["-a", "-b"]}]});
        for live in [
            json!({"containers": [{"name": "phlare", "args": ["-b", "-a"]}]}),
            json!({"containers": [{"name": "phlare", "args": ["-a", "-b", "-c"]}]}),
            json!({"containers": [{"name": "other", "args": ["-a", "-b"]}]}),
            json!({"containers": []}),
            json!({}),
        ] {
            assert!(!contains(&live, &desired), "{live}");
        }
    }

    #[test]
    fn amounts_are_compared_by_what_they_are() {
        let of = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}});
        assert!(contains(&of("1", "1Gi"), &of("1000m", "1024Mi")));
        assert!(contains(&of("500m", "1Gi"), &of("0.5", "1Gi")));
        assert!(!contains(&of("1", "1Gi"), &of("1", "1G")));
    }

    #[test]
    fn nothing_may_be_left_out() {
        assert!(contains(
            &json!({}),
            &json!({"emptyDir": {}, "securityContext": {"x": null}})
        ));
        assert!(!contains(&json!({}), &json!({"a": 0})));
    }
}
