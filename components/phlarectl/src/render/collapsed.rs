//! Collapsed stacks: `main;work 12`, one a line.

use phlare_model::Tree;

/// All stacks that have a value of their own.
pub(crate) fn render(tree: &Tree) -> String {
    tree.collapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_lines() {
        let mut tree = Tree::new();
        tree.insert(["main", "b"], 2);
        tree.insert(["main"], 1);
        assert_eq!(render(&tree).trim_end(), "main 1\nmain;b 2");
    }
}
