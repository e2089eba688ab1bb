//! Stacks that Go's profilers have cut: what is missing on the root side is taken from other stacks.
//!
//! Heap profiles keep 32 frames of a stack, CPU profiles 64; the rest is lost, and one call path appears under as many
//! roots as there are depths. But a profile has many stacks of the same code, cut at different places. The rule is
//! upstream's, so that both give the same trees; it was found by comparing profiles before and after:
//!
//! - Stacks of at least [`TAIL_FRAMES`] frames take part, whatever their depth. Those with equal *tails*, the frames at
//!   the root end, are a group.
//! - A group whose last [`WINDOW_FRAMES`] frames lie inside of another group's tail goes on as that one does: 1 to 8
//!   frames farther, and from there as that one goes on itself. Of several such groups the one that leads farthest is
//!   taken, then the one whose location numbers come first, comparing their bytes, least significant first.
//! - The frames are the last ones of the first stack of the group where that ends, in the order that Go's sort leaves.
//!   If it has not that many, there is no link.
//! - This is done again with the longer stacks until nothing changes.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use hashbrown::HashTable;

use super::go_order;
use super::ids::UNKNOWN;
use super::samples::Pending;
use super::symbols::Symbols;
use crate::hash::Seed;
use crate::reuse::{reset, reset_table};

/// Frames at the root end of a stack that are looked at.
const TAIL_FRAMES: usize = 24;
/// Frames that two stacks must have in common.
const WINDOW_FRAMES: usize = 16;
/// Bound of the rounds. Real profiles need two.
const ROUNDS: usize = 4;

/// Bytes of a location's number.
const NUMBER: usize = size_of::<u32>();
const TAIL: usize = TAIL_FRAMES * NUMBER;
const WINDOW: usize = WINDOW_FRAMES * NUMBER;

/// Numbers of locations, each least significant byte first, so that comparing bytes gives upstream's order.
type Tail = [u8; TAIL];

/// Where the profiler cuts the stacks of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutAt {
    /// 32 frames, or 33.
    Heap,
    /// 64 frames.
    Cpu,
}

impl CutAt {
    /// By the names of the sample types.
    pub(crate) fn of<'a>(kinds: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        kinds.into_iter().find_map(|kind| match kind {
            "cpu" => Some(Self::Cpu),
            "alloc_objects" | "alloc_space" | "inuse_objects" | "inuse_space" => Some(Self::Heap),
            _ => None,
        })
    }

    const fn has_cut(self, depth: u32) -> bool {
        match self {
            Self::Heap => depth == 32 || depth == 33,
            Self::Cpu => depth == 64,
        }
    }
}

/// What bounds the repair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RepairLimits {
    /// Stacks that a group must have for others to go on like it.
    pub(crate) members: u32,
    /// Depth that no stack gets above; 0 is no limit.
    pub(crate) depth: usize,
}

/// Scratch; reused.
#[derive(Debug, Default)]
pub(crate) struct GoStacks {
    /// By location: its number; 0 for those that do not exist or that no stack has.
    numbers: Vec<u32>,
    by_content: HashTable<(u64, u32)>,
    stacks: Vec<Long>,
    /// By pending stack: its position in `stacks`, or [`UNKNOWN`].
    positions: Vec<u32>,
    /// Pending stacks in upstream's order.
    order: Vec<u32>,
    groups: Vec<Group>,
    /// For each window the group to go on like.
    windows: HashTable<Next>,
    path: Vec<u32>,
}

/// A stack that takes part.
#[derive(Clone, Copy, Debug)]
struct Long {
    pending: u32,
    group: u32,
    depth: u32,
    tail: Tail,
}

/// Stacks with equal tails.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// The first of the stacks.
    stack: u32,
    members: u32,
    next: Option<Next>,
    state: State,
    /// The group at the end of the links.
    end: u32,
    /// Frames from here to there.
    reach: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    OnPath,
    Done,
}

/// A window of a group's tail.
#[derive(Clone, Copy, Debug)]
struct Next {
    group: u32,
    /// Position of the byte behind the window.
    from: u8,
}

impl GoStacks {
    /// Lengthens stacks that were cut, if there is one.
    pub(crate) fn repair(
        &mut self,
        cut: CutAt,
        limits: RepairLimits,
        pending: &mut [Pending],
        frames: &mut Vec<u32>,
        symbols: &mut Symbols<'_>,
    ) {
        if !pending.iter().any(|stack| cut.has_cut(stack.depth)) {
            return;
        }
        self.number_locations(frames, symbols);
        self.collect(pending, frames);
        // Nobody makes a large profile of a small one.
        let mut budget = frames.len();
        for _ in 0..ROUNDS {
            self.sort();
            self.group();
            self.index_windows(limits.members, symbols.seed());
            self.link(symbols.seed());
            self.follow();
            if !self.lengthen(limits.depth, &mut budget, pending, frames) {
                break;
            }
        }
    }

    /// Numbers the locations that stacks have, from 1; those of equal content get the same number.
    fn number_locations(&mut self, frames: &[u32], symbols: &mut Symbols<'_>) {
        let Self {
            numbers,
            by_content,
            ..
        } = self;
        reset(numbers);
        reset_table(by_content);
        numbers.resize(symbols.location_count(), 0);
        for &frame in frames {
            if let Some(number) = numbers.get_mut(frame as usize) {
                *number = 1;
            }
        }
        let used = (0..).zip(numbers).filter(|(_, number)| **number > 0);
        for (location, number) in used {
            let Some(hash) = symbols.resolved(location) else {
                *number = 0;
                continue;
            };
            let known = by_content.find(hash, |&(other, _)| other == hash);
            *number = match known {
                Some(&(_, known)) => known,
                None => {
                    let next = (by_content.len() as u32).wrapping_add(1);
                    by_content.insert_unique(hash, (hash, next), |&(hash, _)| hash);
                    next
                }
            };
        }
    }

    /// Finds the stacks that are deep enough and whole.
    fn collect(&mut self, pending: &[Pending], frames: &[u32]) {
        reset(&mut self.stacks);
        reset(&mut self.order);
        reset(&mut self.positions);
        self.positions.resize(pending.len(), UNKNOWN);
        for (position, stack) in (0..).zip(pending) {
            self.order.push(position);
            let frames = frames.get(stack.range()).unwrap_or_default();
            let exists = |&frame: &u32| self.numbers.get(frame as usize).is_some_and(|&n| n > 0);
            if !frames.iter().all(exists) {
                continue;
            }
            if let Some(tail) = tail_of(frames, &self.numbers) {
                if let Some(slot) = self.positions.get_mut(position as usize) {
                    *slot = self.stacks.len() as u32;
                }
                self.stacks.push(Long {
                    pending: position,
                    group: 0,
                    depth: stack.depth,
                    tail,
                });
            }
        }
    }

    /// Sorts all stacks by their tails, those that have none first.
    fn sort(&mut self) {
        let tail = |pending: u32| {
            let position = self.positions.get(pending as usize)?;
            Some(&self.stacks.get(*position as usize)?.tail)
        };
        go_order::sort(&mut self.order, |&one, &other| tail(one) < tail(other));
    }

    /// Makes the groups, in order.
    fn group(&mut self) {
        reset(&mut self.groups);
        let mut last: Option<Tail> = None;
        for &pending in &self.order {
            let position = self.positions.get(pending as usize);
            let position = position.copied().unwrap_or(UNKNOWN);
            let Some(stack) = self.stacks.get_mut(position as usize) else {
                continue;
            };
            if last != Some(stack.tail) {
                last = Some(stack.tail);
                self.groups.push(Group {
                    stack: position,
                    members: 0,
                    next: None,
                    state: State::New,
                    end: self.groups.len() as u32,
                    reach: 0,
                });
            }
            stack.group = (self.groups.len() as u32).wrapping_sub(1);
            if let Some(group) = self.groups.last_mut() {
                group.members = group.members.saturating_add(1);
            }
        }
    }

    fn tail(&self, group: u32) -> Option<&Tail> {
        let group = self.groups.get(group as usize)?;
        Some(&self.stacks.get(group.stack as usize)?.tail)
    }

    fn window(&self, next: &Next) -> &[u8] {
        let end = usize::from(next.from);
        self.tail(next.group)
            .and_then(|tail| tail.get(end.saturating_sub(WINDOW)..end))
            .unwrap_or_default()
    }

    /// Notes for each window of a group that is large enough where it is best to go on.
    fn index_windows(&mut self, members: u32, seed: Seed) {
        let mut windows = std::mem::take(&mut self.windows);
        reset_table(&mut windows);
        for (group, of) in (0..).zip(&self.groups) {
            if of.members < members {
                continue;
            }
            let Some(tail) = self.tail(group) else {
                continue;
            };
            // Not the one at the end: nothing is behind it.
            let ends = (WINDOW..TAIL).step_by(NUMBER);
            for (window, end) in tail.windows(WINDOW).step_by(NUMBER).zip(ends) {
                let next = Next {
                    group,
                    from: end as u8,
                };
                let hash = seed.string(window);
                let Some(best) = windows.find_mut(hash, |other| self.window(other) == window)
                else {
                    windows.insert_unique(hash, next, |next| seed.string(self.window(next)));
                    continue;
                };
                // Groups come in order: of equally good ones the first stays.
                if next.from < best.from {
                    *best = next;
                }
            }
        }
        self.windows = windows;
    }

    /// Finds for each group how it goes on.
    fn link(&mut self, seed: Seed) {
        // Upstream leaves out the last group, and so do we: recorded answers show it.
        for group in 0..(self.groups.len() as u32).saturating_sub(1) {
            let next = self.best(group, seed);
            if let Some(group) = self.groups.get_mut(group as usize) {
                group.next = next;
            }
        }
    }

    fn best(&self, group: u32, seed: Seed) -> Option<Next> {
        let end = self.tail(group)?.last_chunk::<WINDOW>()?;
        let same = |other: &Next| self.window(other) == end;
        let next = self.windows.find(seed.string(end), same)?;
        // A recursion would go on as itself for ever.
        if next.group == group {
            None
        } else {
            Some(*next)
        }
    }

    /// Follows the links of each group to their end. Those that close a circle or lead too far go.
    fn follow(&mut self) {
        for start in 0..self.groups.len() as u32 {
            let mut at = start;
            while let Some(group) = self.groups.get_mut(at as usize) {
                if group.state != State::New {
                    break;
                }
                group.state = State::OnPath;
                self.path.push(at);
                let Some(next) = group.next else { break };
                at = next.group;
            }
            while let Some(at) = self.path.pop() {
                let end = self.end(at);
                if let Some(group) = self.groups.get_mut(at as usize) {
                    group.state = State::Done;
                    (group.end, group.reach) = end.unwrap_or((at, 0));
                }
            }
        }
    }

    /// The end of a group's links and how far away it is.
    fn end(&self, group: u32) -> Option<(u32, usize)> {
        let next = self.groups.get(group as usize)?.next?;
        let other = self.groups.get(next.group as usize)?;
        if other.state != State::Done {
            return None;
        }
        let behind = TAIL.saturating_sub(usize::from(next.from)) / NUMBER;
        let reach = other.reach.saturating_add(behind);
        let end = self.groups.get(other.end as usize)?;
        let stack = self.stacks.get(end.stack as usize)?;
        if reach < stack.depth as usize {
            Some((other.end, reach))
        } else {
            None
        }
    }

    /// Writes longer stacks behind all frames; false if there is none.
    fn lengthen(
        &mut self,
        max_depth: usize,
        budget: &mut usize,
        pending: &mut [Pending],
        frames: &mut Vec<u32>,
    ) -> bool {
        let mut changed = false;
        for position in 0..self.stacks.len() {
            let Some((own, donor, reach)) = self.donor(position) else {
                continue;
            };
            let Some(donor) = pending.get(donor).map(Pending::range) else {
                continue;
            };
            let Some(stack) = pending.get_mut(own) else {
                continue;
            };
            let own = stack.range();
            let more = donor.end.saturating_sub(reach)..donor.end;
            let depth = own.len().saturating_add(more.len());
            let first = frames.len();
            let fits = first.saturating_add(depth) <= u32::MAX as usize && more.len() <= *budget;
            if !fits || max_depth > 0 && depth > max_depth {
                continue;
            }
            *budget = budget.saturating_sub(more.len());
            frames.extend_from_within(own);
            frames.extend_from_within(more);
            (stack.first_frame, stack.depth) = (first as u32, depth as u32);
            let tail = tail_of(frames.get(first..).unwrap_or_default(), &self.numbers);
            if let (Some(stack), Some(tail)) = (self.stacks.get_mut(position), tail) {
                (stack.depth, stack.tail) = (depth as u32, tail);
            }
            changed = true;
        }
        changed
    }

    /// For a stack that gets longer: it, the stack that gives the frames, and how many.
    fn donor(&self, position: usize) -> Option<(usize, usize, usize)> {
        let stack = self.stacks.get(position)?;
        let group = self.groups.get(stack.group as usize)?;
        let end = self.groups.get(group.end as usize)?;
        let donor = self.stacks.get(end.stack as usize)?;
        if group.reach > 0 {
            Some((stack.pending as usize, donor.pending as usize, group.reach))
        } else {
            None
        }
    }
}

/// The numbers of the last frames, if there are enough frames and all of these exist.
fn tail_of(frames: &[u32], numbers: &[u32]) -> Option<Tail> {
    let frames = frames.last_chunk::<TAIL_FRAMES>()?;
    let mut tail = [0; TAIL];
    for (&frame, bytes) in frames.iter().zip(tail.as_chunks_mut::<NUMBER>().0) {
        let number = *numbers.get(frame as usize)?;
        if number == 0 {
            return None;
        }
        *bytes = number.to_le_bytes();
    }
    Some(tail)
}

#[cfg(test)]
mod tests;
