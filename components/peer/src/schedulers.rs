//! Which query-schedulers a fleet uses: query-frontends and queriers have to choose the same ones.

use std::sync::Arc;

use phlare_ring::{Instance, Ring, State};

/// Those that take queries, in the order of their names; `most` of them, 0: all.
#[must_use]
pub fn used_schedulers(ring: &Ring, most: usize, now_ms: i64) -> Vec<Arc<Instance>> {
    let mut used = alive(ring, now_ms, State::Active);
    if most > 0 {
        used.truncate(most);
    }
    used
}

/// Those that take no more queries, and have some left to give.
#[must_use]
pub fn leaving_schedulers(ring: &Ring, now_ms: i64) -> Vec<Arc<Instance>> {
    alive(ring, now_ms, State::Leaving)
}

fn alive(ring: &Ring, now_ms: i64, state: State) -> Vec<Arc<Instance>> {
    let alive = |one: &&Arc<Instance>| one.state == state && ring.is_alive(one, now_ms);
    let mut alive: Vec<_> = ring.instances().iter().filter(alive).cloned().collect();
    alive.sort_by(|a, b| a.id.cmp(&b.id));
    alive
}
