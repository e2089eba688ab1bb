//! Reading and changing the settings of a tenant.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use phlare_bucket::{Bucket, Retries};
use phlare_model::{Clock, TenantId};
use tokio::sync::Mutex;

use crate::error::{Error, MAX_NAME, MAX_SETTINGS, MAX_TOTAL, MAX_VALUE};
use crate::file::{self, Setting, Settings};

/// The name of the object, below the tenant's directory.
const OBJECT: &str = "tenant_settings.json";
/// How often a change is written that other processes overwrite.
const TIMES: usize = 4;
/// Changes that wait for each other although they are of different tenants: one in so many.
const LOCKS: usize = 64;

/// The settings of all tenants, one object for each in a bucket. Cheap to clone.
///
/// Nothing is kept in memory: every call reads the object, so processes see each other's changes at once. Changes within a
/// process wait for each other. Stores need not have writes on a condition, so two processes that change settings of one
/// tenant in the same moment may overwrite each other; whoever wrote looks whether the change is still there, and writes it
/// again if not. What is left is a write that takes effect after the other process has looked.
#[derive(Clone)]
pub struct TenantSettings {
    shared: Arc<Shared>,
}

struct Shared {
    bucket: Bucket,
    clock: Arc<dyn Clock>,
    changing: [Mutex<()>; LOCKS],
    hasher: RandomState,
}

impl fmt::Debug for TenantSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantSettings").finish_non_exhaustive()
    }
}

/// What to do with the settings as they are now.
enum Step<T> {
    /// Nothing is left to do.
    Done(T),
    /// They are changed now and have to be written.
    Write,
}

impl TenantSettings {
    /// The settings in this bucket; `clock` gives times to changes that come without.
    #[must_use]
    pub fn new(bucket: &Bucket, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            bucket: bucket.with_retries(Retries::for_queries()),
            clock,
            changing: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// All settings of a tenant, by name.
    ///
    /// # Errors
    /// [`Error::Bucket`], [`Error::Damaged`].
    pub async fn get(&self, tenant: &TenantId) -> Result<Vec<Setting>, Error> {
        Ok(self.read(tenant).await?.into_values().collect())
    }

    /// Makes or replaces a setting and returns it as it is stored. One without a time is of now.
    ///
    /// # Errors
    /// [`Error::Newer`] if a newer one is stored; what is too large; [`Error::Contended`], [`Error::Damaged`],
    /// [`Error::Bucket`].
    pub async fn set(&self, tenant: &TenantId, mut setting: Setting) -> Result<Setting, Error> {
        check(&setting)?;
        if setting.modified_ms <= 0 {
            setting.modified_ms = self.shared.clock.now_ms();
        }
        let mut written = false;
        let name = setting.name.clone();
        self.change(tenant, &name, |settings| {
            let stored = settings.get(&setting.name);
            if stored == Some(&setting) {
                return Ok(Step::Done(setting.clone()));
            }
            if let Some(Setting { modified_ms, .. }) = stored {
                // After ours was written, somebody else's is a later one.
                if written && *modified_ms >= setting.modified_ms {
                    return Ok(Step::Done(setting.clone()));
                }
                if *modified_ms > setting.modified_ms {
                    return Err(Error::Newer {
                        name: setting.name.clone(),
                        stored_ms: *modified_ms,
                        sent_ms: setting.modified_ms,
                    });
                }
            }
            settings.insert(setting.name.clone(), setting.clone());
            check_room(settings, &setting.name)?;
            written = true;
            Ok(Step::Write)
        })
        .await
    }

    /// Deletes a setting. It is fine if there is none.
    ///
    /// # Errors
    /// [`Error::NoName`], [`Error::Contended`], [`Error::Damaged`], [`Error::Bucket`].
    pub async fn delete(&self, tenant: &TenantId, name: &str) -> Result<(), Error> {
        if name.is_empty() {
            return Err(Error::NoName);
        }
        let mut deleted: Option<i64> = None;
        self.change(tenant, name, |settings| {
            let Some(stored) = settings.get(name) else {
                return Ok(Step::Done(()));
            };
            // One that is newer than what was deleted was made since.
            if deleted.is_some_and(|deleted| stored.modified_ms > deleted) {
                return Ok(Step::Done(()));
            }
            deleted = Some(stored.modified_ms);
            settings.remove(name);
            Ok(Step::Write)
        })
        .await
    }

    /// Reads, changes, writes, and looks again, until the change is there.
    async fn change<T>(
        &self,
        tenant: &TenantId,
        name: &str,
        mut step: impl FnMut(&mut Settings) -> Result<Step<T>, Error>,
    ) -> Result<T, Error> {
        let Shared {
            bucket,
            changing,
            hasher,
            ..
        } = &*self.shared;
        let number = usize::try_from(hasher.hash_one(tenant.as_str())).unwrap_or_default() % LOCKS;
        let _alone = changing[number].lock().await;
        for _ in 0..TIMES {
            let mut settings = self.read(tenant).await?;
            if let Step::Done(outcome) = step(&mut settings)? {
                return Ok(outcome);
            }
            let bytes = file::encode(&settings).map_err(Error::Encode)?;
            bucket.put(&key(tenant), Bytes::from(bytes)).await?;
        }
        Err(Error::Contended {
            name: name.to_owned(),
            times: TIMES,
        })
    }

    async fn read(&self, tenant: &TenantId) -> Result<Settings, Error> {
        let (bucket, key) = (&self.shared.bucket, key(tenant));
        let bytes = match bucket.get(&key).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(Settings::new()),
            Err(error) => return Err(error.into()),
        };
        file::decode(&bytes).map_err(|source| Error::Damaged {
            location: bucket.location(&key),
            source,
        })
    }
}

fn key(tenant: &TenantId) -> String {
    format!("{tenant}/{OBJECT}")
}

fn check(setting: &Setting) -> Result<(), Error> {
    let Setting { name, value, .. } = setting;
    if name.is_empty() {
        return Err(Error::NoName);
    }
    if name.len() > MAX_NAME {
        return Err(Error::LongName { bytes: name.len() });
    }
    if value.len() > MAX_VALUE {
        return Err(Error::LongValue {
            name: name.clone(),
            bytes: value.len(),
        });
    }
    Ok(())
}

fn check_room(settings: &Settings, name: &str) -> Result<(), Error> {
    let sizes = settings
        .iter()
        .map(|(name, setting)| name.len() + setting.value.len());
    let bytes: usize = sizes.sum();
    if settings.len() > MAX_SETTINGS || bytes > MAX_TOTAL {
        return Err(Error::TooMany {
            name: name.to_owned(),
            settings: settings.len(),
            bytes,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
