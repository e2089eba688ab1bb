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

impl Stacks {
    pub(crate) fn clear(&mut self) {
        reset(&mut self.stacks);
        reset(&mut self.frames);
        reset_table(&mut self.by_hash);
    }

    /// Where frames are put before they become a stack.
    pub(crate) const fn frames_mut(&mut self) -> &mut Vec<u32> {
        &mut self.frames
    }

    /// Frames that may not be a stack yet.
    #[inline]
    pub(crate) fn frames_at(&self, first: u32, depth: u32) -> &[u32] {
        let end = first.saturating_add(depth) as usize;
        self.frames.get(first as usize..end).unwrap_or_default()
    }

    /// Adds a stack of which all frames exist, or finds the one with the same content.
    #[inline]
    pub(crate) fn intern(&mut self, stack: Stack, symbols: &Symbols<'_>) -> u32 {
        let Self {
            stacks,
            frames,
            by_hash,
        } = self;
        let leaf = |stack: &Stack| {
            let leaf = if stack.depth == 0 {
                None
            } else {
                frames.get(stack.first as usize)
            };
            leaf.map(|&leaf| symbols.location_hash(leaf))
        };
        // 64 bits can collide: depth and leaf must be the same as well.
        let same = |&other: &u32| {
            stacks.get(other as usize).is_some_and(|other| {
                other.hash == stack.hash
                    && other.depth == stack.depth
                    && leaf(other) == leaf(&stack)
            })
        };
        if let Some(&known) = by_hash.find(stack.hash, same) {
            return known;
        }
        let index = stacks.len() as u32;
        stacks.push(stack);
        let hash = |&other: &u32| stacks.get(other as usize).map_or(0, |stack| stack.hash);
        by_hash.insert_unique(stack.hash, index, hash);
        index
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
