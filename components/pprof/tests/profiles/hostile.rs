//! Bytes that nobody means well with: never a panic, never more memory than a multiple of the input.

use std::path::Path;

use phlare_pprof::{Options, ScriptNames, Workspace};
use prost::Message;

use super::build::{options, profile};
use super::canonical::of_result;

fn try_all(bytes: &[u8]) {
    let repairs = Options {
        go_fixes: true,
        script_names: Some(ScriptNames::All),
        repair_function_ids: true,
        rename_dashes: true,
        max_samples: 3,
        max_depth: 4,
        max_symbol_length: 5,
        ..options()
    };
    let mut workspace = Workspace::new();
    for options in [options(), repairs] {
        if let Ok(n) = workspace
            .decode(bytes, 1 << 20)
            .and_then(|decoded| decoded.normalize(&options))
        {
            drop(of_result(&n));
        }
    }
}

/// Begins with what is in `__fuzz__/hostile/corpus`.
#[test]
fn hostile_bytes_never_panic() {
    bolero::check!(name = "hostile")
        .with_iterations(20_000)
        .for_each(|bytes: &[u8]| try_all(bytes));
}

#[test]
fn every_byte_of_a_profile_can_have_any_value() {
    let mut p = profile();
    super::build::label(&mut p, 0, "span_id", "0011223344556677");
    let whole = p.encode_to_vec();
    for at in 0..whole.len() {
        for value in [0, 1, 2, 8, 0x12, 0x1a, 0x22, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            try_all(&bytes);
        }
    }
}

#[test]
fn damaged_real_profiles_never_panic() {
    let mut inflater = phlare_pprof::gzip::Inflater::new();
    for file in [
        "go.cpu.labels.pprof",
        "single_group_with_optional_span_id.pb.gz",
        "no_addr_no_line.pb.gz",
    ] {
        let raw = std::fs::read(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/data")
                .join(file),
        )
        .unwrap();
        let mut whole = Vec::new();
        inflater.gunzip(&raw, 1 << 20, &mut whole).unwrap();
        for i in 0..300_usize {
            let mut bytes = whole.clone();
            let at = i.wrapping_mul(0x9e37_79b9) % whole.len();
            bytes[at] = bytes[at].wrapping_add(1 + (i % 255) as u8);
            try_all(&bytes);
        }
    }
}

#[test]
fn counts_that_are_not_there_take_no_memory() {
    // A list that says it has 2^60 bytes; a string of 4 GiB; a sample of 2^31 bytes.
    for bytes in [
        &[0x12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10][..],
        &[0x32, 0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0x12, 0x80, 0x80, 0x80, 0x80, 0x08],
    ] {
        assert!(Workspace::new().decode(bytes, 0).is_err());
    }
}
