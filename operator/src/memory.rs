//! What a process may use of the memory that its pod has.

use phlare_operator_api::Amount;

use crate::part::Part;

/// Flags that keep a process below its pod's limit: parts of it for what grows with load. The rest is for queries, the
/// allocator, and what is being sent.
#[must_use]
pub fn flags(part: Part, limit: &Amount) -> Vec<String> {
    let Some(bytes) = bytes(limit) else {
        return Vec::new();
    };
    let share = |flag: &str, percent: u64| format!("-{flag}={}", bytes / 100 * percent);
    let requests = share("server.max-inflight-bytes", 15);
    match part {
        Part::Monolithic => vec![
            requests,
            share("pyroscopedb.head-max-bytes", 40),
            share("pyroscopedb.head-max-bytes-per-tenant", 40),
            share("blocks-storage.bucket-store.cache-bytes", 15),
            share("compactor.memory-bytes", 10),
        ],
        Part::Ingester => vec![
            requests,
            share("pyroscopedb.head-max-bytes", 55),
            share("pyroscopedb.head-max-bytes-per-tenant", 55),
        ],
        Part::StoreGateway => vec![
            requests,
            share("blocks-storage.bucket-store.cache-bytes", 40),
        ],
        Part::Compactor => vec![requests, share("compactor.memory-bytes", 50)],
        Part::Distributor
        | Part::QueryFrontend
        | Part::Querier
        | Part::QuerierCanary
        | Part::QueryScheduler => {
            vec![share("server.max-inflight-bytes", 30)]
        }
    }
}

/// An amount of memory in bytes; None if it is none.
#[must_use]
pub fn bytes(amount: &Amount) -> Option<u64> {
    let text = match amount {
        Amount::Number(number) => return u64::try_from(*number).ok(),
        Amount::Text(text) => text,
    };
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (digits, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit: f64 = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Pi" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "Ei" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let number: f64 = digits.parse().ok()?;
    Some((number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_reads_them() {
        let of = |text: &str| bytes(&Amount::Text(text.to_owned()));
        assert_eq!(of("512Mi"), Some(512 << 20));
        assert_eq!(of("1.5Gi"), Some(3 << 29));
        assert_eq!(of("2G"), Some(2_000_000_000));
        assert_eq!(of("1000"), Some(1000));
        assert_eq!(of("many"), None);
        assert_eq!(bytes(&Amount::Number(7)), Some(7));
    }

    #[test]
    fn shares_never_make_up_more_than_the_limit() {
        for part in [
            Part::Monolithic,
            Part::Ingester,
            Part::StoreGateway,
            Part::Compactor,
            Part::Querier,
        ] {
            let flags = flags(part, &Amount::Number(1_000_000));
            let per_tenant = |flag: &&String| !flag.contains("per-tenant");
            let sum: u64 = flags
                .iter()
                .filter(per_tenant)
                .map(|flag| flag.split_once('=').unwrap().1.parse::<u64>().unwrap())
                .sum();
            assert!(sum <= 850_000, "{part}: {sum}");
        }
    }
}
