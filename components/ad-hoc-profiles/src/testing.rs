//! What the tests of this room share.

use std::path::{Path, PathBuf};

use phlare_proto::google::v1::{Function, Line, Location, Profile, Sample, ValueType};

/// A profile of two types: `main` calls `grow` and `keep`.
pub(crate) fn heap() -> Profile {
    let table = [
        "",
        "alloc_objects",
        "count",
        "inuse_space",
        "bytes",
        "main",
        "grow",
        "keep",
    ];
    let location = |id| Location {
        id,
        line: vec![Line {
            function_id: id,
            ..Line::default()
        }],
        ..Location::default()
    };
    let function = |id: u64| Function {
        id,
        name: 4 + id as i64,
        ..Function::default()
    };
    let sample = |leaf, values: [i64; 2]| Sample {
        location_id: vec![leaf, 1],
        value: values.to_vec(),
        ..Sample::default()
    };
    Profile {
        sample_type: vec![
            ValueType { r#type: 1, unit: 2 },
            ValueType { r#type: 3, unit: 4 },
        ],
        sample: vec![sample(2, [3, 50]), sample(3, [0, 7])],
        location: (1..=3).map(location).collect(),
        function: (1..=3).map(function).collect(),
        string_table: table.map(str::to_owned).to_vec(),
        ..Profile::default()
    }
}

/// Recorded profiles, where they are.
pub(crate) fn testdata() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let dir = std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from);
    dir.is_dir().then_some(dir)
}
