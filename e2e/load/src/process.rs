//! What a process has used, from `/proc`.

use serde::Serialize;

/// Ticks per second in `/proc/*/stat`: `USER_HZ`, 100 in every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Usage {
    /// User and system time of all its threads since it began.
    pub(crate) cpu_seconds: f64,
    /// Memory that is resident now.
    pub(crate) rss_bytes: u64,
    /// The most that ever was.
    pub(crate) peak_rss_bytes: u64,
}

impl Usage {
    /// Of the process with this id; `None` if there is none, or no `/proc`.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Self::read(&pid.to_string())
    }

    /// Of this process.
    pub(crate) fn own() -> Option<Self> {
        Self::read("self")
    }

    fn read(pid: &str) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Self {
            cpu_seconds: cpu_seconds(&stat)?,
            rss_bytes: status_bytes(&status, "VmRSS:")?,
            peak_rss_bytes: status_bytes(&status, "VmHWM:")?,
        })
    }
}

/// User and system time of a `stat` line. The name of the program, in parentheses, may hold anything.
#[expect(clippy::cast_precision_loss, reason = "ticks stay far below 2^53")]
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.checked_add(system)? as f64 / TICKS_PER_SECOND)
}

fn status_bytes(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) (b c)) S 1 7 7 0 -1 4194560 5 6 7 8 150 50 0 0 20 0 3 0 99";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("7 (x"), None);
    }

    #[test]
    fn sizes_are_read_from_the_status() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(status_bytes(status, "VmHWM:"), Some(2 << 20));
        assert_eq!(status_bytes(status, "VmSwap:"), None);
    }
}
