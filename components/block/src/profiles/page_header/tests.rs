#![expect(clippy::indexing_slicing, reason = "tests know their lengths")]

use super::*;

fn written(header: &PageHeader) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    bytes
}

fn kinds() -> [Kind; 3] {
    [
        Kind::V1 {
            level_encodings: [3, 3],
        },
        Kind::V2 {
            nulls: 3,
            rows: 200,
            level_bytes: [70, 0],
            is_compressed: true,
        },
        Kind::Dictionary { is_sorted: false },
    ]
}

fn header(kind: Kind) -> PageHeader {
    PageHeader {
        kind,
        uncompressed: 70_000,
        compressed: 300,
        crc: Some(0xfedc_ba98),
        values: 12_345,
        encoding: 9,
    }
}

#[test]
fn headers_come_back() {
    for kind in kinds() {
        let header = header(kind);
        let mut bytes = written(&header);
        let length = bytes.len();
        bytes.extend_from_slice(b"body");
        assert_eq!(PageHeader::read(&bytes), Ok((header, length)));
    }
}

#[test]
fn a_header_of_upstream_is_read() {
    // The first page of blocks/v3-golden: 142 ids of 16 bytes.
    let bytes = [
        0x15, 0x06, 0x15, 0xc0, 0x23, 0x15, 0xc0, 0x23, 0x15, 0xb5, 0xe1, 0x83, 0xfe, 0x0e, 0x4c,
        0x15, 0x9c, 0x02, 0x15, 0x00, 0x15, 0x9c, 0x02, 0x15, 0x00, 0x15, 0x00, 0x15, 0x00, 0x12,
        0x1c, 0x18, 0x01, 0xff, 0x18, 0x01, 0x03, 0x00, 0x00, 0x00, 0xff,
    ];
    let (header, length) = PageHeader::read(&bytes).unwrap();
    let kind = Kind::V2 {
        nulls: 0,
        rows: 142,
        level_bytes: [0, 0],
        is_compressed: false,
    };
    assert_eq!(header.kind, kind);
    let sizes = (header.uncompressed, header.compressed, header.values);
    assert_eq!(sizes, (2272, 2272, 142));
    assert_eq!(header.encoding, 0);
    assert!(header.crc.is_some());
    assert_eq!(length, bytes.len() - 1);
}

#[test]
fn cut_headers_are_refused() {
    for kind in kinds() {
        let bytes = written(&header(kind));
        for end in 0..bytes.len() {
            assert!(
                PageHeader::read(&bytes[..end]).is_err(),
                "{kind:?} cut at {end}"
            );
        }
    }
}

#[test]
fn nested_nonsense_ends() {
    // Lists of lists of lists…, each said to be long.
    assert!(PageHeader::read(&[0x99; 64]).is_err());
    // Structures in structures.
    assert!(PageHeader::read(&[0x9c; 64]).is_err());
    // A list of 2⁶³ flags.
    let list = [
        0x99, 0xf1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ];
    assert!(PageHeader::read(&list).is_err());
}

#[test]
fn hostile_headers_never_panic() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = PageHeader::read(bytes);
    });
}
