//! A look at each result before anyone relies on it: everything opens, and counts are what they should be.

use std::sync::Arc;

use super::Output;
use super::error::CompactError;
use super::inputs::Source;
use crate::error::Error;
use crate::files::{Files, LocalFiles};
use crate::meta::{Meta, names};
use crate::profiles::Profiles;
use crate::{symdb, tsdb};

/// O(files + size of the index); reads no page of samples.
pub(super) fn output(output: &Output, sources: &[Source]) -> Result<(), CompactError> {
    let meta = &output.meta;
    let wrong = |problem: String| CompactError::Wrong {
        block: meta.id,
        problem,
    };
    let problem = open(output).map_err(CompactError::Output)?;
    if let Some(problem) = problem {
        return Err(wrong(problem));
    }
    let rows = sources.iter().map(|source| source.profiles.rows());
    if meta.stats.num_profiles > rows.sum() {
        return Err(wrong(
            "it has more rows than the blocks it was made of".to_owned(),
        ));
    }
    Ok(())
}

/// What is wrong with it.
fn open(output: &Output) -> Result<Option<String>, Error> {
    let files: Arc<dyn Files> = Arc::new(LocalFiles::new(&output.directory));
    let meta = Meta::read(&*files)?;
    if meta != output.meta {
        return Ok(Some("meta.json reads back otherwise".to_owned()));
    }
    for file in &meta.files {
        let size = files.size(&file.rel_path)?;
        if size != file.size_bytes {
            let said = file.size_bytes;
            let problem = format!("{} has {size} bytes, not {said}", file.rel_path);
            return Ok(Some(problem));
        }
    }
    let bytes = files.read_all(names::INDEX)?;
    let index = tsdb::Index::open(bytes, files.name(names::INDEX))?;
    index.verify()?;
    let size = meta.size_of(names::PROFILES).unwrap_or_default();
    let profiles = Profiles::open(Arc::clone(&files), names::PROFILES, size)?;
    let listed: Vec<_> = meta
        .files
        .iter()
        .map(|file| (file.rel_path.as_str(), file.size_bytes))
        .collect();
    let layout = symdb::Layout::detect(u32::from(meta.version), &listed)?;
    symdb::Reader::open(files, layout)?;

    let (from_ns, through_ns) = index.bounds_ns();
    let [from_ms, through_ms] = [from_ns, through_ns].map(|ns| ns.div_euclid(1_000_000));
    let counts = [
        (
            "series",
            u64::from(index.series_count()),
            meta.stats.num_series,
        ),
        ("rows", profiles.rows(), meta.stats.num_profiles),
        ("samples", profiles.samples_stored(), meta.stats.num_samples),
    ];
    for (what, found, said) in counts {
        // A row without samples is stored as one that isn't there.
        if found < said || (found > said && what != "samples") {
            return Ok(Some(format!("it has {found} {what}, not {said}")));
        }
    }
    let is_within = meta.min_ms <= from_ms && through_ms <= meta.max_ms;
    Ok((!is_within).then(|| {
        let (min, max) = (meta.min_ms, meta.max_ms);
        format!("it has profiles of {from_ms} to {through_ms} ms, not of {min} to {max} ms")
    }))
}
