//! Room on the disk of the data directory.

use std::io;
use std::path::Path;

/// Bytes of a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) total: u64,
    /// For processes without privileges.
    pub(crate) free: u64,
}

impl Space {
    /// The space where `path` lies.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Self {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    /// What is kept for profiles that were accepted: their blocks have to be written. A twentieth of the disk, between
    /// 1 MiB and 1 GiB.
    pub(crate) fn reserve(self) -> u64 {
        (self.total / 20).clamp(1 << 20, 1 << 30)
    }

    /// Whether profiles must be refused.
    pub(crate) fn is_full(self) -> bool {
        self.total > 0 && self.free < self.reserve()
    }

    /// Whether uploaded blocks should make room: upstream's rule, or soon full.
    pub(crate) fn is_low(self, storage: &phlare_phlaredb::Config) -> bool {
        let gib = self.free >> 30;
        let share = self.free as f64 / self.total.max(1) as f64;
        let low = gib < storage.min_free_disk_gb && share < storage.min_disk_available_percentage;
        low || self.free < self.reserve().saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_disks_keep_a_reserve() {
        let space = |total, free| Space { total, free };
        assert_eq!(space(64 << 20, 0).reserve(), (64 << 20) / 20);
        assert_eq!(space(1 << 20, 0).reserve(), 1 << 20);
        assert_eq!(space(10 << 40, 0).reserve(), 1 << 30);
        assert!(space(64 << 20, 3 << 20).is_full());
        assert!(!space(64 << 20, 4 << 20).is_full());
        assert!(!Space::default().is_full(), "not known is not full");
    }

    #[test]
    fn uploaded_blocks_go_when_share_and_size_are_small() {
        let storage = phlare_phlaredb::Config::default();
        let space = |total, free| Space { total, free };
        assert!(space(1000 << 30, 9 << 30).is_low(&storage));
        assert!(!space(1000 << 30, 11 << 30).is_low(&storage));
        assert!(!space(100 << 30, 9 << 30).is_low(&storage));
        assert!(space(64 << 20, 6 << 20).is_low(&storage));
    }
}
