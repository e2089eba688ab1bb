//! Who is next: a queue for each tenant, and turns among tenants. Pure: knows no time, task or network.

use std::collections::{BTreeSet, HashMap, VecDeque};

use phlare_model::TenantId;

/// Items of tenants, taken one by one: next is the tenant of whom fewest are being worked on, among equals the one that
/// waits longest for its turn; of a tenant, the item that came first.
///
/// All operations are O(log tenants), [`Queue::remove`] O(items of the tenant).
#[derive(Debug)]
pub(crate) struct Queue<T> {
    tenants: HashMap<TenantId, Tenant<T>>,
    /// Tenants with items, in the order in which they are next.
    order: BTreeSet<(usize, u64, TenantId)>,
    /// The next turn.
    turn: u64,
    waiting: usize,
    running: usize,
}

#[derive(Debug)]
struct Tenant<T> {
    items: VecDeque<T>,
    /// Items taken and not done.
    running: usize,
    /// When the last one was taken, or when the tenant came.
    turn: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            tenants: HashMap::new(),
            order: BTreeSet::new(),
            turn: 0,
            waiting: 0,
            running: 0,
        }
    }
}

impl<T: PartialEq> Queue<T> {
    /// Puts an item at the end of the tenant's queue.
    ///
    /// # Errors
    /// `limit` of the tenant's wait already: how many do.
    pub(crate) fn push(&mut self, tenant: &TenantId, item: T, limit: usize) -> Result<(), usize> {
        let waiting = self.waiting_of(tenant);
        if waiting >= limit {
            return Err(waiting);
        }
        self.change(tenant, |tenant| tenant.items.push_back(item));
        self.waiting += 1;
        Ok(())
    }

    /// Takes the next item, of a tenant that `allowed` names; it counts as being worked on until [`Queue::done`].
    pub(crate) fn take(&mut self, allowed: impl Fn(&TenantId) -> bool) -> Option<(TenantId, T)> {
        let mut order = self.order.iter();
        let (_, _, tenant) = order.find(|(_, _, tenant)| allowed(tenant))?;
        let tenant = tenant.clone();
        let turn = self.next_turn();
        let mut taken = None;
        self.change(&tenant, |tenant| {
            taken = tenant.items.pop_front();
            tenant.running += 1;
            tenant.turn = turn;
        });
        self.waiting -= 1;
        self.running += 1;
        taken.map(|item| (tenant, item))
    }

    /// An item that was taken is not worked on any more.
    pub(crate) fn done(&mut self, tenant: &TenantId) {
        self.change(tenant, |tenant| {
            tenant.running = tenant.running.saturating_sub(1);
        });
        self.running = self.running.saturating_sub(1);
    }

    /// Puts an item back that was taken: it is the tenant's next one.
    pub(crate) fn give_back(&mut self, tenant: &TenantId, item: T) {
        self.change(tenant, |tenant| {
            tenant.running = tenant.running.saturating_sub(1);
            tenant.items.push_front(item);
        });
        self.running = self.running.saturating_sub(1);
        self.waiting += 1;
    }

    /// Removes an item that waits; whether it did.
    pub(crate) fn remove(&mut self, tenant: &TenantId, item: &T) -> bool {
        let mut found = false;
        self.change(tenant, |tenant| {
            let before = tenant.items.len();
            tenant.items.retain(|other| other != item);
            found = tenant.items.len() < before;
        });
        self.waiting -= usize::from(found);
        found
    }

    /// How many items of a tenant wait.
    pub(crate) fn waiting_of(&self, tenant: &TenantId) -> usize {
        self.tenants.get(tenant).map_or(0, |t| t.items.len())
    }

    /// How many items wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many items are being worked on.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// Changes a tenant and its place among the others; one of whom nothing is left is forgotten.
    fn change(&mut self, id: &TenantId, change: impl FnOnce(&mut Tenant<T>)) {
        if !self.tenants.contains_key(id) {
            let turn = self.next_turn();
            let tenant = Tenant {
                items: VecDeque::new(),
                running: 0,
                turn,
            };
            self.tenants.insert(id.clone(), tenant);
        }
        let Some(tenant) = self.tenants.get_mut(id) else {
            return;
        };
        self.order
            .remove(&(tenant.running, tenant.turn, id.clone()));
        change(tenant);
        if !tenant.items.is_empty() {
            self.order.insert((tenant.running, tenant.turn, id.clone()));
        } else if tenant.running == 0 {
            self.tenants.remove(id);
        }
    }
}

#[cfg(test)]
mod tests;
