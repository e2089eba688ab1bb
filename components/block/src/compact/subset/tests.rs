use super::*;
use crate::symbols::Stacks;

/// Two binaries and a tree of stack traces: 1 = a, 2 = a/b, 3 = a/b/c, 4 = d.
fn whole() -> Symbols {
    let mut whole = Symbols::default();
    for text in ["", "bin", "other", "a", "b", "c", "d", "a.go"] {
        whole.strings.push(text).unwrap();
    }
    whole.mappings = [1, 2]
        .map(|filename| Mapping {
            filename,
            memory_start: 7,
            ..Mapping::default()
        })
        .into();
    for (at, (name, mapping)) in [(3, 0), (4, 0), (5, 0), (6, 1)].into_iter().enumerate() {
        whole.functions.push(Function {
            name,
            filename: if name == 3 { 7 } else { 0 },
            start_line: at as i64,
            ..Function::default()
        });
        whole.lines.push(Line {
            function: at as u32,
            line: 10 + at as i64,
            column: 0,
        });
        whole.locations.push(Location {
            mapping,
            address: 100 + at as u64,
            first_line: at as u32,
            line_count: 1,
            is_folded: false,
        });
    }
    whole.stacks = Stacks {
        parents: vec![0, 0, 1, 2, 0],
        locations: vec![0, 0, 1, 2, 3],
    };
    whole
}

fn part(nodes: &[u32]) -> (Symbols, Ranks) {
    let whole = whole();
    let mut bits = ranks::bits(whole.stacks.len());
    for &node in nodes {
        ranks::set(&mut bits, node);
    }
    close(&whole, &mut bits);
    let nodes = Ranks::new(bits);
    (subset(&whole, &nodes).unwrap(), nodes)
}

fn strings(symbols: &Symbols) -> Vec<&str> {
    let ids = 0..symbols.strings.len() as u32;
    ids.map(|id| symbols.strings.get(id)).collect()
}

#[test]
fn all_nodes_need_everything() {
    assert_eq!(part(&[3, 4]).0, whole());
}

#[test]
fn callers_come_along_and_nothing_else_does() {
    let (symbols, nodes) = part(&[2]);
    assert_eq!(strings(&symbols), ["", "bin", "a", "b", "a.go"]);
    assert_eq!(symbols.stacks.parents, [0, 0, 1]);
    assert_eq!((nodes.get(2), nodes.get(3)), (Some(2), None));

    let (symbols, nodes) = part(&[4]);
    assert_eq!(strings(&symbols), ["", "other", "d"]);
    assert_eq!(symbols.mappings.len(), 1);
    assert_eq!(symbols.lines[0].line, 13);
    let location = symbols.locations[symbols.stacks.locations[1] as usize];
    assert_eq!((location.address, location.mapping), (103, 0));
    assert_eq!(nodes.get(4), Some(1));
}

#[test]
fn the_empty_stack_trace_needs_the_root_only() {
    let (symbols, nodes) = part(&[0]);
    assert_eq!(strings(&symbols), [""]);
    assert!(symbols.stacks.is_empty() && symbols.locations.is_empty());
    assert_eq!(nodes.get(0), Some(0));
}
