//! The call tree.

use std::fmt::Write as _;

use phlare_model::tree::Order;

use super::{Shown, Unit, percent};
use crate::ui;

/// One line for each node of at least `min_percent` of the total, the heaviest first.
#[expect(
    clippy::cast_precision_loss,
    reason = "shares are shown with one digit"
)]
pub(crate) fn render(shown: &Shown<'_>, min_percent: f64) -> String {
    let unit = Unit::of_profile_type(shown.profile_type);
    let all = shown.tree.total() as f64;
    let mut text = format!("{}\n\n", shown.title());
    if shown.tree.is_empty() {
        text.push_str("no profile matches\n");
        return text;
    }
    let smallest = all * min_percent / 100.0;
    let (mut hidden, mut lines) = (0_usize, Vec::new());
    for node in shown.tree.walk(Order::Heaviest) {
        if node.total as f64 >= smallest {
            lines.push(node);
        } else {
            hidden += 1;
        }
    }
    let branches = branches(&lines.iter().map(|node| node.depth).collect::<Vec<_>>());
    for (node, branch) in lines.iter().zip(branches) {
        let name = if node.depth == 0 { "total" } else { node.name };
        let own = if node.self_value > 0 {
            format!(
                "  {}(self {}){:#}",
                ui::DIM,
                unit.show_exact(node.self_value),
                ui::DIM
            )
        } else {
            String::new()
        };
        let total = unit.show_exact(node.total);
        let share = percent(node.total as f64, all);
        let _ = writeln!(text, "{total:>12} {share:>6}  {branch}{name}{own}");
    }
    if hidden > 0 {
        let dim = ui::DIM;
        let _ = writeln!(
            text,
            "{dim}… {hidden} nodes below {min_percent}%; --min-percent 0 shows all{dim:#}"
        );
    }
    text
}

/// The lines that lead to each node of a pre-order, given the depths.
fn branches(depths: &[usize]) -> Vec<String> {
    // From the end: whether a sibling follows at each depth.
    let mut follows: Vec<bool> = Vec::new();
    let mut out: Vec<String> = depths
        .iter()
        .rev()
        .map(|&depth| {
            follows.resize(depth + 1, false);
            let mut line = String::new();
            for level in 1..=depth {
                let more = follows.get(level).copied().unwrap_or(false);
                line.push_str(match (level == depth, more) {
                    (true, true) => "├─ ",
                    (true, false) => "└─ ",
                    (false, true) => "│  ",
                    (false, false) => "   ",
                });
            }
            if let Some(here) = follows.get_mut(depth) {
                *here = true;
            }
            line
        })
        .collect();
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use phlare_model::Tree;

    use super::*;

    #[test]
    fn branches_lead_to_siblings_that_follow() {
        assert_eq!(
            branches(&[0, 1, 2, 2, 1, 2]),
            ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ ", "   └─ "]
        );
    }

    #[test]
    fn the_heaviest_comes_first_and_light_branches_are_counted() {
        let mut tree = Tree::new();
        tree.insert(["main", "light"], 1);
        tree.insert(["main", "heavy", "leaf"], 200);
        tree.insert(["main"], 10);
        let shown = Shown {
            tree: &tree,
            profile_type: "a:b:count:c:count",
            query: "{}",
            range_ms: (0, 1),
        };
        let text = anstream::adapter::strip_str(&render(&shown, 1.0)).to_string();
        let lines: Vec<&str> = text.lines().skip(2).map(str::trim_start).collect();
        assert_eq!(
            lines,
            [
                "211 100.0%  total",
                "211 100.0%  └─ main  (self 10)",
                "200  94.8%     └─ heavy",
                "200  94.8%        └─ leaf  (self 200)",
                "… 1 nodes below 1%; --min-percent 0 shows all",
            ]
        );
    }
}
