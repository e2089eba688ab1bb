//! What all processes say, and the rings that follow from it.
//!
//! Heartbeats are kept by the time at which they came, by our clock; only the first one of an entry counts by the
//! sender's. So clocks need not agree, and an entry that was dead when we came stays so.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::entry::{Published, Said};
use crate::{Heartbeat, Instance, InstanceId, Ring, RingKind, RingSettings};

/// A process and its run: a restarted one is another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) run: u64,
}

impl Process {
    /// The only one, where nobody gossips.
    pub(crate) fn alone() -> Self {
        Self {
            name: String::new(),
            run: 0,
        }
    }
}

/// What an entry was and became.
#[derive(Debug)]
struct Entry {
    published: Published,
    instance: Arc<Instance>,
}

#[derive(Debug, Default)]
struct OfProcess {
    entries: BTreeMap<(RingKind, InstanceId), Entry>,
    forgotten: BTreeMap<(RingKind, InstanceId), i64>,
}

/// All entries, and the rings of them.
#[derive(Debug)]
pub(crate) struct Table {
    processes: BTreeMap<Process, OfProcess>,
    /// In the order of [`RingKind::ALL`].
    rings: Vec<watch::Sender<Ring>>,
}

impl Table {
    pub(crate) fn new(settings: impl Fn(RingKind) -> RingSettings) -> Self {
        let rings =
            RingKind::ALL.map(|kind| watch::Sender::new(Ring::new(Arc::new(settings(kind)), [])));
        Self {
            processes: BTreeMap::new(),
            rings: rings.into(),
        }
    }

    pub(crate) fn subscribe(&self, kind: RingKind) -> watch::Receiver<Ring> {
        self.rings[kind.place()].subscribe()
    }

    pub(crate) fn ring(&self, kind: RingKind) -> Ring {
        self.rings[kind.place()].borrow().clone()
    }

    /// Takes what `process` says now instead of what it said before.
    pub(crate) fn update(&mut self, process: Process, said: Said, now_ms: i64) {
        let of_process = self.processes.entry(process).or_default();
        let mut before = std::mem::take(&mut of_process.entries);
        for (key, published) in said.entries {
            let entry = match before.remove(&key) {
                Some(known) => renew(known, published, &key.1, now_ms),
                None => {
                    let heartbeat = Heartbeat::at_ms(published.beat_ms.min(now_ms));
                    let instance = instance(&key.1, &published, heartbeat);
                    Entry {
                        published,
                        instance,
                    }
                }
            };
            of_process.entries.insert(key, entry);
        }
        of_process.forgotten = said.forgotten;
    }

    /// Drops processes that gossip no longer knows.
    pub(crate) fn retain(&mut self, known: impl Fn(&Process) -> bool) {
        self.processes.retain(|process, _| known(process));
    }

    /// Makes new rings of those that changed; a heartbeat alone changes none.
    pub(crate) fn publish(&self) {
        for kind in RingKind::ALL {
            let visible = self.visible(kind);
            self.rings[kind.place()].send_if_modified(|known| match known.renewed(visible) {
                Some(ring) => {
                    *known = ring;
                    true
                }
                None => false,
            });
        }
    }

    fn visible(&self, kind: RingKind) -> Vec<Arc<Instance>> {
        let mut visible = Vec::new();
        for of_process in self.processes.values() {
            for (key, entry) in &of_process.entries {
                if key.0 == kind && self.forgotten(key) < Some(entry.published.beat_ms) {
                    visible.push(Arc::clone(&entry.instance));
                }
            }
        }
        visible
    }

    /// Up to which heartbeat an entry is forgotten.
    fn forgotten(&self, key: &(RingKind, InstanceId)) -> Option<i64> {
        let all = self.processes.values();
        all.filter_map(|process| process.forgotten.get(key).copied())
            .max()
    }

    /// The last heartbeat that an entry published, by its own clock.
    pub(crate) fn last_beat(&self, kind: RingKind, id: &InstanceId) -> Option<i64> {
        let key = (kind, id.clone());
        let all = self.processes.values();
        all.filter_map(|process| Some(process.entries.get(&key)?.published.beat_ms))
            .max()
    }

    /// What `process` forgot and nobody has any more.
    pub(crate) fn idle_forgets(&self, process: &Process) -> Vec<(RingKind, InstanceId)> {
        let Some(of_process) = self.processes.get(process) else {
            return Vec::new();
        };
        let known = |key: &&(RingKind, InstanceId)| {
            self.processes
                .values()
                .any(|other| other.entries.contains_key(*key))
        };
        let forgotten = of_process.forgotten.keys();
        forgotten.filter(|key| !known(key)).cloned().collect()
    }
}

fn renew(known: Entry, published: Published, id: &InstanceId, now_ms: i64) -> Entry {
    let heartbeat = known.instance.heartbeat.clone();
    if published.beat_ms > known.published.beat_ms {
        heartbeat.beat(now_ms);
    }
    let same = published.body == known.published.body && published.tokens == known.published.tokens;
    let instance = match same {
        true => known.instance,
        false => instance(id, &published, heartbeat),
    };
    Entry {
        published,
        instance,
    }
}

fn instance(id: &InstanceId, published: &Published, heartbeat: Heartbeat) -> Arc<Instance> {
    let body = &published.body;
    Arc::new(Instance {
        id: id.clone(),
        addr: body.addr.clone(),
        zone: body.zone.as_str().into(),
        state: body.state,
        tokens: published.tokens.clone(),
        registered_ms: body.registered_ms,
        fresh: body.fresh,
        read_only: body.read_only,
        read_only_changed_ms: body.read_only_changed_ms,
        heartbeat,
    })
}

#[cfg(test)]
mod tests;
