use clap::CommandFactory;

use super::*;

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    let args = std::iter::once("phlarectl")
        .chain(args.iter().copied())
        .map(OsString::from);
    Cli::try_parse_from(normalise(args))
}

#[test]
fn the_command_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn long_flags_may_have_one_dash() {
    let args = ["-h", "-", "-1", "-url=x", "--to", "-from", "--", "-after"].map(OsString::from);
    let expected =
        ["-h", "-", "-1", "--url=x", "--to", "--from", "--", "-after"].map(OsString::from);
    assert_eq!(normalise(args), expected);
}

#[test]
fn server_flags_are_taken_after_the_command() {
    let cli = parse(&[
        "query",
        "merge",
        "-url=http://x",
        "-tenant-id",
        "t",
        "-f",
        "-output=pprof=a.pb.gz",
    ])
    .unwrap();
    assert_eq!(cli.server.url, "http://x");
    assert_eq!(cli.server.tenant_id.as_deref(), Some("t"));
    let Command::Query(QueryCommand::Profile(args)) = cli.command else {
        panic!("not query profile")
    };
    assert!(args.force);
    assert_eq!(args.output, ProfileOutput::Pprof("a.pb.gz".into()));
    assert_eq!(args.select.profile_type, CPU);
}

#[test]
fn outputs_are_checked() {
    for wrong in ["pprof", "pprof=", "csv", "table=x", ""] {
        assert!(wrong.parse::<ProfileOutput>().is_err(), "{wrong}");
    }
    assert_eq!("console".parse(), Ok(ProfileOutput::Table));
}

#[test]
fn booleans_are_written_as_in_go() {
    let callees = |args: &[&str]| match parse(args).unwrap().command {
        Command::Query(QueryCommand::GoPgo(args)) => args.aggregate_callees,
        other => panic!("{other:?}"),
    };
    assert!(callees(&["query", "go-pgo"]));
    assert!(callees(&["query", "go-pgo", "-aggregate-callees"]));
    assert!(!callees(&["query", "go-pgo", "-aggregate-callees=F"]));
    assert!(parse(&["query", "go-pgo", "-aggregate-callees=maybe"]).is_err());
}

#[test]
fn ranges_must_go_forward() {
    let range = |from: &str, to: &str| {
        RangeArgs {
            from: (!from.is_empty()).then(|| from.into()),
            to: (!to.is_empty()).then(|| to.into()),
            query: "{}".into(),
        }
        .range_ms(10_000_000, (5_000_000, 7_000_000))
    };
    assert_eq!(range("", "").unwrap(), (5_000_000, 7_000_000));
    let backwards = range("now", "").unwrap_err().to_string();
    assert_eq!(
        backwards,
        "--from `now` is not before --to `1970-01-01T01:56:40Z`"
    );
    assert_eq!(range("now-1h", "now").unwrap(), (6_400_000, 10_000_000));
    assert!(
        range("now", "now-1h")
            .unwrap_err()
            .to_string()
            .contains("not before")
    );
    assert!(
        range("soon", "now")
            .unwrap_err()
            .to_string()
            .starts_with("--from: ")
    );
}

#[test]
fn upload_labels_are_pairs() {
    let cli = parse(&[
        "upload",
        "a",
        "b",
        "--extra-labels",
        "x=1",
        "--extra-labels=y=a=b",
    ])
    .unwrap();
    let Command::Upload(args) = cli.command else {
        panic!("not upload")
    };
    assert_eq!(
        args.extra_labels,
        [("x".into(), "1".into()), ("y".into(), "a=b".into())]
    );
    assert!(parse(&["upload", "a", "--extra-labels", "x"]).is_err());
    assert!(parse(&["upload", "a", "--concurrency", "0"]).is_err());
    assert!(parse(&["upload"]).is_err());
    assert!(parse(&["upload", "a", "--override-timestamp", "--timestamp", "now"]).is_err());
}
