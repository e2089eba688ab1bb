//! Rules of ARCHITECTURE.md and CONTRIBUTING.md that a reader should not have to check.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The ladder: what a room may depend on. Never sideways, never up; tests may use more.
const LADDER: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("components/pprof", &["proto"]),
    ("components/model", &["proto"]),
    ("components/bucket", &["model"]),
    ("components/block", &["model"]),
    ("components/formats", &["model", "pprof", "proto"]),
    (
        "components/phlaredb",
        &["block", "bucket", "model", "pprof", "proto"],
    ),
    ("components/ring", &["model"]),
    ("components/tenancy", &["model"]),
    ("components/credentials", &["model"]),
    (
        "components/server",
        &["credentials", "model", "proto", "tenancy"],
    ),
    (
        "components/peer",
        &["credentials", "model", "proto", "ring", "server"],
    ),
    (
        "components/distributor",
        &[
            "formats", "model", "peer", "phlaredb", "pprof", "proto", "ring", "server", "tenancy",
        ],
    ),
    (
        "components/ingester",
        &[
            "block", "bucket", "model", "peer", "phlaredb", "pprof", "proto", "ring", "server",
            "tenancy",
        ],
    ),
    (
        "components/querier",
        &[
            "block", "model", "peer", "phlaredb", "proto", "ring", "server", "tenancy",
        ],
    ),
    (
        "components/store-gateway",
        &[
            "block", "bucket", "model", "peer", "phlaredb", "proto", "ring", "server",
        ],
    ),
    (
        "components/compactor",
        &["block", "bucket", "model", "phlaredb", "ring", "tenancy"],
    ),
    // They pass queries on as messages, so they know neither queriers nor the database.
    (
        "components/query-frontend",
        &["model", "peer", "proto", "ring", "server", "tenancy"],
    ),
    (
        "components/query-scheduler",
        &["model", "peer", "proto", "ring", "server", "tenancy"],
    ),
    (
        "components/tenant-settings",
        &["bucket", "model", "proto", "server"],
    ),
    (
        "components/ad-hoc-profiles",
        &[
            "bucket", "formats", "model", "pprof", "proto", "server", "tenancy",
        ],
    ),
    // A block is a directory to it, a server a URL, a Phlare on a Kubernetes a resource.
    (
        "components/phlarectl",
        &[
            "block",
            "bucket",
            "credentials",
            "formats",
            "model",
            "operator-api",
            "phlaredb",
            "pprof",
            "proto",
        ],
    ),
    // The operator knows the components by their flags and pages only.
    ("operator/api", &[]),
    ("operator", &["operator-api"]),
    // What speaks to the system from outside knows its wire and nothing else.
    ("e2e", &["operator-api", "proto"]),
    ("e2e/load", &["proto"]),
];

/// Longest file of code.
const LINES: usize = 500;
/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];

fn root() -> anyhow::Result<PathBuf> {
    let tidy = Path::new(env!("CARGO_MANIFEST_DIR"));
    tidy.ancestors()
        .nth(2)
        .map(Path::to_owned)
        .context("the workspace is two levels up")
}

/// Files of the repository: those git knows, or, without git, all there are.
fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let git = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output();
    if let Ok(output) = git
        && output.status.success()
    {
        let names = String::from_utf8(output.stdout)?;
        return Ok(names
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .collect());
    }
    let mut found = Vec::new();
    walk(root, root, &mut found)?;
    Ok(found)
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in
        std::fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "node_modules" {
                walk(root, &path, found)?;
            }
        } else {
            found.push(path.strip_prefix(root)?.to_owned());
        }
    }
    Ok(())
}

/// Text files and what is in them; a file that was just deleted is left out.
fn texts(root: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let names = files(root)?;
    ensure!(names.len() > 100, "only {} files were found", names.len());
    let read = |name: PathBuf| {
        Some((
            name.display().to_string(),
            std::fs::read_to_string(root.join(&name)).ok()?,
        ))
    };
    Ok(names.into_iter().filter_map(read).collect())
}

/// Rooms in the `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let section = manifest
        .split("\n[")
        .find(|section| section.starts_with("dependencies]"))
        .unwrap_or_default();
    let room = |line: &str| {
        Some(
            line.strip_prefix("phlare-")?
                .split(['.', ' ', '='])
                .next()?
                .to_owned(),
        )
    };
    section.lines().filter_map(room).collect()
}

#[test]
fn rooms_depend_only_downwards() -> anyhow::Result<()> {
    let root = root()?;
    let mut wrong = Vec::new();
    for (room, allowed) in LADDER {
        let path = root.join(room).join("Cargo.toml");
        let manifest =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let strange = dependencies(&manifest)
            .into_iter()
            .filter(|name| !allowed.contains(&name.as_str()));
        wrong.extend(strange.map(|name| format!("{room} depends on {name}")));
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn every_room_has_its_place_on_the_ladder() -> anyhow::Result<()> {
    let root = root()?;
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let members = manifest
        .split_once("members = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .context("the members")?
        .0;
    for member in members
        .split(',')
        .map(|member| member.trim().trim_matches('"'))
        .filter(|member| !member.is_empty())
    {
        // `phlare` connects all; this one is about the repository.
        let free = ["components/phlare", "e2e/tidy"].contains(&member);
        ensure!(
            free || LADDER.iter().any(|(room, _)| *room == member),
            "{member} is not on the ladder"
        );
    }
    Ok(())
}

/// Lines of a file up to its tests.
fn code_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .count()
}

#[test]
fn no_file_of_code_is_longer_than_a_reader_can_hold() -> anyhow::Result<()> {
    let mut long = Vec::new();
    for (name, text) in texts(&root()?)? {
        let is_test = name
            .split('/')
            .any(|part| part == "tests" || part == "tests.rs" || part == "benches");
        let excused = LONGER
            .iter()
            .any(|(file, reason)| *file == name && !reason.is_empty());
        let lines = code_lines(&text);
        if name.ends_with(".rs") && !is_test && !excused && lines > LINES {
            long.push(format!("{name}: {lines} lines"));
        }
    }
    ensure!(long.is_empty(), "longer than {LINES} lines: {long:#?}");
    Ok(())
}

#[test]
fn no_file_names_a_place_that_exists_on_one_machine_only() -> anyhow::Result<()> {
    // In pieces, so that this file does not find itself.
    let places = [
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["/wo", "rk/"],
        ["/Us", "ers/"],
    ]
    .map(|p| p.concat());
    let mut wrong = Vec::new();
    for (name, text) in texts(&root()?)? {
        // Recorded profiles are as they came; their programs had paths, too.
        if name.contains("/data/") || name.contains("__fuzz__") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            wrong.extend(
                places
                    .iter()
                    .filter(|place| line.contains(*place))
                    .map(|place| format!("{name}:{}: {place}", number + 1)),
            );
        }
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

#[test]
fn lock_files_name_no_host_that_packages_came_from() -> anyhow::Result<()> {
    for (name, text) in texts(&root()?)? {
        if name.ends_with("package-lock.json") {
            ensure!(
                !text.contains("\"resolved\""),
                "{name} says where packages came from; npm has omit-lockfile-registry-resolved"
            );
        }
    }
    Ok(())
}

#[test]
fn every_service_in_a_proto_file_is_among_the_methods() -> anyhow::Result<()> {
    let mut count = 0;
    for (name, text) in texts(&root()?)? {
        if !name.ends_with(".proto") {
            continue;
        }
        let package = text
            .lines()
            .find_map(|line| line.strip_prefix("package "))
            .context(name.clone())?
            .trim_end_matches(';');
        let mut service = "";
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("service ") {
                service = rest.split(' ').next().unwrap_or_default();
            } else if let Some(rest) = line.strip_prefix("rpc ") {
                let method = rest.split('(').next().unwrap_or_default().trim();
                let path = format!("{package}.{service}/{method}");
                ensure!(
                    phlare_proto::METHODS.iter().any(|known| known.path == path),
                    "{path} is not in METHODS"
                );
                count += 1;
            }
        }
    }
    ensure!(
        count == phlare_proto::METHODS.len(),
        "{count} methods in the files, {} in METHODS",
        phlare_proto::METHODS.len()
    );
    Ok(())
}
