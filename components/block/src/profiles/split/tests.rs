#![expect(clippy::indexing_slicing, reason = "tests know their lengths")]

use super::*;

#[test]
fn zeros_of_runs_and_groups_are_found() {
    let mut places = Vec::new();
    // A run of three zeros, a group of eight levels, a run of ones that goes on behind the last.
    let levels = [
        3 << 1,
        0,
        1 << 1 | 1,
        0b1011_1110,
        200 << 1 & 0x7f | 0x80,
        3,
        1,
    ];
    zeros(&levels, 20, &mut places).unwrap();
    assert_eq!(places, [0, 1, 2, 3, 9]);
    // The last group has more levels than there are.
    zeros(&[1 << 1 | 1, 0b0000_0001], 3, &mut places).unwrap();
    assert_eq!(places, [1, 2]);
}

#[test]
fn broken_levels_are_refused() {
    let mut places = Vec::new();
    for levels in [&[][..], &[2], &[0, 1], &[1], &[5, 0xff], &[0x80, 0x80]] {
        assert!(zeros(levels, 100, &mut places).is_err(), "{levels:?}");
    }
    assert!(zeros(&[0xff; 40], 100, &mut places).is_err());
}

#[test]
fn streams_become_values() {
    let values: Vec<u64> = (0..3000u64).map(|i| (i * i * i) << (i % 40)).collect();
    let mut streams = Vec::new();
    for byte in 0..8 {
        streams.extend(values.iter().map(|value| value.to_le_bytes()[byte]));
    }
    for range in [0..3000, 0..0, 1500..1501, 17..2900] {
        let mut out = vec![7];
        assert!(join(&streams, range.clone(), &mut out));
        assert_eq!(out[1..], values[range]);
    }
    assert!(!join(&streams, 0..3001, &mut Vec::new()));
    assert!(!join(&[], 0..1, &mut Vec::new()));
    assert!(join(&[], 0..0, &mut Vec::new()));
}
