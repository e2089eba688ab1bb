//! Which symbols a profile shares in a block: one partition for each program.

use phlare_model::LabelsBuilder;
use phlare_model::labels::names::SERVICE_NAME;
use phlare_phlaredb::PartitionId;
use phlare_pprof::Normalized;
use xxhash_rust::xxh64::xxh64;

/// Files of mappings that are no programs.
const NO_PROGRAM: [&str; 4] = ["[", "linux-vdso", "/dev/dri/", "//anon"];

/// The partition of a profile (blocks.md 4.7): named after the file of its first mapping, else after the service.
/// OTLP profiles have many programs, so it is the service there.
pub(crate) fn of(profile: &Normalized<'_>, labels: &LabelsBuilder, otel: bool) -> PartitionId {
    let file = profile
        .mappings
        .first()
        .and_then(|mapping| profile.strings.get(mapping.filename as usize));
    let program = file.filter(|_| !otel).and_then(|file| program(file));
    let service = labels.get(SERVICE_NAME);
    let key = program
        .or_else(|| service.map(str::to_owned))
        .unwrap_or_else(|| "unknown".to_owned());
    PartitionId(xxh64(key.as_bytes(), 0))
}

fn program(file: &str) -> Option<String> {
    let file = file.trim();
    if file.is_empty() || NO_PROGRAM.iter().any(|prefix| file.starts_with(prefix)) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    let slashes = file.replace('\\', "/");
    for part in slashes.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
        .last()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_named_after_their_file() {
        let check = |file: &str, expected: Option<&str>| {
            assert_eq!(program(file).as_deref(), expected, "{file:?}")
        };
        check("/usr/bin/app", Some("app"));
        check("app", Some("app"));
        check(r"C:\Program Files\app.exe", Some("app.exe"));
        check("/usr/lib/../bin/app/", Some("app"));
        check("/usr/bin/x/..", Some("bin"));
        check("", None);
        check("/", None);
        check("[vdso]", None);
        check("linux-vdso.so.1", None);
        check("/dev/dri/card0", None);
        check("//anon", None);
    }
}
