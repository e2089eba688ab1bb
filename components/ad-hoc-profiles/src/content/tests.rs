use phlare_model::tree::Order;
use phlare_pprof::gzip::{Inflater, gzip, is_gzip};
use phlare_proto::google::v1::{Function, Line, Location, Profile, Sample, ValueType};
use prost::Message;

use super::*;
use crate::testing::{heap, testdata};

fn limits() -> Limits {
    Limits::default()
}

#[track_caller]
fn read(file: &[u8]) -> Content {
    Content::read(file, &limits()).unwrap()
}

/// Types and the collapsed stacks of each.
#[track_caller]
fn drawn(file: &[u8]) -> Vec<(String, String)> {
    let content = read(file);
    let types: Vec<String> = content.types().map(str::to_owned).collect();
    let draw = |name: String| {
        let drawing = content.draw(&name, &limits()).unwrap();
        (name, drawing.tree.collapsed())
    };
    types.into_iter().map(draw).collect()
}

#[track_caller]
fn refused(file: &[u8], expected: &str) {
    let error = Content::read(file, &limits()).map(|content| {
        let name = content.choose(None).unwrap();
        content.draw(&name, &limits()).unwrap_err()
    });
    let text = phlare_model::chain(&error.unwrap_or_else(|error| error));
    assert!(text.contains(expected), "{text}");
}

#[test]
fn every_sample_type_of_a_pprof_is_drawn() {
    let expected = [
        ("alloc_objects".to_owned(), "main;grow 3\n".to_owned()),
        (
            "inuse_space".to_owned(),
            "main;grow 50\nmain;keep 7\n".to_owned(),
        ),
    ];
    let plain = heap().encode_to_vec();
    assert_eq!(drawn(&plain), expected);
    assert_eq!(drawn(&gzip(&plain, 6)), expected);
    let content = read(&plain);
    let drawing = content.draw("inuse_space", &limits()).unwrap();
    assert_eq!(drawing.meaning, Meaning::of("inuse_space", "bytes"));
    let error = content.choose(Some("cpu")).unwrap_err().to_string();
    assert!(
        error.contains(r#"it has "alloc_objects", "inuse_space""#),
        "{error}"
    );
}

#[test]
fn inlined_functions_and_addresses_are_frames() {
    let mut profile = heap();
    // `grow` is inlined into `keep`, and something without a name calls it.
    profile.location = vec![
        Location {
            id: 1,
            line: vec![line(2), line(3)],
            ..Location::default()
        },
        Location {
            id: 2,
            address: 0x1f,
            ..Location::default()
        },
    ];
    profile.sample = vec![sample(&[1, 2], &[0, 4])];
    let drawn = drawn(&profile.encode_to_vec());
    assert_eq!(drawn[1].1, "0x1f;keep;grow 4\n");
    assert_eq!(drawn[0].1, "");
}

fn line(function_id: u64) -> Line {
    Line {
        function_id,
        ..Line::default()
    }
}

fn sample(location_id: &[u64], value: &[i64]) -> Sample {
    Sample {
        location_id: location_id.to_vec(),
        value: value.to_vec(),
        ..Sample::default()
    }
}

#[test]
fn equal_names_of_types_are_told_apart() {
    let mut profile = heap();
    let twice = profile.sample_type[0];
    profile.sample_type = vec![twice, twice, twice, twice];
    profile.sample.clear();
    let names: Vec<String> = read(&profile.encode_to_vec())
        .types()
        .map(str::to_owned)
        .collect();
    let expected = [
        "alloc_objects",
        "alloc_objects:count",
        "alloc_objects:count:3",
        "alloc_objects:count:4",
    ];
    assert_eq!(names, expected);
}

#[test]
fn collapsed_stacks_are_counts() {
    let content = read(b"main;work 3\nmain;rest 4\n");
    let drawing = content.draw("samples", &limits()).unwrap();
    assert_eq!(drawing.tree.collapsed(), "main;rest 4\nmain;work 3\n");
    assert_eq!(drawing.meaning.units, "objects");
    assert_eq!(
        drawn(&gzip(b"a 1\n", 6)),
        [("samples".to_owned(), "a 1\n".to_owned())]
    );
}

#[test]
fn perf_scripts_are_counts() {
    let script = b"# a comment\njava 1 [002] 6.5: cycles: \n\t4f work+0x1 (/bin/java)\n\t5f main (/bin/java)\n\n";
    assert_eq!(
        drawn(script),
        [("samples".to_owned(), "java;main;work 1\n".to_owned())]
    );
}

#[test]
fn a_flame_graph_is_read_as_it_was_written() {
    use phlare_model::flamebearer::FlamebearerProfile;
    let mut tree = Tree::new();
    tree.insert(["main", "work"], 30);
    tree.insert(["main"], 12);
    tree.insert(["other"], 5);
    let meaning = Meaning {
        name: "cpu".to_owned(),
        units: "samples".to_owned(),
        sample_rate: 97,
    };
    let graph = FlamebearerProfile::single(tree.flame_graph(0), meaning.clone(), None, None);
    let json = serde_json::to_vec(&graph).unwrap();
    let content = read(&json);
    let drawing = content.draw("cpu", &limits()).unwrap();
    assert_eq!(drawing.tree.collapsed(), tree.collapsed());
    assert_eq!(drawing.meaning, meaning);
    let old =
        br#"{"flamebearer":{"names":["total","a"],"levels":[[0,5,0,0],[0,5,5,1]],"numTicks":5}}"#;
    assert_eq!(drawn(old), [("samples".to_owned(), "a 5\n".to_owned())]);
}

#[test]
fn speedscope_is_read_in_its_unit() {
    let Some(directory) = testdata() else { return };
    let file = std::fs::read(directory.join("speedscope/simple.speedscope.json")).unwrap();
    let content = read(&file);
    let name = content.choose(None).unwrap();
    let drawing = content.draw(&name, &limits()).unwrap();
    assert!(drawing.tree.total() > 0, "{name}");
    let file = std::fs::read(directory.join("speedscope/two-sampled.speedscope.json")).unwrap();
    assert!(read(&file).types().count() > 0);
}

#[test]
fn real_profiles_are_drawn_with_their_totals() {
    let Some(directory) = testdata() else { return };
    let mut seen = 0;
    for name in ["pprof/pprof", "pprof/phlaredb", "pprof/og"] {
        for entry in std::fs::read_dir(directory.join(name)).unwrap() {
            let path = entry.unwrap().path();
            let Ok(file) = std::fs::read(&path) else {
                continue;
            };
            let mut bytes = Vec::new();
            if !is_gzip(&file) || Inflater::new().gunzip(&file, 64 << 20, &mut bytes).is_err() {
                continue;
            }
            let (Ok(profile), Ok(content)) =
                (Profile::decode(&*bytes), Content::read(&file, &limits()))
            else {
                continue;
            };
            for (total, name) in phlare_pprof::summary::summary(&profile)
                .iter()
                .zip(content.types())
            {
                let negative = profile
                    .sample
                    .iter()
                    .any(|s| s.value.iter().any(|value| *value < 0));
                let Ok(drawing) = content.draw(name, &limits()) else {
                    continue;
                };
                if !negative
                    && profile
                        .sample
                        .iter()
                        .all(|sample| !sample.location_id.is_empty())
                {
                    assert_eq!(
                        i128::from(drawing.tree.total()),
                        total.total,
                        "{} {name}",
                        path.display()
                    );
                    seen += 1;
                }
                assert_eq!(drawing.tree.walk(Order::Name).count(), drawing.tree.len());
            }
        }
    }
    assert!(seen > 5, "{seen} totals were compared");
}

#[test]
fn what_cannot_be_drawn_is_refused_with_what_could() {
    refused(b"", "nothing to show");
    refused(b"hello", "cannot be used; accepted: pprof");
    refused(b"{\"a\":1}", "flame graph as JSON");
    refused(b"\x1f\x8b\x08", "gzip");
    refused(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "taken for pprof");
    refused(b"FLR\0\0\x02\0\0", "a JFR recording");
    refused(
        br#"{"version":3,"flamebearer":{"names":[],"levels":[]}}"#,
        "version 3",
    );
    let double = br#"{"flamebearer":{"names":[],"levels":[]},"metadata":{"format":"double"}}"#;
    refused(double, "\"double\"");
    let outside = br#"{"flamebearer":{"names":["total"],"levels":[[0,5,0,0],[0,5,5,9]]}}"#;
    refused(outside, "no flame graph: ");
    // A bomb: gzip of more than the limit.
    refused(&gzip(&vec![b'x'; 5 << 20], 9), "max_profile_size_bytes");
}

#[test]
fn stacks_that_inlining_blows_up_are_refused() {
    let mut profile = heap();
    let many = Location {
        id: 1,
        line: vec![line(1); 10_000],
        ..Location::default()
    };
    profile.location = vec![many];
    profile.function = vec![Function {
        id: 1,
        name: 5,
        ..Function::default()
    }];
    let other = |id| Location {
        id,
        address: id,
        ..Location::default()
    };
    profile.location.extend((2..600).map(other));
    profile.sample = (2..600).map(|id| sample(&[id, 1], &[1, 1])).collect();
    refused(&profile.encode_to_vec(), "too many to draw");
}

#[test]
fn hostile_bytes_never_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(content) = Content::read(bytes, &limits()) {
            for name in content.types() {
                let _ = content.draw(name, &limits());
            }
        }
    });
}

#[test]
fn types_are_of_values_that_the_string_table_has() {
    let mut profile = heap();
    profile.sample_type.push(ValueType {
        r#type: 99,
        unit: 0,
    });
    profile.sample.clear();
    assert_eq!(read(&profile.encode_to_vec()).types().last(), Some(""));
}
