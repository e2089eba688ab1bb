use super::*;

fn gunzip(input: &[u8], limit: usize) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    Inflater::new()
        .gunzip(input, limit, &mut out)
        .map(|()| out)
        .map_err(|e| e.to_string())
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * i % 251) as u8).collect()
}

#[test]
fn what_was_compressed_comes_back() {
    for length in [0, 1, 1000, 300_000] {
        for level in [0, 1, 6, 9, 99] {
            let packed = gzip(&text(length), level);
            assert!(is_gzip(&packed));
            assert_eq!(gunzip(&packed, length).unwrap(), text(length));
        }
    }
}

#[test]
fn several_members_are_one_stream() {
    let mut packed = gzip(&text(1000), 6);
    packed.extend(gzip(b"", 6));
    packed.extend(gzip(&text(10), 6));
    packed.extend(gzip(&text(1000), 6));
    let whole = [text(1000), text(10), text(1000)].concat();
    assert_eq!(gunzip(&packed, 2010).unwrap(), whole);
    assert!(
        gunzip(&packed, 2009)
            .unwrap_err()
            .contains("larger than 2009 bytes")
    );
}

#[test]
fn the_limit_is_exact() {
    let packed = gzip(&text(5000), 6);
    assert!(gunzip(&packed, 5000).is_ok());
    assert!(
        gunzip(&packed, 4999)
            .unwrap_err()
            .contains("max_profile_size_bytes")
    );
}

#[test]
fn garbage_behind_the_stream_is_refused_and_located() {
    let mut packed = gzip(&text(1000), 6);
    let length = packed.len();
    packed.extend(b"garbage!");
    packed.extend(1000_u32.to_le_bytes()); // so that the size looks right
    assert!(
        gunzip(&packed, 5000)
            .unwrap_err()
            .contains(&format!("12 bytes at offset {length}"))
    );
}

#[test]
fn every_truncation_is_refused() {
    let packed = gzip(&text(1000), 6);
    for length in 0..packed.len() {
        assert!(gunzip(&packed[..length], 5000).is_err(), "cut to {length}");
    }
}

#[test]
fn damage_is_refused() {
    let packed = gzip(&text(1000), 6);
    let checksum = packed.len() - 8;
    let mut wrong = packed.clone();
    wrong[checksum] ^= 1;
    assert!(gunzip(&wrong, 5000).unwrap_err().contains("checksum"));
    let mut wrong = packed.clone();
    wrong[packed.len() - 1] ^= 0x40;
    assert!(gunzip(&wrong, 5000).is_err(), "the size at the end lies");
    let mut wrong = packed;
    wrong[3] = 0xe0;
    assert!(gunzip(&wrong, 5000).is_err(), "reserved flags");
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    // 1 GiB of zeros would take 1 MiB: built from members of 16 MiB, as nobody wants to compress a GiB in a test.
    let member = gzip(&vec![0; 16 << 20], 9);
    let bomb = member.repeat(64);
    let mut out = Vec::new();
    let limit = 4 << 20;
    let refused = Inflater::new().gunzip(&bomb, limit, &mut out);
    assert!(matches!(refused, Err(Error::TooLarge { limit: 4_194_304 })));
    assert!(
        out.capacity() <= 2 * limit + 64,
        "{} bytes were taken",
        out.capacity()
    );
}

#[test]
fn the_output_buffer_is_used_again() {
    let mut inflater = Inflater::new();
    let mut out = Vec::new();
    inflater
        .gunzip(&gzip(&text(9000), 6), 10_000, &mut out)
        .unwrap();
    let room = out.capacity();
    inflater
        .gunzip(&gzip(&text(100), 6), 10_000, &mut out)
        .unwrap();
    assert_eq!(out, text(100));
    assert_eq!(out.capacity(), room);
}
