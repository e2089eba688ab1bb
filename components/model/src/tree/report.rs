//! Trees for people: in order, by function, as collapsed stacks.

use std::cmp::Reverse;
use std::fmt;

use super::layout::Children;
use super::{NodeRef, Tree};

/// In what order [`Tree::walk`] visits siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By name, bytewise.
    Name,
    /// The largest total first, then by name.
    Heaviest,
}

/// What a function has in all its nodes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// Its name.
    pub name: &'a str,
    /// Value of the stacks that end in it.
    pub self_value: i64,
    /// Value of the stacks that it is in, each counted once however often it calls itself.
    pub total: i64,
}

/// The nodes of a tree in pre-order.
#[derive(Debug)]
pub struct Walk<'a> {
    tree: &'a Tree,
    totals: Vec<i64>,
    children: Children,
    open: Vec<(u32, usize)>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = NodeRef<'a>;

    fn next(&mut self) -> Option<NodeRef<'a>> {
        let (node, depth) = self.open.pop()?;
        self.open.extend(
            self.children
                .of(node)
                .iter()
                .rev()
                .map(|&child| (child, depth + 1)),
        );
        let index = node as usize;
        Some(NodeRef {
            index,
            parent: self.tree.parents[index] as usize,
            depth,
            name: self.tree.name(index),
            self_value: self.tree.selves[index],
            total: self.totals[index],
        })
    }
}

impl Tree {
    /// All nodes, each before the nodes below it; the root first.
    #[must_use]
    pub fn walk(&self, order: Order) -> Walk<'_> {
        let totals = self.totals();
        let mut children = Children::by_name(&self.names, &self.parents, &self.name_ids);
        match order {
            Order::Name => {}
            Order::Heaviest => children.sort_by_key(|node| Reverse(totals[node as usize])),
        }
        Walk {
            tree: self,
            totals,
            children,
            open: vec![(0, 0)],
        }
    }

    /// All functions, the one with the largest own value first, then by total and name.
    #[must_use]
    pub fn functions(&self) -> Vec<Function<'_>> {
        let mut sums = vec![(0, 0); self.names.len()];
        let mut calls = vec![0u32; self.names.len()];
        let mut path: Vec<usize> = Vec::new();
        for node in self.walk(Order::Name).skip(1) {
            for returned in path.drain(node.depth - 1..) {
                calls[returned] -= 1;
            }
            let id = self.name_ids[node.index] as usize;
            sums[id].0 += node.self_value;
            if calls[id] == 0 {
                sums[id].1 += node.total;
            }
            calls[id] += 1;
            path.push(id);
        }
        let mut functions: Vec<_> = (0..)
            .zip(sums)
            .filter(|(_, (_, total))| *total > 0)
            .map(|(id, (self_value, total))| Function {
                name: self.names.get(id),
                self_value,
                total,
            })
            .collect();
        functions.sort_unstable_by_key(|f| (Reverse((f.self_value, f.total)), f.name));
        functions
    }

    /// One line `main;work 12` for each stack that has a value of its own, by name.
    #[must_use]
    pub fn collapsed(&self) -> String {
        let mut text = String::new();
        self.write_collapsed(&mut text)
            .expect("a String takes all text");
        text
    }

    /// Writes [`Self::collapsed`] line by line. A `;` in a name becomes `:`, a line break a space.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_collapsed(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let mut stack = String::new();
        let mut ends = vec![0];
        for node in self.walk(Order::Name).skip(1) {
            ends.truncate(node.depth);
            stack.truncate(ends[node.depth - 1]);
            if node.depth > 1 {
                stack.push(';');
            }
            stack.extend(node.name.chars().map(|c| match c {
                ';' => ':',
                '\n' | '\r' => ' ',
                other => other,
            }));
            ends.push(stack.len());
            if node.self_value > 0 {
                writeln!(out, "{stack} {}", node.self_value)?;
            }
        }
        Ok(())
    }
}
