//! Keeping uploaded profiles, and drawing them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join;
use phlare_bucket::{Bucket, Retries};
use phlare_model::flamebearer::FlamebearerProfile;
use phlare_model::{Clock, TenantId, diff};
use phlare_server::{Offload, Status};
use phlare_tenancy::{Limits, Overrides};

use crate::content::{self, Content, list};
use crate::error::Error;
use crate::id::Id;
use crate::stored::{Stored, least_bytes};

/// The directory of a tenant's uploaded profiles.
const DIRECTORY: &str = "adhoc";
/// Longest name that a user may give, in bytes.
const MAX_NAME: usize = 1024;
/// Most profiles of a list.
const MAX_LISTED: usize = 10_000;

/// What uploaded profiles are kept and drawn with.
#[derive(Clone)]
pub struct Deps {
    /// Where they are kept.
    pub bucket: Bucket,
    /// What each tenant may upload and draw.
    pub overrides: Overrides,
    /// When something is uploaded.
    pub clock: Arc<dyn Clock>,
    /// Where files are read and drawn.
    pub offload: Offload,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The uploaded profiles of all tenants. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AdHocProfiles {
    deps: Deps,
}

/// A profile and one drawing of it.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) profile_type: String,
    pub(crate) profile_types: Vec<String>,
    /// A flame graph as JSON.
    pub(crate) flamebearer: String,
}

/// Two profiles in one drawing.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Those that both have.
    pub(crate) profile_types: Vec<String>,
    /// A differential flame graph as JSON.
    pub(crate) flamebearer: String,
}

impl AdHocProfiles {
    /// The profiles in the bucket of these.
    #[must_use]
    pub fn new(deps: Deps) -> Self {
        let bucket = deps.bucket.with_retries(Retries::for_queries());
        Self {
            deps: Deps { bucket, ..deps },
        }
    }

    /// Keeps a file, if it can be drawn.
    pub(crate) async fn upload(
        &self,
        tenant: &TenantId,
        (name, data): (String, String),
        max_nodes: i64,
    ) -> Result<Shown, Status> {
        let limits = self.deps.overrides.limits(tenant);
        let max_nodes = nodes(max_nodes, &limits)?;
        if name.len() > MAX_NAME {
            return Err(Error::LongName {
                bytes: name.len(),
                limit: MAX_NAME,
            }
            .into());
        }
        let (bytes, limit) = (least_bytes(&data), content::limit(&limits));
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit }.into());
        }
        let now_ms = self.deps.clock.now_ms();
        let id = Id::new(now_ms, &name);
        let key = key(tenant, &id);
        let work = move || {
            let stored = Stored::new(name, data, now_ms);
            let file = stored.file()?;
            if file.len() > limit {
                let bytes = file.len();
                return Err(Error::TooLarge { bytes, limit });
            }
            let content = Content::read(&file, &limits)?;
            let json = serde_json::to_vec(&stored).map_err(Error::Encode)?;
            let shown = show(id, stored.name, &content, (None, max_nodes), &limits)?;
            Ok((json, shown))
        };
        let (json, shown) = self.deps.offload.run(work).await??;
        let put = self.deps.bucket.put(&key, Bytes::from(json)).await;
        put.map_err(Error::from)?;
        Ok(shown)
    }

    /// Draws a profile.
    pub(crate) async fn get(
        &self,
        tenant: &TenantId,
        id: &str,
        (profile_type, max_nodes): (Option<String>, i64),
    ) -> Result<Shown, Status> {
        let limits = self.deps.overrides.limits(tenant);
        let max_nodes = nodes(max_nodes, &limits)?;
        let id = Id::parse(id)?;
        let read = self.read(tenant, &id).await?;
        let work = move || {
            let stored = read.decode()?;
            let content = Content::read(&stored.file()?, &limits)?;
            let asked = (profile_type.as_deref(), max_nodes);
            show(id, stored.name, &content, asked, &limits)
        };
        Ok(self.deps.offload.run(work).await??)
    }

    /// The newest profiles of a tenant, newest first.
    pub(crate) async fn list(&self, tenant: &TenantId) -> Result<Vec<Id>, Error> {
        let directory = format!("{tenant}/{DIRECTORY}");
        let objects = self.deps.bucket.list(&directory).await?;
        let id = |key: &str| {
            let id = key.strip_prefix(&directory)?.strip_prefix('/')?;
            Id::parse(id).ok()
        };
        let mut ids: Vec<Id> = objects
            .iter()
            .filter_map(|object| id(&object.key))
            .collect();
        ids.sort_unstable_by(|a, b| (b.time_ms(), b).cmp(&(a.time_ms(), a)));
        ids.truncate(MAX_LISTED);
        Ok(ids)
    }

    /// Draws two profiles over each other.
    pub(crate) async fn diff(
        &self,
        tenant: &TenantId,
        (left, right): (&str, &str),
        (profile_type, max_nodes): (Option<String>, i64),
    ) -> Result<Compared, Status> {
        let limits = self.deps.overrides.limits(tenant);
        let max_nodes = nodes(max_nodes, &limits)?;
        let (left, right) = (Id::parse(left)?, Id::parse(right)?);
        let read = try_join(self.read(tenant, &left), self.read(tenant, &right));
        let (left, right) = read.await?;
        let work = move || {
            let left = Content::read(&left.decode()?.file()?, &limits)?;
            let right = Content::read(&right.decode()?.file()?, &limits)?;
            compare(&left, &right, (profile_type.as_deref(), max_nodes), &limits)
        };
        Ok(self.deps.offload.run(work).await??)
    }

    async fn read(&self, tenant: &TenantId, id: &Id) -> Result<Read, Error> {
        let (bucket, key) = (&self.deps.bucket, key(tenant, id));
        match bucket.get(&key).await {
            Ok(json) => Ok(Read {
                json,
                location: bucket.location(&key),
            }),
            Err(error) if error.is_not_found() => Err(Error::NotFound {
                id: id.as_str().to_owned(),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// An object as it was read.
struct Read {
    json: Bytes,
    location: String,
}

impl Read {
    fn decode(self) -> Result<Stored, Error> {
        serde_json::from_slice(&self.json).map_err(|source| Error::Damaged {
            location: self.location,
            source,
        })
    }
}

fn key(tenant: &TenantId, id: &Id) -> String {
    format!("{tenant}/{DIRECTORY}/{id}")
}

/// How many nodes are drawn: the tenant's default if none are asked for.
fn nodes(asked: i64, limits: &Limits) -> Result<i64, Error> {
    let limit = limits.max_flamegraph_nodes_max;
    if asked == 0 {
        return Ok(limits.max_flamegraph_nodes_default);
    }
    if limit > 0 && (asked < 0 || asked > limit) {
        return Err(Error::MaxNodes {
            max_nodes: asked,
            limit,
        });
    }
    Ok(asked.max(0))
}

fn show(
    id: Id,
    name: String,
    content: &Content,
    (profile_type, max_nodes): (Option<&str>, i64),
    limits: &Limits,
) -> Result<Shown, Error> {
    let profile_type = content.choose(profile_type)?;
    let drawing = content.draw(&profile_type, limits)?;
    let graph = drawing.tree.flame_graph(max_nodes);
    let flamebearer = FlamebearerProfile::single(graph, drawing.meaning, None, None);
    Ok(Shown {
        id,
        name,
        profile_type,
        profile_types: content.types().map(str::to_owned).collect(),
        flamebearer: serde_json::to_string(&flamebearer).map_err(Error::Encode)?,
    })
}

fn compare(
    left: &Content,
    right: &Content,
    (profile_type, max_nodes): (Option<&str>, i64),
    limits: &Limits,
) -> Result<Compared, Error> {
    let others: Vec<&str> = right.types().collect();
    let common = left.types().filter(|name| others.contains(name));
    let common: Vec<&str> = common.collect();
    let asked = profile_type.filter(|asked| !asked.is_empty());
    let chosen = match asked {
        None => common.first().ok_or_else(|| Error::NothingInCommon {
            left: list(left.types()),
            right: list(right.types()),
        })?,
        Some(asked) => {
            common
                .iter()
                .find(|name| **name == asked)
                .ok_or_else(|| Error::UnknownType {
                    asked: asked.chars().take(256).collect(),
                    known: format!("{} on both sides", list(common.iter().copied())),
                })?
        }
    };
    let (left, right) = (left.draw(chosen, limits)?, right.draw(chosen, limits)?);
    let graph = diff::flame_graph_diff(&left.tree, &right.tree, max_nodes);
    let flamebearer = FlamebearerProfile::double(graph, left.meaning);
    Ok(Compared {
        profile_types: common.into_iter().map(str::to_owned).collect(),
        flamebearer: serde_json::to_string(&flamebearer).map_err(Error::Encode)?,
    })
}

#[cfg(test)]
mod tests;
