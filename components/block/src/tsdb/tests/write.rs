//! What the writer refuses, and what it does with odd label sets.

use std::io;

use super::*;

#[track_caller]
fn refused(series: &[SeriesEntry]) -> String {
    let error = write(series, "index.tsdb", &mut Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Unwritable { .. }), "{error}");
    error.to_string()
}

#[test]
fn series_must_ascend_and_have_names_and_times_in_order() {
    let (a, b) = (entry([("a", "1")]), entry([("b", "1")]));
    for series in [[b.clone(), a.clone()], [a.clone(), a.clone()]] {
        assert!(refused(&series).contains("series 1 does not come after"));
    }
    let nameless = entry([("", "x"), ("a", "1")]);
    assert!(refused(&[nameless]).contains("series 0 has a label without a name"));
    let backwards = SeriesEntry { min_ns: 3, ..a };
    assert!(refused(&[backwards, b]).contains("series 0 ends before it begins"));
}

#[test]
fn a_full_disk_is_reported() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = write(&[], "index.tsdb", &mut Full).unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
}

#[test]
fn times_of_all_64_bits_come_back() {
    let times = [
        (i64::MIN, i64::MAX),
        (i64::MIN, i64::MIN),
        (i64::MAX, i64::MAX),
        (0, 0),
        (-1, 5),
    ];
    let series: Vec<_> = times
        .iter()
        .zip(["a", "b", "c", "d", "e"])
        .map(|(&(min_ns, max_ns), name)| SeriesEntry {
            labels: Labels::from_pairs([(name, "")]),
            min_ns,
            max_ns,
        })
        .collect();
    let index = open(written(&series)).unwrap();
    index.verify().unwrap();
    assert_eq!(entries(&index), series);
    assert_eq!(index.bounds_ns(), (i64::MIN, i64::MAX));
}

#[test]
fn fingerprints_are_listed_for_each_1024th_series() {
    let names: Vec<_> = (0..2049).map(|i| format!("{i:04}")).collect();
    let series: Vec<_> = names
        .iter()
        .map(|name| entry([("n", name.as_str())]))
        .collect();
    let index = open(written(&series)).unwrap();
    index.verify().unwrap();
    let toc = index.toc;
    let body = index
        .file
        .section_to(toc.fingerprints, toc.end(&index.file), "");
    let mut body = body.unwrap();
    assert_eq!(body.u32(), Some(3));
    for ordinal in [0, 1024, 2048] {
        let place = postings::reference(index.all(), ordinal as usize);
        assert_eq!(body.u64(), Some(u64::from(place)));
        assert_eq!(body.u64(), Some(index.fingerprint(ordinal).unwrap().get()));
    }
    assert_eq!(body.left(), 0);
}
