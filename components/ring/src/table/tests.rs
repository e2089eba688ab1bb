use super::*;
use crate::entry;
use crate::testing::{NOW, instance, names};

const KIND: RingKind = RingKind::Ingester;

fn process(name: &str, run: u64) -> Process {
    Process {
        name: name.to_owned(),
        run,
    }
}

fn table() -> Table {
    Table::new(|_| RingSettings::default())
}

/// What a process with these instances says, each with a heartbeat at `beat_ms`.
fn said(instances: &[Instance], beat_ms: i64, forgets: &[(&str, i64)]) -> Said {
    let mut values = entry::KeyValues::new();
    for instance in instances {
        values.extend(entry::entry(KIND, instance));
        values.extend([entry::beat(KIND, &instance.id, beat_ms)]);
    }
    values.extend(
        forgets
            .iter()
            .map(|(id, ms)| entry::forget(KIND, &(*id).into(), *ms)),
    );
    entry::read(&values)
}

#[test]
fn entries_become_a_ring() {
    let mut table = table();
    let mut ring = table.subscribe(KIND);
    table.update(process("a", 1), said(&[instance("a", "z")], NOW, &[]), NOW);
    table.update(process("b", 1), said(&[instance("b", "z")], NOW, &[]), NOW);
    table.publish();
    let ring = ring.borrow_and_update().clone();
    assert_eq!(names(ring.instances()), ["a", "b"]);
    assert!(ring.instances()[0].same_as(&instance("a", "z")));
}

#[test]
fn a_heartbeat_is_no_change_and_is_seen() {
    let mut table = table();
    table.update(process("a", 1), said(&[instance("a", "")], NOW, &[]), NOW);
    table.publish();
    let mut ring = table.subscribe(KIND);
    let before = ring.borrow_and_update().clone();
    table.update(
        process("a", 1),
        said(&[instance("a", "")], NOW + 5_000, &[]),
        NOW + 70_000,
    );
    table.publish();
    assert!(!ring.has_changed().unwrap());
    assert_eq!(
        before.instances()[0].heartbeat.ms(),
        NOW + 70_000,
        "by our clock"
    );
}

#[test]
fn clocks_need_not_agree() {
    let mut table = table();
    for (ahead, age) in [(3_600_000, 0), (-3_600_000, 3_600_000)] {
        table.update(
            process("a", 1),
            said(&[instance("a", "")], NOW + ahead, &[]),
            NOW,
        );
        table.publish();
        let ring = table.ring(KIND);
        let heartbeat = ring.instances()[0].heartbeat.clone();
        assert_eq!(
            NOW - heartbeat.ms(),
            age,
            "first seen: by the sender's clock, never in the future"
        );
        table.update(
            process("a", 1),
            said(&[instance("a", "")], NOW + ahead + 5_000, &[]),
            NOW + 6_000,
        );
        assert_eq!(heartbeat.ms(), NOW + 6_000);
        table.retain(|_| false);
    }
}

#[test]
fn what_was_dead_when_we_came_stays_dead() {
    let mut table = table();
    table.update(
        process("a", 1),
        said(&[instance("a", "")], NOW - 100_000, &[]),
        NOW,
    );
    table.update(
        process("a", 1),
        said(&[instance("a", "")], NOW - 100_000, &[]),
        NOW + 1,
    );
    table.publish();
    let ring = table.ring(KIND);
    assert!(!ring.is_alive(&ring.instances()[0], NOW));
}

#[test]
fn a_restarted_process_replaces_its_earlier_run() {
    let mut table = table();
    table.update(
        process("a", 2),
        said(
            &[Instance {
                addr: "new:1".to_owned(),
                ..instance("a", "")
            }],
            NOW,
            &[],
        ),
        NOW,
    );
    table.update(
        process("a", 1),
        said(&[instance("a", "")], NOW - 9_000, &[]),
        NOW,
    );
    table.publish();
    assert_eq!(
        table.ring(KIND).instance(&"a".into()).unwrap().addr,
        "new:1"
    );
    table.retain(|process| process.run == 1);
    table.publish();
    assert_eq!(
        table.ring(KIND).instance(&"a".into()).unwrap().addr,
        "a:4040"
    );
}

#[test]
fn the_forgotten_are_gone_until_they_beat_again() {
    let mut table = table();
    table.update(process("a", 1), said(&[instance("a", "")], NOW, &[]), NOW);
    assert_eq!(table.last_beat(KIND, &"a".into()), Some(NOW));
    table.update(
        process("b", 1),
        said(&[instance("b", "")], NOW, &[("a", NOW)]),
        NOW,
    );
    table.publish();
    assert_eq!(names(table.ring(KIND).instances()), ["b"]);
    assert!(table.idle_forgets(&process("b", 1)).is_empty());
    table.update(
        process("a", 1),
        said(&[instance("a", "")], NOW + 1, &[]),
        NOW,
    );
    table.publish();
    assert_eq!(names(table.ring(KIND).instances()), ["a", "b"]);
    table.retain(|process| process.name == "b");
    assert_eq!(table.idle_forgets(&process("b", 1)).len(), 1);
}

#[test]
fn entries_that_make_no_sense_are_left_out_and_counted() {
    let mut values = entry::KeyValues::new();
    values.extend(entry::entry(KIND, &instance("a", "")));
    assert_eq!(entry::read(&values).bad, 1, "no heartbeat");
    values.extend([entry::beat(KIND, &"a".into(), NOW)]);
    assert_eq!(
        (entry::read(&values).bad, entry::read(&values).entries.len()),
        (0, 1)
    );
    for (key, value) in [
        ("entry/ingester/b", "{}"),
        ("entry/ingester/", "{}"),
        ("tokens/ingester/a", "?"),
        ("beat/ingester/a", "soon"),
        ("forget/ingester/a", ""),
        (
            "entry/ingester/a",
            r#"{"addr":"x","state":"LEFT","registered_ms":1}"#,
        ),
    ] {
        let mut bad = values.clone();
        bad.insert(key.to_owned(), value.to_owned());
        assert_eq!(entry::read(&bad).bad, 1, "{key}");
    }
    // Of others, or of later versions.
    for key in ["x", "x/y", "entry/oven/a", "later/ingester/a"] {
        let mut other = values.clone();
        other.insert(key.to_owned(), String::new());
        assert_eq!(entry::read(&other).bad, 0, "{key}");
    }
    let flood = (0..5000).map(|n| entry::forget(KIND, &format!("{n}").as_str().into(), 1));
    assert!(entry::read(&flood.collect()).forgotten.len() <= 1024);
}

proptest::proptest! {
    #[test]
    fn hostile_values_never_panic(values in proptest::collection::btree_map("(entry|tokens|beat|forget)/ingester/[ab]", ".{0,60}", 0..8)) {
        let mut table = table();
        table.update(process("a", 1), entry::read(&values), NOW);
        table.publish();
    }
}
