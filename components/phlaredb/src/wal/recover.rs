//! Reads the segments that an earlier process left, and says what was lost.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tracing::{error, warn};

use super::files::Files;
use super::frame::SEGMENT_HEADER;
use super::scan::{Range, Scan, scan};
use super::{Damage, Error, Options, Record, Recovery, SegmentId, Torn};

/// Where copies of damaged ranges go.
const DAMAGED: &str = "damaged";

/// The segments of a directory.
#[derive(Debug)]
pub(super) struct Found {
    /// The first number that no segment has.
    pub(super) next: SegmentId,
    /// The segments with something in them, and their bytes.
    pub(super) sizes: BTreeMap<SegmentId, u64>,
    pub(super) recovery: Recovery,
}

/// Makes `directory` if it is missing, else hands every intact record in it to `replay`, oldest first.
pub(super) fn recover(
    directory: &Path,
    options: &Options,
    replay: &mut dyn FnMut(SegmentId, Record<'_>),
) -> Result<Found, Error> {
    make_directory(directory, options.files.as_ref())?;
    let (mut segments, foreign) = list(directory)?;
    let obsolete: Vec<_> = {
        let kept = segments.split_off(&options.first_segment);
        let obsolete = std::mem::replace(&mut segments, kept);
        obsolete.into_values().flatten().collect()
    };
    for path in &obsolete {
        fs::remove_file(path).map_err(|source| Error::Io {
            operation: "delete",
            path: path.clone(),
            source,
        })?;
    }
    for path in &foreign {
        warn!(path = %path.display(), "not a segment of the log, left alone");
    }
    let last = segments.keys().next_back().copied();
    let next = last.map_or(options.first_segment, SegmentId::next);
    let mut found = Found {
        next,
        sizes: BTreeMap::new(),
        recovery: Recovery {
            foreign,
            ..Recovery::default()
        },
    };
    let mut removed = !obsolete.is_empty();
    for (id, path) in segments {
        // A directory may have the name of a segment: it is listed as foreign, but its number is taken.
        let Some(path) = path else { continue };
        let segment = Segment {
            id,
            path,
            last: last == Some(id),
            options,
        };
        let bytes = segment.recover(directory, &mut found.recovery, replay)?;
        if bytes > 0 {
            found.sizes.insert(id, bytes);
        } else {
            fs::remove_file(&segment.path).map_err(|source| segment.failed("remove", source))?;
            removed = true;
        }
    }
    if removed {
        sync_directory(options.files.as_ref(), directory)?;
    }
    let recovery = &found.recovery;
    options.metrics.replayed_records.inc_by(recovery.records);
    options
        .metrics
        .truncated_bytes
        .inc_by(recovery.torn.iter().map(|torn| torn.bytes).sum());
    options
        .metrics
        .damaged_bytes
        .inc_by(recovery.damage.iter().map(|damage| damage.bytes).sum());
    Ok(found)
}

/// The name of a segment's file.
pub(super) fn file_name(id: SegmentId) -> String {
    format!("{id}.wal")
}

/// Numbers and paths of segments; no path where something else has the name of one. Then whatever else lies there.
type Listing = (BTreeMap<SegmentId, Option<PathBuf>>, Vec<PathBuf>);

fn list(directory: &Path) -> Result<Listing, Error> {
    let failed = |source| Error::Io {
        operation: "list",
        path: directory.to_owned(),
        source,
    };
    let mut segments = BTreeMap::new();
    let mut foreign = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let is_file = fs::metadata(&path).is_ok_and(|metadata| metadata.is_file());
        let name = entry.file_name();
        match name.to_str().and_then(parse_file_name) {
            Some(id) if is_file => {
                segments.insert(id, Some(path));
            }
            Some(id) => {
                segments.insert(id, None);
                foreign.push(path);
            }
            None if name == DAMAGED => {}
            None => foreign.push(path),
        }
    }
    foreign.sort();
    Ok((segments, foreign))
}

/// The first segment that lies in a directory, as far as its name says; `None` if there is none.
pub(crate) fn first_segment(directory: &Path) -> io::Result<Option<SegmentId>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut first: Option<SegmentId> = None;
    for entry in entries {
        if let Some(id) = entry?.file_name().to_str().and_then(parse_file_name) {
            first = Some(first.map_or(id, |first| first.min(id)));
        }
    }
    Ok(first)
}

/// Takes only what [`file_name`] would write, and leaves room for many more numbers.
fn parse_file_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(".wal")?;
    if digits.len() > 15 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let id = SegmentId(digits.parse().ok()?);
    (file_name(id) == name).then_some(id)
}

/// One file to recover.
struct Segment<'a> {
    id: SegmentId,
    path: PathBuf,
    /// Whether it is the newest: only there may an unfinished write be.
    last: bool,
    options: &'a Options,
}

impl Segment<'_> {
    /// Bytes that are left in the file; 0 if nothing is worth keeping.
    fn recover(
        &self,
        directory: &Path,
        recovery: &mut Recovery,
        replay: &mut dyn FnMut(SegmentId, Record<'_>),
    ) -> Result<u64, Error> {
        let file = fs::File::open(&self.path).map_err(|source| self.failed("open", source))?;
        let length = file
            .metadata()
            .map_err(|source| self.failed("read", source))?
            .len();
        if length < SEGMENT_HEADER as u64 {
            self.cut(
                Range {
                    offset: 0,
                    bytes: length,
                },
                recovery,
            )?;
            return Ok(0);
        }
        let mut scan = scan(&file, self.id, &mut |record| replay(self.id, record))
            .map_err(|source| self.failed("read", source))?;
        if let Some(version) = scan.foreign {
            return Err(Error::Version {
                path: self.path.clone(),
                version,
            });
        }
        if let Some(id) = scan.renamed_from {
            warn!(path = %self.path.display(), written_as = %id, "a segment of the log was renamed");
        }
        recovery.segments = recovery.segments.saturating_add(1);
        recovery.records = recovery.records.saturating_add(scan.records);
        recovery.bytes = recovery.bytes.saturating_add(scan.bytes);
        let left = self.end(&mut scan, length, recovery)?;
        for range in &scan.damage {
            self.report_damage(&file, *range, directory, recovery);
        }
        let empty = scan.records == 0 && scan.damage.is_empty();
        Ok(if empty { 0 } else { left })
    }

    /// Decides what the end of the file is: the remains of an unfinished write, or damage. Returns the length left.
    fn end(&self, scan: &mut Scan, length: u64, recovery: &mut Recovery) -> Result<u64, Error> {
        match scan.tail.take() {
            Some(tail) if self.last => {
                self.cut(tail, recovery)?;
                Ok(tail.offset)
            }
            Some(tail) => {
                scan.damage.push(tail);
                Ok(length)
            }
            None => Ok(length),
        }
    }

    /// Cuts off the remains of an unfinished write.
    fn cut(&self, tail: Range, recovery: &mut Recovery) -> Result<(), Error> {
        let Range { offset, bytes } = tail;
        warn!(
            path = %self.path.display(),
            offset,
            bytes,
            "the log ends in an unfinished write, which is cut off"
        );
        let file = self
            .options
            .files
            .open(&self.path)
            .map_err(|source| self.failed("open", source))?;
        file.set_length(offset)
            .map_err(|source| self.failed("truncate", source))?;
        file.sync().map_err(|source| self.failed("sync", source))?;
        recovery.torn.push(Torn {
            segment: self.id,
            offset,
            bytes,
        });
        Ok(())
    }

    fn report_damage(
        &self,
        file: &fs::File,
        range: Range,
        directory: &Path,
        recovery: &mut Recovery,
    ) {
        let Range { offset, bytes } = range;
        let set_aside = match self.set_aside(file, range, &directory.join(DAMAGED)) {
            Ok(copy) => copy,
            Err(source) => {
                warn!(path = %self.path.display(), offset, bytes, error = %source, "a damaged range of the log could not be copied");
                None
            }
        };
        error!(
            path = %self.path.display(),
            offset,
            bytes,
            copy = set_aside.as_deref().map(|copy| tracing::field::display(copy.display())),
            "a part of the log is damaged; its records are lost, those around it are read"
        );
        recovery.damage.push(Damage {
            segment: self.id,
            offset,
            bytes,
            set_aside,
        });
    }

    /// Copies a damaged range, so that somebody can look at it when the segment is gone. `None` if there is no room.
    fn set_aside(
        &self,
        mut file: &fs::File,
        range: Range,
        damaged: &Path,
    ) -> io::Result<Option<PathBuf>> {
        fs::create_dir_all(damaged)?;
        let copy = damaged.join(format!("{}-{}.bin", self.id, range.offset));
        if fs::metadata(&copy).is_ok_and(|metadata| metadata.len() == range.bytes) {
            return Ok(Some(copy));
        }
        let mut used = range.bytes;
        for entry in fs::read_dir(damaged)? {
            used = used.saturating_add(entry?.metadata()?.len());
        }
        if used > self.options.max_damaged_bytes {
            return Ok(None);
        }
        file.seek(SeekFrom::Start(range.offset))?;
        io::copy(&mut file.take(range.bytes), &mut fs::File::create(&copy)?)?;
        Ok(Some(copy))
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> Error {
        Error::Io {
            operation,
            path: self.path.clone(),
            source,
        }
    }
}

/// Makes a directory and its ancestors, durably.
fn make_directory(directory: &Path, files: &dyn Files) -> Result<(), Error> {
    let failed = |source| Error::Io {
        operation: "create",
        path: directory.to_owned(),
        source,
    };
    let mut missing = Vec::new();
    for ancestor in directory
        .ancestors()
        .filter(|ancestor| !ancestor.as_os_str().is_empty())
    {
        if ancestor.try_exists().map_err(failed)? {
            break;
        }
        missing.push(ancestor);
    }
    fs::create_dir_all(directory).map_err(failed)?;
    for made in missing {
        let parent = made
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        sync_directory(files, parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Makes the entries of a directory durable.
pub(super) fn sync_directory(files: &dyn Files, directory: &Path) -> Result<(), Error> {
    files.sync_directory(directory).map_err(|source| Error::Io {
        operation: "sync",
        path: directory.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::super::frame;
    use super::*;

    #[test]
    fn only_names_that_we_write_are_segments() {
        assert_eq!(parse_file_name("00000001.wal"), Some(SegmentId(1)));
        assert_eq!(
            parse_file_name("123456789.wal"),
            Some(SegmentId(123_456_789))
        );
        for name in [
            "1.wal",
            "00000001",
            "000000001.wal",
            "0000000a.wal",
            "+0000001.wal",
            "9999999999999999.wal",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn an_intact_file_header_is_nothing_worth_keeping() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file_name(SegmentId(3)));
        fs::write(&path, frame::segment_header(SegmentId(3))).unwrap();
        let found = recover(directory.path(), &Options::default(), &mut |_, _| {}).unwrap();
        assert_eq!(found.next, SegmentId(4));
        assert!(found.sizes.is_empty());
        assert!(!path.try_exists().unwrap());
    }
}
