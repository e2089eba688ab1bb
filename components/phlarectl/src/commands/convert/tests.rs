use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

/// Converts a file of this content; `out` lies beside it.
fn convert(content: &[u8], out: &str, flags: &[&str]) -> anyhow::Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    let input = directory.path().join("in");
    std::fs::write(&input, content)?;
    let output = format!("{}/{out}", directory.path().display());
    let input = input.display().to_string();
    let line = ["phlarectl", "convert", &input, &output];
    let cli = Cli::try_parse_from(line.into_iter().chain(flags.iter().copied()))?;
    let Command::Convert(args) = cli.command else {
        bail!("another command");
    };
    run(&args, 1_700_000_000_000)?;
    Ok(directory)
}

#[track_caller]
fn collapsed_of(content: &[u8], flags: &[&str]) -> String {
    let directory = convert(content, "out.collapsed", flags).unwrap();
    std::fs::read_to_string(directory.path().join("out.collapsed")).unwrap()
}

/// A real file of the formats' tests.
fn data(name: &str) -> Vec<u8> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/tests/data");
    std::fs::read(Path::new(directory).join(name)).unwrap()
}

fn files_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_form_of_the_same_stacks_becomes_the_same() {
    let expected = "main;bar 3\nmain;foo 7\n";
    let trie = b"\0\0\x01\x05main;\0\x02\x03foo\x07\0\x03bar\x03\0";
    let tree = b"\0\0\x01\x04main\0\x02\x03foo\x07\0\x03bar\x03\0";
    for content in [&b"main;foo 7\nmain;bar 3\n"[..], trie, tree] {
        assert_eq!(collapsed_of(content, &[]), expected);
        assert_eq!(collapsed_of(&gzip::gzip(content, 1), &[]), expected);
    }
    assert_eq!(collapsed_of(b"main;foo\nmain;foo\n", &[]), "main;foo 2\n");
    let script = b"java 12 [002] 65.708352: cpu-clock: \n\t 7f0f read+0x1 (libc)\n";
    assert_eq!(collapsed_of(script, &[]), "java;read 1\n");
}

#[test]
fn there_and_back_is_the_same() {
    let directory = convert(b"main;foo 7\nmain;bar 3\n", "out.pb.gz", &[]).unwrap();
    let pprof = std::fs::read(directory.path().join("out.pb.gz")).unwrap();
    assert!(gzip::is_gzip(&pprof));
    assert_eq!(collapsed_of(&pprof, &[]), "main;bar 3\nmain;foo 7\n");
}

#[test]
fn flags_say_what_is_counted() {
    let flags = ["--name", "wall", "--sample-rate", "10"];
    assert_eq!(collapsed_of(b"main 3", &flags), "main 300000000\n");
    let flags = ["--name", "alloc_space", "--profile", "memory:alloc_space"];
    assert_eq!(collapsed_of(b"main 3", &flags), "main 3\n");
    let error = convert(b"main 3", "o", &["--name", "nonsense"]).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("unknown profile type: nonsense"), "{text}");
}

#[test]
fn one_of_several_profiles_is_chosen() {
    let otlp = data("otel-ebpf-profile.pb.bin");
    let error = convert(&otlp, "out.collapsed", &[]).unwrap_err();
    assert!(error.downcast_ref::<UsageError>().is_some());
    let text = error.to_string();
    assert!(
        text.contains("`off_cpu:off_cpu`, `process_cpu:cpu`"),
        "{text}"
    );
    let total = |name: &str| -> i64 {
        let text = collapsed_of(&otlp, &["--profile", name]);
        let values = text.lines().filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<i64>().unwrap()).sum()
    };
    assert_eq!(
        (total("cpu"), total("off_cpu")),
        (500_000_000, 267_302_249_331)
    );
    let speedscope = data("two-sampled.speedscope.json");
    for name in ["one", "two"] {
        assert!(collapsed_of(&speedscope, &["--profile", name]).contains("a;b"));
    }
    let error = convert(&otlp, "out", &["--profile", "nope"]).unwrap_err();
    assert!(error.to_string().contains("has no profile nope"), "{error}");
}

#[test]
fn a_recording_of_java_has_the_total_that_pyroscope_gives_it() {
    let jfr = data("jfr/dump1.jfr.gz");
    let text = collapsed_of(&jfr, &["--profile", "process_cpu"]);
    let values = text.lines().filter_map(|line| line.rsplit(' ').next());
    let total: i64 = values.map(|value| value.parse::<i64>().unwrap()).sum();
    assert_eq!(total, 21_880_000_000);
}

#[test]
fn a_directory_takes_all_profiles() {
    let otlp = data("otel-ebpf-profile.pb.bin");
    let directory = convert(&otlp, "all/", &[]).unwrap();
    let all = directory.path().join("all");
    assert_eq!(
        files_in(&all),
        ["off_cpu.off_cpu.pb.gz", "process_cpu.cpu.pb.gz"]
    );
    let speedscope = data("two-sampled.speedscope.json");
    let directory = convert(&speedscope, "all/", &["--to", "collapsed"]).unwrap();
    let names = files_in(&directory.path().join("all"));
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn nothing_is_overwritten_unless_asked() {
    let text = convert(b"main 3", "in", &[]).unwrap_err().to_string();
    assert!(text.contains("exists already"), "{text}");
    assert!(convert(b"main 3", "in", &["-f"]).is_ok());
}

#[test]
fn what_cannot_be_converted_says_why() {
    let refused = |content: &[u8]| format!("{:#}", convert(content, "o", &[]).unwrap_err());
    let text = refused(b"hello");
    assert!(
        text.contains("no format of profiles begins with \"hello\""),
        "{text}"
    );
    let text = refused(b"main;a 1\nmain;b x1.5\nmain;c 1.5\n");
    assert!(text.contains("read collapsed stacks: line 2: "), "{text}");
    let text = refused(b"main 0\n");
    assert!(text.contains("nothing is measured"), "{text}");
}
