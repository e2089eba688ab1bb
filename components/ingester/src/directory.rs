//! The data directory: `<data path>/ingester/<tenant>/`, held by one process at a time.

use std::fs::File;
use std::path::{Path, PathBuf};

use phlare_model::TenantId;
use rustix::fs::{FlockOperation, flock};
use tracing::warn;

use crate::error::Error;

/// A data directory that no other process uses.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    tenants: PathBuf,
    /// Holds the lock until the process ends, however it ends.
    _lock: File,
}

impl DataDirectory {
    /// Makes the directory if needed, checks that it can be written, and takes it.
    pub(crate) fn open(data_path: &Path) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Directory { path, source }
        };
        let tenants = data_path.join("ingester");
        std::fs::create_dir_all(&tenants).map_err(failed(&tenants))?;
        let path = data_path.join("lock");
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(failed(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                tenants,
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse {
                path: data_path.to_owned(),
            }),
            Err(errno) => Err(failed(&path)(errno.into())),
        }
    }

    pub(crate) fn of_tenant(&self, tenant: &TenantId) -> PathBuf {
        self.tenants.join(tenant.as_str())
    }

    /// Tenants that have a directory, sorted. What cannot be a tenant's is named in the log and left alone.
    pub(crate) fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        let failed = |source| Error::Directory {
            path: self.tenants.clone(),
            source,
        };
        let mut tenants = Vec::new();
        for entry in std::fs::read_dir(&self.tenants).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let is_directory = entry.file_type().map_err(failed)?.is_dir();
            match name.to_str().map(TenantId::parse) {
                Some(Ok(tenant)) if is_directory && name != "lost+found" => tenants.push(tenant),
                _ => warn!(path = %entry.path().display(), "not a tenant's directory, ignored"),
            }
        }
        tenants.sort();
        Ok(tenants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let held = DataDirectory::open(directory.path()).unwrap();
        let second = DataDirectory::open(directory.path());
        assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
        drop(held);
        DataDirectory::open(directory.path()).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = DataDirectory::open(&file).unwrap_err().to_string();
        assert!(error.contains("-pyroscopedb.data-path"), "{error}");
        assert!(error.contains("file"), "{error}");
    }

    #[test]
    fn only_directories_of_valid_names_are_tenants() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDirectory::open(directory.path()).unwrap();
        for name in ["b", "a", "lost+found", "not a tenant"] {
            std::fs::create_dir(data.tenants.join(name)).unwrap();
        }
        std::fs::write(data.tenants.join("file"), "").unwrap();
        let names: Vec<_> = data
            .tenants()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["a", "b"]);
    }
}
