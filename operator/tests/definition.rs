//! The files that are generated from this crate are what it would generate.

use std::fs;
use std::path::Path;

#[test]
fn the_definition_in_crds_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/phlareclusters.phlare.dev.yaml");
    let there = fs::read_to_string(path).unwrap_or_default();
    let generated = phlare_operator::definition().unwrap();
    assert!(
        there == generated,
        "write it anew: cargo run -p phlare-operator -- crd > crds/phlareclusters.phlare.dev.yaml"
    );
    // `kubectl apply` keeps a copy in an annotation, which has room for 262 144 bytes.
    assert!(there.len() < 200_000, "{} bytes", there.len());
}
