//! What a new process makes of the files that an old one left.

use std::fs;

use super::*;

/// A directory with these records, one segment for each slice.
async fn directory_with(segments: &[&[&[u8]]]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for payloads in segments {
        let (wal, ..) = open(directory.path(), options());
        for payload in *payloads {
            put(&wal, payload).await;
        }
        wal.close().unwrap();
    }
    directory
}

fn damaged_copies(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory.join("damaged"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn every_start_begins_a_new_segment() {
    let directory = directory_with(&[&[b"one"], &[b"two"], &[], &[b"three"]]).await;
    let (wal, recovery, replayed) = open(directory.path(), options());
    let expected = [(1, &b"one"[..]), (2, b"two"), (3, b"three")];
    assert_eq!(
        replayed,
        expected.map(|(id, payload)| (SegmentId(id), payload.to_vec()))
    );
    assert_eq!(
        recovery.segments, 3,
        "a start without records leaves no file"
    );
    assert_eq!(wal.segment(), SegmentId(4));
}

#[tokio::test]
async fn a_kill_at_any_byte_of_the_last_record_costs_that_record_only() {
    let whole = directory_with(&[&[b"older"], &[b"first", b"last record"]]).await;
    let name = "00000002.wal";
    let bytes = fs::read(whole.path().join(name)).unwrap();
    let last = bytes.len() - 16 - 11;
    for cut in last..bytes.len() {
        let directory = directory_with(&[&[b"older"]]).await;
        fs::write(directory.path().join(name), &bytes[..cut]).unwrap();
        let (wal, recovery, replayed) = open(directory.path(), options());
        assert_eq!(replayed.len(), 2, "cut at {cut}");
        assert_eq!(recovery.damage, []);
        let torn = Torn {
            segment: SegmentId(2),
            offset: last as u64,
            bytes: (cut - last) as u64,
        };
        assert_eq!(recovery.torn, if cut == last { vec![] } else { vec![torn] });
        assert_eq!(
            fs::metadata(directory.path().join(name)).unwrap().len(),
            last as u64
        );
        put(&wal, b"after").await;
        wal.close().unwrap();
        let (_, recovery, replayed) = open(directory.path(), options());
        assert_eq!(replayed.len(), 3);
        assert_eq!(recovery.torn, []);
    }
}

#[tokio::test]
async fn a_kill_at_any_byte_of_the_header_costs_nothing() {
    for length in 0..=24 {
        let directory = directory_with(&[&[b"older"]]).await;
        let header = frame::segment_header(SegmentId(2));
        fs::write(directory.path().join("00000002.wal"), &header[..length]).unwrap();
        let (wal, recovery, replayed) = open(directory.path(), options());
        assert_eq!(replayed, [(SegmentId(1), b"older".to_vec())]);
        assert_eq!(recovery.damage, []);
        assert_eq!(wal.segment(), SegmentId(3));
        assert!(!directory.path().join("00000002.wal").try_exists().unwrap());
    }
}

#[tokio::test]
async fn damage_in_the_middle_costs_what_it_hits_and_is_set_aside() {
    let directory = directory_with(&[&[b"one", b"two", b"three"], &[b"four"]]).await;
    let path = directory.path().join("00000001.wal");
    let mut bytes = fs::read(&path).unwrap();
    let two = 24 + 16 + 3;
    bytes[two + 17] ^= 0x40;
    fs::write(&path, &bytes).unwrap();
    for _ in 0..2 {
        let (_, recovery, replayed) = open(directory.path(), options());
        let replayed: Vec<_> = replayed.into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(replayed, [&b"one"[..], b"three", b"four"]);
        let copy = directory.path().join("damaged").join("00000001-43.bin");
        let damage = Damage {
            segment: SegmentId(1),
            offset: 43,
            bytes: 16 + 3,
            set_aside: Some(copy.clone()),
        };
        assert_eq!(recovery.damage, [damage]);
        assert_eq!(fs::read(copy).unwrap(), bytes[two..two + 19]);
    }
    assert_eq!(damaged_copies(directory.path()), ["00000001-43.bin"]);
    assert_eq!(
        fs::read(&path).unwrap(),
        bytes,
        "the segment itself is left as it is"
    );
}

#[tokio::test]
async fn the_end_of_an_older_segment_is_damage_and_not_cut_off() {
    let directory = directory_with(&[&[b"one", b"two"], &[b"three"]]).await;
    let path = directory.path().join("00000001.wal");
    let length = fs::metadata(&path).unwrap().len();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length - 1)
        .unwrap();
    let (_, recovery, replayed) = open(directory.path(), options());
    assert_eq!(replayed.len(), 2);
    assert_eq!(recovery.torn, []);
    assert_eq!(recovery.damage.len(), 1);
    assert_eq!(fs::metadata(&path).unwrap().len(), length - 1);
}

#[tokio::test]
async fn copies_of_damage_are_bounded() {
    let directory = directory_with(&[&[&[1; 600], b"between", &[2; 600], b"end"]]).await;
    let path = directory.path().join("00000001.wal");
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    bytes[24 + 16 + 600 + 16 + 7 + 100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (_, recovery, replayed) = open(
        directory.path(),
        Options {
            max_damaged_bytes: 1000,
            ..options()
        },
    );
    assert_eq!(replayed.len(), 2);
    let copied: Vec<bool> = recovery
        .damage
        .iter()
        .map(|damage| damage.set_aside.is_some())
        .collect();
    assert_eq!(copied, [true, false], "both are reported");
    assert_eq!(damaged_copies(directory.path()).len(), 1);
}

#[tokio::test]
async fn what_does_not_belong_there_is_left_alone() {
    let directory = directory_with(&[&[b"one"]]).await;
    fs::write(directory.path().join("notes.txt"), "hello").unwrap();
    fs::write(directory.path().join("2.wal"), "not our name").unwrap();
    fs::create_dir(directory.path().join("00000007.wal")).unwrap();
    let (wal, recovery, replayed) = open(directory.path(), options());
    assert_eq!(replayed.len(), 1);
    let foreign = ["00000007.wal", "2.wal", "notes.txt"].map(|name| directory.path().join(name));
    assert_eq!(recovery.foreign, foreign);
    assert_eq!(wal.segment(), SegmentId(8), "its number is taken");
    put(&wal, b"two").await;
    wal.close().unwrap();
    assert_eq!(payloads(directory.path()), [b"one", b"two"]);
    assert_eq!(
        fs::read(directory.path().join("notes.txt")).unwrap(),
        b"hello"
    );
}

#[tokio::test]
async fn a_log_of_a_newer_program_is_not_touched() {
    let directory = directory_with(&[&[b"one"]]).await;
    let path = directory.path().join("00000001.wal");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let checksum = frame::checksum(&bytes[..20]);
    bytes[20..24].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = Wal::open(directory.path(), options(), &mut |_, _| {}).unwrap_err();
    assert!(
        matches!(error, Error::Version { version: 9, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("00000001.wal"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_directory_that_cannot_be_read_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wal");
    fs::write(&path, "a file").unwrap();
    let error = Wal::open(&path, options(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(error.to_string().contains("wal"), "{error}");
}
