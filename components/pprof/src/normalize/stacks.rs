//! The distinct stacks of a profile.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use hashbrown::HashTable;

use super::symbols::Symbols;
use crate::normalized::Stack;
use crate::reuse::{reset, reset_table};

/// Distinct stacks and their frames; reused.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    stacks: Vec<Stack>,
    frames: Vec<u32>,
    by_hash: HashTable<u32>,
}

/// A stack that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) stack: u32,
    pub(crate) is_new: bool,
}

impl Stacks {
    pub(crate) fn clear(&mut self) {
        reset(&mut self.stacks);
        reset(&mut self.frames);
        reset_table(&mut self.by_hash);
    }

    /// Where the frames of a stack that is not a stack yet are put; [`Stacks::intern`] makes one of them.
    pub(crate) const fn frames_mut(&mut self) -> &mut Vec<u32> {
        &mut self.frames
    }

    /// Makes the frames from `first` on a stack, or finds the one with the same content and forgets them.
    /// `None` if one of the frames refers to what does not exist.
    pub(crate) fn intern(&mut self, first: usize, symbols: &mut Symbols<'_>) -> Option<Found> {
        let frames = self.frames.get(first..).unwrap_or_default();
        let Some(hash) = symbols.stack_hash(frames) else {
            self.frames.truncate(first);
            return None;
        };
        let depth = frames.len() as u32;
        let leaf = frames.first().copied();
        let Self {
            stacks,
            frames,
            by_hash,
        } = self;
        // 64 bits can collide: depth and leaf must be the same as well.
        let same = |&other: &u32| {
            stacks.get(other as usize).is_some_and(|stack| {
                stack.hash == hash
                    && stack.depth == depth
                    && same_leaf(leaf, frames.get(stack.first as usize).copied(), symbols)
            })
        };
        if let Some(&stack) = by_hash.find(hash, same) {
            frames.truncate(first);
            return Some(Found {
                stack,
                is_new: false,
            });
        }
        let stack = stacks.len() as u32;
        stacks.push(Stack {
            hash,
            first: first as u32,
            depth,
        });
        by_hash.insert_unique(hash, stack, |&other| {
            stacks.get(other as usize).map_or(0, |stack| stack.hash)
        });
        Some(Found {
            stack,
            is_new: true,
        })
    }

    /// All stacks.
    pub(crate) fn stacks(&self) -> &[Stack] {
        &self.stacks
    }

    /// Frames of all stacks.
    pub(crate) fn frames(&self) -> &[u32] {
        &self.frames
    }
}

fn same_leaf(one: Option<u32>, other: Option<u32>, symbols: &Symbols<'_>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            one == other || symbols.location_hash(one) == symbols.location_hash(other)
        }
        // No depth, no leaf: an empty stack may start where another one does.
        (None, _) => true,
        (Some(_), None) => false,
    }
}
