use super::super::testing::{real_path, reseal_index};
use super::*;

fn real_index(directory: &str) -> Option<Vec<u8>> {
    let path = real_path(directory)?;
    let read = |name: &str| std::fs::read(path.join(name));
    read("index.symdb")
        .or_else(|_| read("symbols/index.symdb"))
        .ok()
}

fn chunk(offset: u64, size: u64, nodes: u32, max_nodes: u32) -> (u64, u64, u32, u32) {
    (offset, size, nodes, max_nodes)
}

fn chunks(partition: &Partition) -> Vec<(u64, u64, u32, u32)> {
    let fields = |c: &Chunk| chunk(c.offset, c.size, c.nodes, c.max_nodes);
    partition.chunks.iter().map(fields).collect()
}

#[test]
fn format_1_has_chunks_only() {
    let bytes = real_index("symdb/v1").unwrap();
    assert_eq!(bytes.len(), 420);
    let index = Index::parse("index", 0, &bytes).unwrap();
    let ids: Vec<_> = index
        .partitions
        .iter()
        .map(|partition| partition.id)
        .collect();
    assert_eq!(ids, [0, 1]);
    assert_eq!(
        chunks(&index.partitions[0]),
        [chunk(0, 10, 4, 7), chunk(10, 15, 5, 7), chunk(25, 15, 5, 7)]
    );
    assert_eq!(
        chunks(&index.partitions[1]),
        [
            chunk(40, 10, 4, 7),
            chunk(50, 15, 5, 7),
            chunk(65, 15, 5, 7)
        ]
    );
    assert_eq!(index.partitions[1].tables, Tables::Shared);
}

#[test]
fn an_early_block_has_one_chunk() {
    let Some(bytes) = real_index("blocks/v2/*") else {
        return;
    };
    let index = Index::parse("index", 0, &bytes).unwrap();
    let [partition] = &*index.partitions else {
        panic!("{index:?}");
    };
    assert_eq!(chunks(partition), [chunk(0, 10084, 2874, 1 << 20)]);
    assert_eq!(partition.chunks[0].crc, 3_232_534_075);
}

#[test]
fn format_2_has_ranges_of_rows() {
    let Some(bytes) = real_index("symdb/v2") else {
        return;
    };
    let index = Index::parse("index", 0, &bytes).unwrap();
    let range = |first, rows| {
        vec![RowRange {
            row_group: 0,
            first,
            rows,
        }]
    };
    let rows: Vec<_> = index
        .partitions
        .iter()
        .map(|partition| &partition.tables)
        .collect();
    let second = Rows {
        locations: range(762, 762),
        mappings: range(3, 3),
        functions: range(507, 507),
        strings: range(701, 701),
    };
    assert_eq!(rows[1], &Tables::Rows(second));
    assert_eq!(
        chunks(&index.partitions[1]),
        [chunk(5789, 5789, 1793, 1 << 20)]
    );
}

#[test]
fn format_3_has_sections() {
    let Some(path) = real_path("symdb/v3") else {
        return;
    };
    let bytes = std::fs::read(path.join("symbols.symdb")).unwrap();
    let size = bytes.len();
    let offset = Index::offset("symbols", size as u64, &bytes[size - FOOTER..]).unwrap();
    assert_eq!((size, offset), (89_300, 88_572));
    let index = &bytes[offset as usize..size - FOOTER];
    let index = Index::parse("symbols", offset, index).unwrap();
    assert_eq!(
        chunks(&index.partitions[0]),
        [
            chunk(36_958, 3197, 1004, 1024),
            chunk(40_155, 3203, 1001, 1024),
            chunk(43_358, 928, 314, 1024)
        ]
    );
    let Tables::Sections(sections) = &index.partitions[0].tables else {
        panic!("{index:?}");
    };
    let section = |offset, size, crc, items, block_header| Section {
        offset,
        size,
        crc,
        items,
        items_per_block: 1024,
        block_header,
    };
    let expected = Sections {
        locations: section(33_453, 3505, 2_208_570_050, 718, 28),
        mappings: section(31_747, 536, 1_594_566_132, 3, 32),
        functions: section(32_283, 1170, 382_612_768, 506, 24),
        strings: section(0, 31_747, 2_738_439_485, 699, 12),
    };
    assert_eq!(**sections, expected);
}

#[test]
fn what_we_write_differs_in_what_readers_ignore() {
    for directory in ["blocks/v3/*", "blocks/v3-golden/anonymous/phlaredb/*"] {
        let Some(theirs) = real_index(directory) else {
            continue;
        };
        let index = Index::parse("index", 0, &theirs).unwrap();
        let ours = write_rows(&index.partitions);
        assert_eq!(Index::parse("index", 0, &ours).unwrap(), index);
        assert_eq!(ours.len(), theirs.len());
        // Each partition has 28 bytes, a chunk of 64 and four ranges of 12.
        let is_ignored = |at: usize| {
            let in_chunk = at.checked_sub(36 + 28).map(|at| at % (28 + 64 + 48));
            (8..16).contains(&at)
                || at >= theirs.len() - 4
                || matches!(in_chunk, Some(24..=26 | 28..36 | 40..44 | 48..60))
                || matches!(in_chunk, Some(44..48)) // M was 1048576
        };
        for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            assert!(ours == theirs || is_ignored(at), "{directory} byte {at}");
        }
    }
}

#[test]
fn partitions_are_sorted_and_none_is_there_twice() {
    let bytes = real_index("symdb/v1").unwrap();
    let mut swapped = bytes.clone();
    for chunk in 0..6 {
        // the last byte of the id
        swapped[HEADER + chunk * CHUNK + 23] ^= 1;
    }
    reseal_index(&mut swapped);
    let index = Index::parse("index", 0, &swapped).unwrap();
    assert_eq!(index.partitions[0].id, 0);
    assert_eq!(index.partitions[0].chunks[0].offset, 40);

    let mut twice = bytes;
    twice[HEADER + CHUNK + 23] = 1;
    reseal_index(&mut twice);
    let error = Index::parse("index", 0, &twice).unwrap_err().to_string();
    assert!(error.contains("is there twice"), "{error}");
}

#[test]
fn unknown_formats_are_refused() {
    for version in [0, 4] {
        let mut bytes = real_index("symdb/v1").unwrap();
        bytes[7] = version;
        reseal_index(&mut bytes);
        let error = Index::parse("index", 0, &bytes).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for directory in ["symdb/v1", "blocks/v3/*"] {
        let bytes = real_index(directory).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let error = Index::parse("index", 0, &flipped).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{at}: {error}");
        }
    }
}

#[test]
fn truncated_indexes_are_refused_even_with_a_checksum() {
    for directory in ["symdb/v1", "blocks/v3/*"] {
        let bytes = real_index(directory).unwrap();
        for length in 0..bytes.len() {
            let mut cut = bytes[..length].to_vec();
            assert!(Index::parse("index", 0, &cut).is_err());
            reseal_index(&mut cut);
            assert!(Index::parse("index", 0, &cut).is_err(), "{length}");
        }
    }
}
