//! Call graphs as Graphviz text, as `pprof -dot` draws them: what `/pyroscope/render?format=dot` answers.
//!
//! A node is a line of a function; its label says what is spent in it and, if that differs, below it. Nodes and edges
//! are chosen and ordered as pprof does it, so the same profile gives the same picture in both.

mod frames;
mod graph;
mod label;

use std::fmt::Write;

use phlare_proto::google::v1::Profile;

use frames::Frames;
use graph::{Edge, Graph};
use label::{Unit, escape, percentage};

/// Draws the first sample type of a profile with at most `max_nodes` nodes (0 and below: all). Empty if the profile has
/// no samples. Never fails: an id that leads nowhere is a frame without a name.
#[must_use]
pub fn render(profile: &Profile, max_nodes: i64) -> String {
    if profile.sample.is_empty() {
        return String::new();
    }
    let frames = Frames::of(profile);
    let whole = Graph::build(&frames, profile, None);
    let all_nodes = whole.order.len();
    let mut graph = match usize::try_from(max_nodes) {
        Ok(max @ 1..) if max < all_nodes => {
            let mut kept = vec![false; frames.len()];
            for &node in &whole.order[..max] {
                kept[node as usize] = true;
            }
            Graph::build(&frames, profile, Some(&kept))
        }
        _ => whole,
    };
    graph.remove_redundant_edges(&frames);
    let drawing = Drawing {
        frames: &frames,
        unit: Unit::of(profile),
        total: graph::total(profile),
        graph: &graph,
    };
    drawing.text(profile, all_nodes)
}

struct Drawing<'a> {
    frames: &'a Frames<'a>,
    graph: &'a Graph,
    unit: Unit,
    total: i64,
}

impl Drawing<'_> {
    fn text(&self, profile: &Profile, all_nodes: usize) -> String {
        let mut out = String::new();
        let title = frames::binary(profile)
            .map(label::base)
            .filter(|title| !title.is_empty());
        let _ = writeln!(out, "digraph \"{}\" {{", escape(title.unwrap_or("unnamed")));
        let _ = writeln!(out, "node [style=filled fillcolor=\"#f8f8f8\"]");
        self.legend(&mut out, profile, title, all_nodes);
        let max_flat = self
            .graph
            .order
            .iter()
            .map(|&node| self.graph.flat(node).unsigned_abs())
            .max()
            .unwrap_or(0);
        for (id, &node) in (1..).zip(&self.graph.order) {
            self.node(&mut out, id, node, max_flat);
        }
        let mut ids = vec![0; self.frames.len()];
        for (id, &node) in (1..).zip(&self.graph.order) {
            ids[node as usize] = id;
        }
        for (&(from, to), edge) in self.graph.sorted_edges(self.frames) {
            self.edge(
                &mut out,
                (ids[from as usize], ids[to as usize]),
                (from, to),
                edge,
            );
        }
        out.push_str("}\n");
        out
    }

    fn legend(&self, out: &mut String, profile: &Profile, title: Option<&str>, all_nodes: usize) {
        let mut lines: Vec<String> = title
            .map(|title| format!("File: {title}"))
            .into_iter()
            .collect();
        lines.push(format!("Type: {}", frames::sample_type(profile)));
        let shown = self
            .graph
            .order
            .iter()
            .fold(0i64, |sum, &node| sum.saturating_add(self.graph.flat(node)));
        let (part, total) = (self.unit.format(shown), self.unit.format(self.total));
        lines.push(format!(
            "Showing nodes accounting for {part}, {} of {total} total",
            percentage(shown, self.total)
        ));
        if self.graph.order.len() < all_nodes {
            lines.push(format!(
                "Showing top {} nodes out of {all_nodes}",
                self.graph.order.len()
            ));
        }
        let text: String = lines.iter().map(|line| escape(line) + "\\l").collect();
        let name = escape(&lines[0]);
        let _ = writeln!(
            out,
            "subgraph cluster_L {{ \"{name}\" [shape=box fontsize=16 label=\"{text}\"] }}"
        );
    }

    fn node(&self, out: &mut String, id: usize, node: u32, max_flat: u64) {
        let frame = self.frames.get(node);
        let (flat, cum) = (self.graph.flat(node), self.graph.cum(node));
        let mut label = frame.label();
        if flat == 0 {
            label.push('0');
        } else {
            let _ = write!(
                label,
                "{} ({})",
                self.unit.format(flat),
                percentage(flat, self.total)
            );
        }
        if cum != flat {
            label.push_str(if flat == 0 { " " } else { "\\n" });
            let _ = write!(
                label,
                "of {} ({})",
                self.unit.format(cum),
                percentage(cum, self.total)
            );
        }
        let share = if max_flat == 0 {
            0.0
        } else {
            flat.unsigned_abs() as f64 / max_flat as f64
        };
        let font = 8 + (16.0 * share.sqrt()).ceil() as u32;
        let tip = escape(&frame.printable());
        let cum_value = self.unit.format(cum);
        let (line, fill) = (self.color(cum, Shade::Line), self.color(cum, Shade::Fill));
        let _ = writeln!(
            out,
            "N{id} [label=\"{label}\" id=\"node{id}\" fontsize={font} shape=box tooltip=\"{tip} ({cum_value})\" \
             color=\"{line}\" fillcolor=\"{fill}\"]"
        );
    }

    fn edge(&self, out: &mut String, ids: (usize, usize), ends: (u32, u32), edge: &Edge) {
        let value = self.unit.format(edge.weight);
        let inline = if edge.inline { "\\n (inline)" } else { "" };
        let _ = write!(out, "N{} -> N{} [label=\" {value}{inline}\"", ids.0, ids.1);
        let share = self.share(edge.weight).abs();
        for (attribute, size) in [("weight", 100.0), ("penwidth", 5.0)] {
            let size = 1 + (share * size) as u32;
            if size > 1 {
                let _ = write!(out, " {attribute}={size}");
            }
        }
        let arrow = if edge.residual { "..." } else { "->" };
        let name = |node| escape(&self.frames.get(node).printable());
        let tip = format!("{} {arrow} {} ({value})", name(ends.0), name(ends.1));
        let color = self.color(edge.weight, Shade::Line);
        let dotted = if edge.residual {
            " style=\"dotted\""
        } else {
            ""
        };
        let _ = writeln!(
            out,
            " color=\"{color}\" tooltip=\"{tip}\" labeltooltip=\"{tip}\"{dotted}]"
        );
    }

    /// Grey for what hardly counts, red for all of the profile, green below zero.
    fn color(&self, value: i64, shade: Shade) -> String {
        let share = self.share(value);
        let heat = share.abs().powf(0.3);
        let saturation = (share.abs() * 5.0).min(1.0);
        let (bright, depth) = match shade {
            Shade::Line => (178.0, 1.0),
            Shade::Fill => (237.0, 0.1),
        };
        let faded = bright * (1.0 - depth * saturation * heat);
        let low = bright * (1.0 - depth * saturation);
        let (red, green) = if share < 0.0 {
            (faded, bright)
        } else {
            (bright, faded)
        };
        format!("#{:02x}{:02x}{:02x}", red as u8, green as u8, low as u8)
    }

    fn share(&self, value: i64) -> f64 {
        if self.total == 0 {
            0.0
        } else {
            (value as f64 / self.total as f64).clamp(-1.0, 1.0)
        }
    }
}

#[derive(Clone, Copy)]
enum Shade {
    Line,
    Fill,
}

#[cfg(test)]
mod tests;
