//! Memory and series are bounded.

use std::time::Duration;

use phlare_model::{Classify, ErrorKind};
use phlare_phlaredb::Error;

use crate::support::{CPU, GO_CPU, T0_MS, block_on, open, open_with};

#[test]
fn a_series_above_the_limit_is_refused_until_others_are_idle() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open(directory.path());
    // Two series for each push: samples and CPU time.
    let push = |service: &str| fixture.append(GO_CPU, "process_cpu", service, T0_MS, 4);
    push("a").unwrap();
    push("b").unwrap();
    let error = push("c").unwrap_err();
    assert!(
        matches!(
            error,
            Error::SeriesLimit {
                active: 4,
                limit: 4,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    fixture
        .append(GO_CPU, "process_cpu", "a", T0_MS + 1, 4)
        .unwrap();
    fixture.clock.advance(Duration::from_secs(601));
    push("c").unwrap();
    assert_eq!(
        fixture.total(CPU, r#"{service_name="a"}"#),
        2 * fixture.total(CPU, r#"{service_name="c"}"#)
    );
}

#[test]
fn a_full_head_refuses_and_says_which_limit() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open_with(directory.path(), |config| {
        config.head_max_bytes_per_tenant = 1;
    });
    let error = fixture
        .append(GO_CPU, "process_cpu", "a", T0_MS, 0)
        .unwrap_err();
    assert!(matches!(error, Error::TenantMemory { .. }), "{error}");
    assert!(
        error.to_string().contains("head-max-bytes-per-tenant"),
        "{error}"
    );
    assert_eq!(fixture.total(CPU, "{}"), 0);
}

#[test]
fn all_heads_share_one_budget() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = open_with(directory.path(), |config| config.head_max_bytes = 300_000);
    let mut stored = 0;
    let error = loop {
        match fixture.append(GO_CPU, "process_cpu", "a", T0_MS + stored, 0) {
            Ok(commit) => block_on(commit.wait()).unwrap(),
            Err(error) => break error,
        }
        stored += 1;
        assert!(stored < 10_000, "never refused");
    };
    assert!(matches!(error, Error::ProcessMemory { .. }), "{error}");
    assert!(fixture.budget.used() >= 300_000);
    assert!(fixture.budget.used() < 400_000, "{}", fixture.budget.used());
}
