//! Finds blocks in directories and buckets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use phlare_block::marks::{DeletionMark, MARKERS, Mark, NoCompactMark};
use phlare_block::{BlockId, Files, LocalFiles, Meta, meta};
use phlare_bucket::{Bucket, Object};
use phlare_model::{TenantId, tenant};
use phlare_phlaredb::BucketFiles;
use tokio::runtime::Handle;

use super::files::Fetched;
use crate::cli::{PlaceArgs, UsageError};

/// Directories that hold the blocks of a tenant: in a bucket, and on the disk of an ingester.
const OF_BLOCKS: [&str; 2] = ["phlaredb", "local"];
/// Directory of the tenants on the disk of an ingester.
const INGESTER: &str = "ingester";
/// Names of a directory that an error lists.
const SHOWN: usize = 10;

/// What the command line says of blocks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    places: Vec<String>,
    /// The blocks that are meant; all, if there are none.
    ids: Vec<BlockId>,
    tenant: TenantId,
}

/// A directory or bucket.
#[derive(Debug)]
struct Place {
    bucket: Bucket,
    /// If it is a directory of this machine.
    directory: Option<PathBuf>,
    /// Key of the directory that holds the blocks; empty for the top.
    root: String,
}

/// A block that was found: a directory that is named like one, or has a `meta.json`.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    place: Arc<Place>,
    /// Name of its directory.
    pub(crate) name: String,
    /// Its files, with paths inside of the block.
    pub(crate) objects: Vec<Object>,
    /// Whether the command line names it.
    pub(crate) named: bool,
    /// Marks of it outside of the block.
    markers: Vec<Mark>,
}

/// What is marked of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) mark: Mark,
    /// When, in seconds since the epoch.
    pub(crate) time_s: i64,
    /// Why.
    pub(crate) reason: String,
}

impl Places {
    /// Tells places from ids; `tenant` is whose blocks are meant if the arguments don't say.
    pub(crate) fn new(args: &PlaceArgs, tenant: Option<&str>) -> Result<Self, UsageError> {
        let name = args.tenant.as_deref().or(tenant);
        let name = name.unwrap_or(tenant::ANONYMOUS);
        let tenant = TenantId::parse(name)
            .map_err(|error| UsageError(format!("--tenant `{name}`: {error}")))?;
        let (mut places, mut ids) = (Vec::new(), Vec::new());
        for target in &args.targets {
            match BlockId::parse(target) {
                Ok(id) => ids.push(id),
                Err(_) => places.push(target.clone()),
            }
        }
        if places.is_empty() {
            places.extend(args.bucket.clone());
        }
        if places.is_empty() {
            // Directories of blocks, as in `cd local; phlarectl blocks verify *`.
            if ids.is_empty() || !ids.iter().all(|id| Path::new(&id.to_string()).is_dir()) {
                let text = "where are the blocks? Name a directory or a bucket, e.g. s3://bucket";
                return Err(UsageError(text.to_owned()));
            }
            places.extend(ids.drain(..).map(|id| id.to_string()));
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Self {
            places,
            ids,
            tenant,
        })
    }

    /// Where, for people.
    pub(crate) fn text(&self) -> String {
        self.places.join(", ")
    }

    /// The blocks, by name.
    pub(crate) async fn find(&self) -> anyhow::Result<Vec<Found>> {
        let mut found: Vec<Found> = Vec::new();
        for place in &self.places {
            found.extend(self.find_in(place).await?);
        }
        for id in &self.ids {
            if !found.iter().any(|block| block.name == id.to_string()) {
                bail!("no block {id} in {}", self.text());
            }
        }
        found.sort_by(|a, b| (&a.name, a.location()).cmp(&(&b.name, b.location())));
        found.dedup_by(|a, b| a.name == b.name && a.location() == b.location());
        Ok(found)
    }

    async fn find_in(&self, text: &str) -> anyhow::Result<Vec<Found>> {
        let (text, block) = split(text);
        let bucket = Bucket::from_url(&text).map_err(|error| UsageError(error.to_string()))?;
        let mut wanted: Vec<String> = self.ids.iter().map(BlockId::to_string).collect();
        let root = match &block {
            Some(_) => String::new(),
            None => self.root(&bucket).await?,
        };
        wanted.extend(block);
        let place = Arc::new(Place {
            bucket,
            directory: directory(&text),
            root,
        });
        place.blocks(&wanted).await
    }

    /// The directory that holds the blocks.
    async fn root(&self, bucket: &Bucket) -> anyhow::Result<String> {
        let top = bucket.list_directories("").await?;
        if top.iter().any(|name| BlockId::parse(name).is_ok()) {
            return Ok(String::new());
        }
        let tenant = self.tenant.to_string();
        let mut parents = Vec::new();
        if top.contains(&tenant) {
            parents.push(tenant.clone());
        }
        parents.push(String::new());
        if top.iter().any(|name| name == INGESTER) {
            parents.push(format!("{INGESTER}/{tenant}"));
        }
        for parent in parents {
            let inside = match parent.is_empty() {
                true => top.clone(),
                false => bucket.list_directories(&parent).await?,
            };
            let found = OF_BLOCKS
                .iter()
                .find(|name| inside.iter().any(|dir| dir == *name));
            if let Some(name) = found {
                return Ok(join(&parent, name));
            }
        }
        bail!(
            "no blocks of tenant `{tenant}` in {bucket}; {}",
            match &*top {
                [] => "it has no directories".to_owned(),
                names => {
                    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
                    let more = if names.len() > SHOWN { ", …" } else { "" };
                    format!(
                        "it has {}{more}: is one of them the --tenant?",
                        shown.join(", ")
                    )
                }
            }
        )
    }
}

impl Place {
    /// The blocks with these names, or all.
    async fn blocks(self: Arc<Self>, names: &[String]) -> anyhow::Result<Vec<Found>> {
        let prefixes: Vec<String> = match names {
            [] => vec![self.root.clone()],
            names => names.iter().map(|name| join(&self.root, name)).collect(),
        };
        let mut blocks: BTreeMap<String, Vec<Object>> = BTreeMap::new();
        for prefix in prefixes {
            for object in self.bucket.list(&prefix).await? {
                let key = object.key.strip_prefix(&self.root).unwrap_or(&object.key);
                let Some((name, file)) = key.trim_start_matches('/').split_once('/') else {
                    continue;
                };
                if names.iter().any(|known| known == name) || BlockId::parse(name).is_ok() {
                    let key = file.to_owned();
                    let objects = blocks.entry(name.to_owned()).or_default();
                    objects.push(Object { key, ..object });
                }
            }
        }
        let mut markers: BTreeMap<String, Vec<Mark>> = BTreeMap::new();
        for object in self.bucket.list(&join(&self.root, MARKERS)).await? {
            let name = object.key.rsplit('/').next().unwrap_or_default();
            if let Some((id, mark)) = Mark::of_global_key(name) {
                markers.entry(id.to_string()).or_default().push(mark);
            }
        }
        let found = blocks.into_iter().map(|(name, objects)| Found {
            place: Arc::clone(&self),
            named: !names.is_empty(),
            markers: markers.remove(&name).unwrap_or_default(),
            name,
            objects,
        });
        Ok(found.collect())
    }
}

impl Found {
    fn key(&self) -> String {
        join(&self.place.root, &self.name)
    }

    /// Where it is, for people.
    pub(crate) fn location(&self) -> String {
        match self.directory() {
            Some(directory) => directory.display().to_string(),
            None => self.place.bucket.location(&self.key()),
        }
    }

    /// Its directory, if it is on this machine.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        let directory = self.place.directory.as_ref()?;
        Some(directory.join(self.key()))
    }

    /// Its files. They are read by threads that may wait.
    pub(crate) fn files(&self) -> Arc<dyn Files> {
        match self.directory() {
            Some(directory) => Arc::new(LocalFiles::new(directory)),
            None => {
                let bucket = self.place.bucket.clone();
                Arc::new(BucketFiles::new(bucket, self.key(), Handle::current()))
            }
        }
    }

    /// Bytes of all its files.
    pub(crate) fn bytes(&self) -> u64 {
        let sizes = self.objects.iter().map(|object| object.size);
        sizes.fold(0, u64::saturating_add)
    }

    /// Whether it has a file; a block whose upload has not come to its end has no `meta.json`.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.objects.iter().any(|object| object.key == file)
    }

    /// Its `meta.json`; it must be that of the block its directory is named after.
    pub(crate) async fn meta(&self) -> anyhow::Result<Meta> {
        let name = format!("{}/{}", self.location(), meta::names::META);
        if !self.has(meta::names::META) {
            return Err(phlare_block::Error::Missing { file: name }.into());
        }
        let key = join(&self.key(), meta::names::META);
        let meta = Meta::parse(&self.place.bucket.get(&key).await?, &name)?;
        if BlockId::parse(&self.name).is_ok_and(|id| id != meta.id) {
            let problem = format!("it is that of block {}", meta.id);
            let (file, offset) = (name, 0);
            return Err(phlare_block::Error::Corrupt {
                file,
                offset,
                problem,
            }
            .into());
        }
        Ok(meta)
    }

    /// Whether it has a mark, in the block or outside.
    pub(crate) fn is_marked(&self, mark: Mark) -> bool {
        self.has(mark.file_name()) || self.markers.contains(&mark)
    }

    /// What is marked of it, in the block or outside.
    pub(crate) async fn marks(&self) -> anyhow::Result<Vec<Marked>> {
        let mut marks = Vec::new();
        for mark in [Mark::Deletion, Mark::NoCompact] {
            let key = if self.has(mark.file_name()) {
                join(&self.key(), mark.file_name())
            } else if let (true, Ok(id)) =
                (self.markers.contains(&mark), BlockId::parse(&self.name))
            {
                join(&self.place.root, &mark.global_key(id))
            } else {
                continue;
            };
            let bytes = self.place.bucket.get(&key).await?;
            let marked = Marked::parse(mark, &bytes, &self.place.bucket.location(&key));
            marks.push(marked?);
        }
        Ok(marks)
    }

    /// The same block with its files on this machine: those of a bucket that are `wanted` are copied into a directory in
    /// `parent` that lasts as long as what is returned. `note` hears of each file.
    pub(crate) async fn fetch(
        &self,
        meta: &Meta,
        parent: &Path,
        wanted: impl Fn(&str) -> bool,
        mut note: impl FnMut(&str),
    ) -> anyhow::Result<Fetched> {
        if let Some(directory) = self.directory() {
            return Ok(Fetched::here(directory));
        }
        let directory = tempfile::Builder::new()
            .prefix(".phlarectl-")
            .tempdir_in(parent)
            .with_context(|| {
                let parent = parent.display();
                format!("make a directory for the block's files in {parent}")
            })?;
        for file in meta.files.iter().filter(|file| wanted(file.name())) {
            let path = directory.path().join(&file.rel_path);
            note(&file.rel_path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)
                    .with_context(|| format!("make {}", parent.display()))?;
            }
            if self.has(&file.rel_path) {
                let key = join(&self.key(), &file.rel_path);
                self.place.bucket.download(&key, &path).await?;
            }
        }
        Ok(Fetched::copy(directory, self.location()))
    }
}

impl Marked {
    fn parse(mark: Mark, bytes: &[u8], file: &str) -> Result<Self, phlare_block::Error> {
        let (time_s, reason) = match mark {
            Mark::Deletion => {
                let mark = DeletionMark::parse(bytes, file)?;
                (mark.time_s, mark.details)
            }
            Mark::NoCompact => {
                let mark = NoCompactMark::parse(bytes, file)?;
                let reason = [mark.reason, mark.details].into_iter();
                let reason: Vec<String> = reason.filter(|text| !text.is_empty()).collect();
                (mark.time_s, reason.join(": "))
            }
        };
        Ok(Self {
            mark,
            time_s,
            reason,
        })
    }
}

/// Takes the block off a place that is the directory of one.
fn split(text: &str) -> (String, Option<String>) {
    let whole = (text.to_owned(), None);
    if let Some(directory) = directory(text) {
        // `.` has no name.
        let directory = match directory.file_name() {
            Some(_) => directory,
            None => directory.canonicalize().unwrap_or(directory),
        };
        let name = directory.file_name().and_then(|name| name.to_str());
        let (Some(name), Some(parent)) = (name, directory.parent()) else {
            return whole;
        };
        let is_block = BlockId::parse(name).is_ok() || directory.join(meta::names::META).is_file();
        if !is_block || !directory.is_dir() {
            return whole;
        }
        let parent = match parent.as_os_str().is_empty() {
            true => Path::new("."),
            false => parent,
        };
        return (parent.display().to_string(), Some(name.to_owned()));
    }
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let address = address.trim_end_matches('/');
    match address.rsplit_once('/') {
        Some((parent, name)) if BlockId::parse(name).is_ok() => {
            let mark = if query.is_empty() { "" } else { "?" };
            (format!("{parent}{mark}{query}"), Some(name.to_owned()))
        }
        _ => whole,
    }
}

/// The directory of a place that is on this machine.
fn directory(text: &str) -> Option<PathBuf> {
    match text.split_once("://") {
        None => Some(PathBuf::from(text)),
        Some(("file", path)) => Some(PathBuf::from(path)),
        Some(_) => None,
    }
}

fn join(parent: &str, name: &str) -> String {
    match parent.is_empty() {
        true => name.to_owned(),
        false => format!("{parent}/{name}"),
    }
}

#[cfg(test)]
mod tests;
