//! How an entry of a ring travels: a few keys and values of the process that has it.
//!
//! | key | value |
//! | --- | --- |
//! | `entry/<ring>/<id>` | JSON: where it serves, zone, state |
//! | `tokens/<ring>/<id>` | [`Tokens::encode`] |
//! | `beat/<ring>/<id>` | its last heartbeat, milliseconds since the epoch |
//! | `forget/<ring>/<id>` | of another process's entry: heartbeats up to this one do not count |
//!
//! A heartbeat so sends twenty bytes, not its tokens.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Instance, InstanceId, RingKind, State, Tokens};

/// Longest name, address or zone that is taken from others.
const MAX_TEXT: usize = 256;

/// Most entries that are taken from one process: one for each ring, and what it forgot.
const MAX_ENTRIES: usize = 1024;

/// Keys and values of one process.
pub(crate) type KeyValues = BTreeMap<String, String>;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) addr: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) zone: String,
    pub(crate) state: State,
    pub(crate) registered_ms: i64,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) fresh: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) read_only: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) read_only_changed_ms: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// An entry as it was published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Published {
    pub(crate) body: Body,
    pub(crate) tokens: Tokens,
    pub(crate) beat_ms: i64,
}

/// What one process says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Said {
    pub(crate) entries: BTreeMap<(RingKind, InstanceId), Published>,
    pub(crate) forgotten: BTreeMap<(RingKind, InstanceId), i64>,
    /// Values that make no sense; the entry is left out.
    pub(crate) bad: usize,
}

fn key(prefix: &str, kind: RingKind, id: &InstanceId) -> String {
    format!("{prefix}/{kind}/{id}")
}

/// Keys and values of an entry, without its heartbeat.
pub(crate) fn entry(kind: RingKind, instance: &Instance) -> [(String, String); 2] {
    let body = Body {
        addr: instance.addr.clone(),
        zone: instance.zone.to_string(),
        state: instance.state,
        registered_ms: instance.registered_ms,
        fresh: instance.fresh,
        read_only: instance.read_only,
        read_only_changed_ms: instance.read_only_changed_ms,
    };
    // Texts, numbers and switches always serialise.
    let body = serde_json::to_string(&body).unwrap_or_default();
    [
        (key("tokens", kind, &instance.id), instance.tokens.encode()),
        (key("entry", kind, &instance.id), body),
    ]
}

pub(crate) fn beat(kind: RingKind, id: &InstanceId, ms: i64) -> (String, String) {
    (key("beat", kind, id), ms.to_string())
}

pub(crate) fn forget(kind: RingKind, id: &InstanceId, ms: i64) -> (String, String) {
    (key("forget", kind, id), ms.to_string())
}

pub(crate) fn forget_key(kind: RingKind, id: &InstanceId) -> String {
    key("forget", kind, id)
}

/// Keys that go with an entry.
pub(crate) fn keys(kind: RingKind, id: &InstanceId) -> [String; 3] {
    ["entry", "tokens", "beat"].map(|prefix| key(prefix, kind, id))
}

/// Reads what a process says. An entry counts when all of its parts are there.
pub(crate) fn read(values: &KeyValues) -> Said {
    let mut said = Said::default();
    for (key, value) in values {
        let mut parts = key.splitn(3, '/');
        let (Some(prefix), Some(kind), Some(id)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let Ok(kind) = kind.parse::<RingKind>() else {
            continue;
        };
        if id.is_empty()
            || id.len() > MAX_TEXT
            || said.entries.len() + said.forgotten.len() >= MAX_ENTRIES
        {
            said.bad += 1;
            continue;
        }
        let id = InstanceId::from(id);
        match prefix {
            "entry" => match published(values, kind, &id, value) {
                Some(published) => {
                    said.entries.insert((kind, id), published);
                }
                None => said.bad += 1,
            },
            "forget" => match value.parse() {
                Ok(ms) => {
                    said.forgotten.insert((kind, id), ms);
                }
                Err(_) => said.bad += 1,
            },
            _ => {}
        }
    }
    said
}

fn published(values: &KeyValues, kind: RingKind, id: &InstanceId, body: &str) -> Option<Published> {
    let body: Body = serde_json::from_str(body).ok()?;
    if body.addr.len() > MAX_TEXT || body.zone.len() > MAX_TEXT {
        return None;
    }
    Some(Published {
        body,
        tokens: Tokens::decode(values.get(&key("tokens", kind, id))?).ok()?,
        beat_ms: values.get(&key("beat", kind, id))?.parse().ok()?,
    })
}
