//! Call trees as pprof: functions by name, without lines or addresses (api.md 8.6, "FromTree").

use std::collections::HashMap;

use phlare_model::profile_type::ProfileType;
use phlare_model::tree::Tree;
use phlare_proto::google::v1::{Function, Label, Line, Location, Mapping, Profile, Sample};

use crate::profile::{nothing, stamp};

/// A sample for each node with a value of its own.
pub(crate) fn from_tree(tree: &Tree, kind: &ProfileType, end_ms: i64) -> Profile {
    let mut builder = Builder::new(kind);
    builder.add(tree, Side::Only);
    builder.finish(end_ms)
}

/// Two trees in one profile, as `go tool pprof -diff_base` makes it: the left side negative and marked as base.
pub(crate) fn from_diff(left: &Tree, right: &Tree, kind: &ProfileType, end_ms: i64) -> Profile {
    let mut builder = Builder::new(kind);
    builder.add(left, Side::Base);
    builder.add(right, Side::Only);
    builder.finish(end_ms)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Only,
    Base,
}

struct Builder {
    profile: Profile,
    /// Name of a function → its id, which is also that of its location.
    functions: HashMap<Box<str>, u64>,
}

impl Builder {
    fn new(kind: &ProfileType) -> Self {
        let mut profile = Profile {
            mapping: vec![Mapping {
                id: 1,
                ..Mapping::default()
            }],
            ..Profile::default()
        };
        stamp(&mut profile, kind);
        Self {
            profile,
            functions: HashMap::new(),
        }
    }

    /// O(nodes × depth).
    fn add(&mut self, tree: &Tree, side: Side) {
        let label = self.label(side);
        // Of each node: its parent, its location, its value.
        let nodes: Vec<(usize, u64, i64)> = tree
            .nodes()
            .map(|node| (node.parent, self.location(node.name), node.self_value))
            .collect();
        for (index, &(.., value)) in nodes.iter().enumerate().filter(|(_, node)| node.2 > 0) {
            let mut location_id = Vec::new();
            let mut at = index;
            while at != 0 {
                let (parent, location, _) = nodes[at];
                if location != 0 {
                    location_id.push(location);
                }
                at = parent;
            }
            let value = if side == Side::Base {
                value.saturating_neg()
            } else {
                value
            };
            self.profile.sample.push(Sample {
                location_id,
                value: vec![value],
                label: label.clone(),
            });
        }
    }

    /// The mark of a base sample.
    fn label(&mut self, side: Side) -> Vec<Label> {
        if side == Side::Only {
            return Vec::new();
        }
        let (key, str) = (self.string("pprof::base"), self.string("true"));
        vec![Label {
            key,
            str,
            ..Label::default()
        }]
    }

    /// The location of a function; 0 for one without a name.
    fn location(&mut self, name: &str) -> u64 {
        if name.is_empty() {
            return 0;
        }
        if let Some(&id) = self.functions.get(name) {
            return id;
        }
        let id = self.functions.len() as u64 + 1;
        self.functions.insert(name.into(), id);
        let text = self.string(name);
        self.profile.function.push(Function {
            id,
            name: text,
            system_name: text,
            ..Function::default()
        });
        let line = vec![Line {
            function_id: id,
            ..Line::default()
        }];
        self.profile.location.push(Location {
            id,
            mapping_id: 1,
            line,
            ..Location::default()
        });
        id
    }

    /// Adds a text to the string table, whether it is there or not.
    fn string(&mut self, text: &str) -> i64 {
        let at = self.profile.string_table.len();
        self.profile.string_table.push(text.to_owned());
        i64::try_from(at).unwrap_or_default()
    }

    fn finish(mut self, end_ms: i64) -> Profile {
        if self.profile.sample.is_empty() {
            return nothing();
        }
        self.profile.time_nanos = end_ms.saturating_mul(1_000_000);
        self.profile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

    fn tree(stacks: &[(&str, i64)]) -> Tree {
        let mut tree = Tree::new();
        for &(stack, value) in stacks {
            tree.insert(stack.split(';'), value);
        }
        tree
    }

    /// `leaf;…;root value [label]` of each sample.
    fn samples(profile: &Profile) -> Vec<String> {
        let text = |index: i64| profile.string_table[usize::try_from(index).unwrap()].as_str();
        let name = |id: &u64| {
            let location = profile
                .location
                .iter()
                .find(|location| location.id == *id)
                .unwrap();
            let function = profile
                .function
                .iter()
                .find(|f| f.id == location.line[0].function_id)
                .unwrap();
            assert_eq!(function.system_name, function.name);
            text(function.name)
        };
        let mut lines: Vec<String> = profile
            .sample
            .iter()
            .map(|sample| {
                let stack: Vec<&str> = sample.location_id.iter().map(name).collect();
                let labels: String = sample
                    .label
                    .iter()
                    .map(|l| format!(" {}={}", text(l.key), text(l.str)))
                    .collect();
                format!("{} {}{labels}", stack.join(";"), sample.value[0])
            })
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn each_value_of_its_own_is_a_sample() {
        let tree = tree(&[("main;a", 1), ("main;a;b", 2), ("main", 3), ("b", 4)]);
        let profile = from_tree(&tree, &CPU.parse().unwrap(), 5);
        assert_eq!(
            samples(&profile),
            ["a;main 1", "b 4", "b;a;main 2", "main 3"]
        );
        assert_eq!((profile.function.len(), profile.mapping.len()), (3, 1));
        assert_eq!(
            (profile.time_nanos, profile.duration_nanos, profile.period),
            (5_000_000, 0, 1_000_000_000)
        );
    }

    #[test]
    fn functions_without_a_name_are_left_out() {
        let profile = from_tree(
            &tree(&[("main;;a", 1), (";b", 2)]),
            &CPU.parse().unwrap(),
            5,
        );
        assert_eq!(samples(&profile), ["a;main 1", "b 2"]);
    }

    #[test]
    fn a_comparison_marks_its_base() {
        let (left, right) = (
            tree(&[("main;a", 1), ("main;b", 2)]),
            tree(&[("main;a", 5), ("c", 1)]),
        );
        let profile = from_diff(&left, &right, &CPU.parse().unwrap(), 5);
        let expected = [
            "a;main -1 pprof::base=true",
            "a;main 5",
            "b;main -2 pprof::base=true",
            "c 1",
        ];
        assert_eq!(samples(&profile), expected);
    }

    #[test]
    fn nothing_has_the_shape_of_every_empty_pprof() {
        assert_eq!(from_tree(&Tree::new(), &CPU.parse().unwrap(), 5), nothing());
    }
}
