//! Files that are not what they were, by chance or by intent.

use std::sync::LazyLock;

use super::super::toc::{HEADER, LEN};
use super::*;
use crc_fast::crc32_iscsi;

/// Compiled once: that takes longer than all else here.
static SELECTORS: LazyLock<Vec<Selector>> = LazyLock::new(|| {
    let texts = [
        "{}",
        r#"{__type__="inuse_space"}"#,
        r#"{__type__=~"inuse_(space|objects)",job!=""}"#,
        r#"{__type__!="inuse_space",instance=~".+0"}"#,
        r#"{__type__!~".*space",nope=""}"#,
        r#"{job="default",__unit__!~"b.*"}"#,
        r#"{job=~".*",__period_type__=~"s.+"}"#,
    ];
    texts.map(|text| Selector::parse(text).unwrap()).into()
});

/// All that can be asked of an index. Damage that one question meets is no answer to others.
fn answers(index: &Index) -> Vec<Result<String, Error>> {
    let mut answers = vec![Ok(format!("{:?}", index.bounds_ns()))];
    for ordinal in 0..index.series_count() {
        let entry = index.entry(ordinal).map(|entry| format!("{entry:?}"));
        answers.push(entry);
        let fingerprint = index.fingerprint(ordinal);
        answers.push(fingerprint.map(|fingerprint| fingerprint.to_string()));
        answers.push(index.times_ns(ordinal).map(|times| format!("{times:?}")));
    }
    let names = index.label_names();
    for name in names.iter().flatten() {
        let values = index.label_values(name);
        answers.push(values.map(|values| values.join(",")));
    }
    answers.push(names.map(|names| names.join(",")));
    for selector in SELECTORS.iter() {
        let found = index.select(selector);
        answers.push(found.map(|found| format!("{found:?}")));
    }
    answers
}

#[test]
fn a_changed_byte_is_noticed_or_changes_no_answer() {
    let whole = testdata::file(V1);
    let expected: Vec<_> = answers(&real(V1)).into_iter().map(Result::unwrap).collect();
    let mut opened = 0;
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let index = match open(bytes) {
                Ok(index) => index,
                Err(Error::Unsupported { .. }) if at == HEADER.len() - 1 => continue,
                Err(error) => {
                    assert!(damage(&error) <= whole.len() as u64);
                    continue;
                }
            };
            opened += 1;
            let error = index.verify().expect_err(&format!("byte {at}"));
            assert!(damage(&error) <= whole.len() as u64);
            let answers = answers(&index);
            assert_eq!(answers.len(), expected.len());
            for (answer, expected) in answers.into_iter().zip(&expected) {
                match answer {
                    Ok(answer) => assert_eq!(&answer, expected, "byte {at}"),
                    Err(error) => assert!(damage(&error) <= whole.len() as u64),
                }
            }
        }
    }
    // Series, lists and label indices are not read when a file is opened.
    assert!(opened > whole.len(), "{opened}");
}

#[test]
fn cut_files_are_refused() {
    for name in [V1, GOLDEN] {
        let whole = testdata::file(name);
        for length in 0..whole.len() {
            let error = open(whole[..length].to_vec()).unwrap_err();
            assert!(damage(&error) <= length as u64);
        }
    }
}

#[test]
fn other_files_are_refused() {
    let whole = testdata::file(V1);
    let twice = [whole.clone(), whole.clone()].concat();
    let longer = [whole.as_slice(), &[0]].concat();
    let shifted = [&[0], whole.as_slice()].concat();
    for bytes in [twice, longer, shifted, vec![0; 5000], b"{}".to_vec()] {
        damage(&open(bytes).unwrap_err());
    }
}

/// Makes all checksums right again that can be found, so that what lies behind them is reached.
fn repair(bytes: &mut [u8]) {
    let Some(toc) = bytes.len().checked_sub(LEN) else {
        return;
    };
    let place = |bytes: &[u8], field: usize| {
        let at = toc + field * 8;
        u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
    };
    for field in [0, 3, 5, 6] {
        section(bytes, place(bytes, field));
    }
    // Lists and label indices follow each other, at multiples of 4.
    for (from, to) in [
        (place(bytes, 2), place(bytes, 4)),
        (place(bytes, 4), place(bytes, 3)),
    ] {
        let mut next = Some(from);
        while let Some(at) = next.filter(|&at| at < to) {
            next = section(bytes, at.next_multiple_of(4));
        }
    }
    let mut next = Some(place(bytes, 1));
    while let Some(at) = next.filter(|&at| at < place(bytes, 2)) {
        next = series(bytes, at.next_multiple_of(16));
    }
    let checksum = crc32_iscsi(&bytes[toc..toc + LEN - 4]);
    bytes[toc + LEN - 4..].copy_from_slice(&checksum.to_be_bytes());
}

fn section(bytes: &mut [u8], at: usize) -> Option<usize> {
    let start = at.checked_add(4)?;
    let length = u32::from_be_bytes(bytes.get(at..start)?.try_into().ok()?);
    checksum(bytes, start, length as usize)
}

fn series(bytes: &mut [u8], at: usize) -> Option<usize> {
    let mut reader = reader::Reader::new(bytes, at);
    let length = usize::try_from(reader.uvarint()?).ok()?;
    let start = reader.at();
    checksum(bytes, start, length)
}

fn checksum(bytes: &mut [u8], start: usize, length: usize) -> Option<usize> {
    let end = start.checked_add(length)?;
    let checksum = crc32_iscsi(bytes.get(start..end)?).to_be_bytes();
    bytes
        .get_mut(end..end.checked_add(4)?)?
        .copy_from_slice(&checksum);
    end.checked_add(4)
}

/// Asks everything; if the file is as it should be, the answers must be those of the definition, and it comes back.
fn ask_all(bytes: Vec<u8>) -> Option<Index> {
    let index = open(bytes).ok()?;
    let answers = answers(&index);
    index.verify().ok()?;
    assert!(answers.iter().all(Result::is_ok));
    let series = entries(&index);
    for selector in SELECTORS.iter() {
        let found = index.select(selector).unwrap();
        assert_eq!(found, by_definition(&series, selector));
    }
    Some(index)
}

#[test]
fn right_checksums_of_wrong_bytes_do_no_harm() {
    let whole = testdata::file(V1);
    let mut repaired = whole.clone();
    repair(&mut repaired);
    assert!(repaired == whole);
    for at in 0..whole.len() {
        for value in [0, 1, 2, 3, 0x10, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            repair(&mut bytes);
            let Some(index) = ask_all(bytes.clone()) else {
                continue;
            };
            // Nothing is free but what a series says of its size: what passes is what the writer makes of it.
            let again = written(&entries(&index));
            let series = index.toc.series..index.toc.label_indices;
            assert_eq!(again.len(), bytes.len());
            assert!(again[..series.start] == bytes[..series.start], "byte {at}");
            assert!(again[series.end..] == bytes[series.end..], "byte {at}");
        }
    }
}

/// The input is a list of changes to a real index: two bytes where, one byte what.
#[test]
fn hostile_index_is_read_or_refused() {
    let whole = testdata::file(V1);
    bolero::check!(name = "index")
        .with_iterations(20_000)
        .for_each(|changes: &[u8]| {
            let mut bytes = whole.clone();
            for change in changes.chunks_exact(3) {
                let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
                let len = bytes.len();
                bytes[at % len] = change[2];
            }
            repair(&mut bytes);
            ask_all(bytes);
            // And bytes as they are.
            ask_all(changes.to_vec());
        });
}
