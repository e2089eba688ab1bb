use super::*;
use crate::symbols::{Function, Line, Location, Mapping};

/// A row in each table, all of them the first.
fn sound() -> Symbols {
    let mut sound = Symbols::default();
    sound.strings.push("").unwrap();
    sound.functions.push(Function::default());
    sound.mappings.push(Mapping::default());
    sound.lines.push(Line::default());
    sound.locations.push(Location {
        line_count: 1,
        ..Location::default()
    });
    sound.stacks.parents.push(0);
    sound.stacks.locations.push(0);
    sound
}

#[track_caller]
fn check(table: Table, problem: &str, damage: impl FnOnce(&mut Symbols)) {
    let mut damaged = sound();
    damage(&mut damaged);
    let fault = symbols(&damaged).unwrap_err();
    assert_eq!((fault.table, &*fault.problem), (table, problem));
}

#[test]
fn sound_symbols_pass() {
    symbols(&sound()).unwrap();
}

#[test]
fn every_reference_is_looked_at() {
    let string = "row 0 refers to string 1 of 1";
    check(Table::Functions, string, |s| s.functions[0].name = 1);
    check(Table::Functions, string, |s| s.functions[0].system_name = 1);
    check(Table::Functions, string, |s| s.functions[0].filename = 1);
    check(Table::Mappings, string, |s| s.mappings[0].filename = 1);
    check(Table::Mappings, string, |s| s.mappings[0].build_id = 1);
    check(Table::Locations, "row 0 refers to mapping 1 of 1", |s| {
        s.locations[0].mapping = 1;
    });
    check(
        Table::Locations,
        "row 0 has lines up to 4294967296 of 1",
        |s| {
            s.locations[0].first_line = u32::MAX;
        },
    );
    check(
        Table::Locations,
        "among the lines row 0 refers to function 1 of 1",
        |s| s.lines[0].function = 1,
    );
    check(
        Table::Stacktraces,
        "node 1 refers to location 1 of 1",
        |s| s.stacks.locations[1] = 1,
    );
    check(Table::Stacktraces, "node 1 has the parent 1", |s| {
        s.stacks.parents[1] = 1;
    });
    check(Table::Stacktraces, "node 0 has the parent 1", |s| {
        s.stacks.parents[0] = 1;
    });
    check(Table::Stacktraces, "stack trace 1 is node 2 of 2", |s| {
        s.stack_nodes = Some(vec![0, 2]);
    });
}

#[test]
fn a_tree_has_a_root_and_a_location_for_each_node() {
    let problem = "the tree has no root";
    check(Table::Stacktraces, problem, |s| s.stacks.parents.clear());
    check(Table::Stacktraces, problem, |s| {
        s.stacks.locations.pop();
    });
}

#[test]
fn the_first_string_is_empty() {
    let problem = "the first string is not the empty one";
    check(Table::Strings, problem, |s| s.strings = Default::default());
    check(Table::Strings, problem, |s| {
        s.strings = Default::default();
        s.strings.push("main").unwrap();
    });
}
