//! Repairs of what particular clients get wrong.

use phlare_pprof::{Options, ScriptNames, Workspace};

use super::build::{
    accepted, function, location, normalized, options, profile, refused, rows, sample, string,
};

#[test]
fn dotnet_profiles_without_function_ids_are_repaired_if_asked() {
    let raw = include_bytes!("../data/dotnet-pprof-3.pb.gz");
    let mut workspace = Workspace::new();
    let error = workspace
        .decode(raw, 0)
        .unwrap()
        .normalize(&options())
        .unwrap_err();
    assert!(error.to_string().contains("\"alloc-samples\""), "{error}");
    let renamed = Options {
        rename_dashes: true,
        ..options()
    };
    let error = workspace
        .decode(raw, 0)
        .unwrap()
        .normalize(&renamed)
        .unwrap_err();
    assert!(
        error.to_string().contains("function 0 has the id 0"),
        "{error}"
    );

    let both = Options {
        repair_function_ids: true,
        ..renamed
    };
    let n = workspace.decode(raw, 0).unwrap().normalize(&both).unwrap();
    let kinds: Vec<&str> = n.sample_types.iter().map(|t| t.kind).collect();
    assert_eq!(
        kinds,
        [
            "cpu",
            "exception",
            "alloc_samples",
            "alloc_size",
            "lock_count",
            "lock_time"
        ]
    );
    assert_eq!(n.totals()[0], 5_653_000_000);
}

#[test]
fn function_ids_are_repaired_only_if_all_are_missing_and_counts_match() {
    let repair = Options {
        repair_function_ids: true,
        ..options()
    };
    let mut p = profile();
    p.function[0].id = 0;
    refused(&p, &repair);
    p.function[1].id = 0;
    assert_eq!(normalized(&p, &repair, rows), ["{} f;g 5"]);
    p.function.push(function(0, 3));
    refused(&p, &repair);
    assert_eq!(normalized(&profile(), &repair, rows), accepted(&profile()));
}

#[test]
fn script_functions_are_named_after_their_file() {
    let mut p = profile();
    p.function[0].filename = string(&mut p, "main.py");
    p.function[1].filename = string(&mut p, "/usr/lib/lib.py");
    p.function.push(p.function[0]);
    p.function[2].id = 3;
    p.function.push(function(4, 4));
    p.location.push(location(3, 1, &[(3, 1)]));
    p.location.push(location(4, 1, &[(4, 1)]));
    p.sample.push(sample(&[4, 3], &[2]));
    let named = |which| {
        normalized(
            &p,
            &Options {
                script_names: Some(which),
                ..options()
            },
            rows,
        )
    };
    assert_eq!(
        named(ScriptNames::RelativeFiles),
        ["{} main.py f;g 2", "{} main.py f;g 5"]
    );
    assert_eq!(
        named(ScriptNames::All),
        ["{} main.py f;/usr/lib/lib.py g 5", "{} main.py f;g 2"]
    );
}

#[test]
fn script_names_do_not_grow_without_bound() {
    let mut p = profile();
    (p.function, p.location) = (Vec::new(), Vec::new());
    let long: Vec<i64> = (0..100)
        .map(|i| string(&mut p, format!("{i}{}", "x".repeat(1000))))
        .collect();
    for i in 0..10_000_u64 {
        let mut f = function(i + 1, long[i as usize / 100]);
        f.filename = long[i as usize % 100];
        p.function.push(f);
        p.location.push(location(i + 1, 1, &[(i + 1, 1)]));
    }
    p.sample = vec![sample(&[1, 10_000], &[1])];
    let size = prost::Message::encoded_len(&p);
    normalized(
        &p,
        &Options {
            script_names: Some(ScriptNames::All),
            ..options()
        },
        |n| {
            let written: usize = n.strings.iter().map(|s| s.len()).sum();
            assert!(
                written < 6 * size,
                "{written} bytes of strings out of {size}"
            );
        },
    );
}

#[test]
fn stacks_that_differ_in_shape_types_become_one() {
    let mut p = profile();
    p.string_table[3] = "sort[go.shape.int]".into();
    p.string_table[4] = "sort[go.shape.map[string]int]".into();
    p.location[1].line[0].line = 1;
    p.sample = vec![sample(&[1], &[1]), sample(&[2], &[2])];
    assert_eq!(accepted(&p).len(), 2);
    assert_eq!(
        normalized(
            &p,
            &Options {
                go_fixes: true,
                ..options()
            },
            rows
        ),
        ["{} sort 3"]
    );
}

#[test]
fn stacks_that_were_cut_are_lengthened_and_keep_their_values() {
    let raw = include_bytes!("../data/cpu_go_truncated_1.pb.gz");
    let measure = |go_fixes| {
        let mut workspace = Workspace::new();
        let options = Options {
            go_fixes,
            ..options()
        };
        let n = workspace
            .decode(raw, 0)
            .unwrap()
            .normalize(&options)
            .unwrap();
        let depth = |s: &phlare_pprof::normalized::Sample| n.stacks[s.stack as usize].depth;
        let depths: u32 = n.samples.iter().map(depth).sum();
        (n.values.iter().sum::<i64>(), depths)
    };
    let (total, depths) = measure(false);
    assert_eq!(total, 756 + 7_560_000_000);
    assert_eq!(measure(true).0, total);
    assert!(measure(true).1 > depths);
}

#[test]
fn sample_types_can_be_left_out() {
    let mut p = profile();
    p.sample_type.push(p.sample_type[0]);
    p.sample_type[1].r#type = 3;
    p.sample = vec![
        sample(&[1], &[1, 10]),
        sample(&[2], &[0, 20]),
        sample(&[2, 1], &[3, 0]),
    ];
    let keep = |kind: &str, unit: &str| kind == "f" && unit == "nanoseconds";
    normalized(
        &p,
        &Options {
            keep_type: Some(&keep),
            ..options()
        },
        |n| {
            assert_eq!(n.sample_types.len(), 1);
            assert_eq!(rows(n), ["{} f 10", "{} g 20"]);
        },
    );
    let none = |_: &str, _: &str| false;
    normalized(
        &p,
        &Options {
            keep_type: Some(&none),
            ..options()
        },
        |n| assert!(n.is_empty() && n.sample_types.is_empty()),
    );
}
