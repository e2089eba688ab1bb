use super::*;

fn testdata() -> std::path::PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testdata").into()
}

#[track_caller]
fn check(payload: &[u8], expected: Option<Format>) {
    assert_eq!(recognise(payload), expected, "{}", crate::preview(payload));
}

/// Every file of a directory, with its content.
fn files(directory: &str) -> Vec<(String, Vec<u8>)> {
    let root = std::env::var_os("PHLARE_TESTDATA").map_or_else(testdata, Into::into);
    let mut found = Vec::new();
    let mut open = vec![root.join(directory)];
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                let plain = phlare_pprof::gzip::plain(&bytes, 1 << 28).unwrap();
                found.push((path.display().to_string(), plain.into_owned()));
            }
        }
    }
    found
}

#[test]
fn every_real_file_is_recognised() {
    let ends = |name: &str, ending: &str| {
        let name = name.strip_suffix(".gz").unwrap_or(name);
        name.ends_with(ending)
    };
    for directory in ["jfr", "model", "otlp", "pprof", "speedscope", "symdb"] {
        for (name, bytes) in files(directory) {
            let expected = match directory {
                "jfr" if ends(&name, ".jfr") => Format::Jfr,
                // The labels of a recording, and what is expected of it.
                "jfr" if ends(&name, ".json") || ends(&name, ".labels.pb") => continue,
                "otlp" if ends(&name, ".out.json") => continue,
                "otlp" if ends(&name, ".json") => Format::Otlp(Encoding::Json),
                "otlp" => Format::Otlp(Encoding::Protobuf),
                "speedscope" => Format::Speedscope,
                "model" if ends(&name, "_tree.bin") => Format::Tree,
                "model" => continue,
                "pprof" if ends(&name, ".json") => continue,
                "symdb" if !ends(&name, ".pb") => continue,
                _ => Format::Pprof,
            };
            assert_eq!(recognise(&bytes), Some(expected), "{name}");
        }
    }
}

#[test]
fn texts_are_told_by_their_lines() {
    check(b"main;work 3\nmain 1\n", Some(Format::Groups));
    check(b"main 3", Some(Format::Groups));
    check(b"\n\nmain;do it 4\r\n", Some(Format::Groups));
    // Wrong in either way, and its reader says where.
    check(b"main;work 1.5\n", Some(Format::Groups));
    check(b"main;a\nmain;a;do it\n", Some(Format::Lines));
    check(
        b"java 12688 [002] 6544038.708352: cpu-clock: \n\t 7f0f read (libc)\n",
        Some(Format::PerfScript),
    );
    for other in ["", "\n", "hello", "hello world\n", "[object FormData]"] {
        check(other.as_bytes(), None);
    }
}

#[test]
fn trees_and_tries_differ_in_their_names() {
    let trie = b"\0\0\x02\x05main;\0\x02\x03foo\x07\x01\x04;bar\x03\0\x03baz\x02\0\x05other\x01\0";
    check(trie, Some(Format::Trie));
    let tree = b"\0\0\x02\x04main\x01\x02\x03foo\x04\x01\x03bar\x03\0\x03baz\x02\0\x04idle\x06\0";
    check(tree, Some(Format::Tree));
    // A name of Java has a separator in it, but the node has a sibling that begins like it.
    check(b"\0\0\x02\x02a;\x01\0\x02ab\x01\0", Some(Format::Tree));
    check(&tree[..tree.len() - 1], None);
    check(b"\x02ma\0\x02\x04in;a\x05\0\x01p\x04\0", Some(Format::Trie));
}

#[test]
fn json_is_told_by_its_members() {
    check(
        b"{\"resourceProfiles\": []}",
        Some(Format::Otlp(Encoding::Json)),
    );
    check(
        b" {\"resource_profiles\": []}",
        Some(Format::Otlp(Encoding::Json)),
    );
    check(
        b"{\"profiles\": [{\"unit\": \"none\"}]}",
        Some(Format::Speedscope),
    );
    check(b"{\"flamebearer\": {}}", None);
    let cut = format!("{{\"$schema\": \"{}\", \"prof", speedscope::SCHEMA);
    check(cut.as_bytes(), Some(Format::Speedscope));
    check(
        b"{\"resourceProfiles\": [{",
        Some(Format::Otlp(Encoding::Json)),
    );
}

#[test]
fn what_is_cut_short_is_recognised_by_its_beginning() {
    check(b"FLR\0", Some(Format::Jfr));
    for (directory, expected) in [
        ("otlp/", Format::Otlp(Encoding::Protobuf)),
        ("pprof/og/", Format::Pprof),
    ] {
        for (name, bytes) in files(directory) {
            if is_text(&bytes) {
                continue;
            }
            for percent in [5, 50, 99] {
                let cut = &bytes[..bytes.len() * percent / 100];
                assert_eq!(recognise(cut), Some(expected), "{percent} % of {name}");
            }
        }
    }
}

#[test]
fn other_files_are_not_taken_for_profiles() {
    check(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", None);
    check(b"\x7fELF\x02\x01\x01\0\0\0", None);
    check(b"PK\x03\x04\x14\0", None);
}

#[test]
fn hostile_bytes_never_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = recognise(bytes);
    });
}
