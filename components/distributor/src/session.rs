//! Session ids: how many of them a series may have.

use phlare_model::LabelsBuilder;
use phlare_model::labels::names::SESSION_ID;

/// Reduces the session id to one of `max_sessions`; removes it if none is wanted or it is no id.
///
/// An id is 16 hexadecimal digits: 8 bytes, little-endian (api.md 1.9).
pub(crate) fn reduce(labels: &mut LabelsBuilder, max_sessions: usize) {
    let Some(text) = labels.get(SESSION_ID) else {
        return;
    };
    let id = read(text).and_then(|id| id.checked_rem(max_sessions as u64));
    match id {
        Some(id) => labels.set(SESSION_ID, &format!("{:016x}", id.swap_bytes())),
        None => labels.remove(SESSION_ID),
    };
}

fn read(text: &str) -> Option<u64> {
    let hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
        .map(u64::swap_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(id: &str, max_sessions: usize, expected: Option<&str>) {
        let mut labels = LabelsBuilder::from_iter([(SESSION_ID, id), ("a", "b")]);
        reduce(&mut labels, max_sessions);
        assert_eq!(labels.get(SESSION_ID), expected, "{id} {max_sessions}");
        assert_eq!(labels.get("a"), Some("b"));
    }

    #[test]
    fn ids_are_reduced_or_removed() {
        check("0500000000000000", 3, Some("0200000000000000"));
        check("0500000000000000", 8, Some("0500000000000000"));
        check("ffffffffffffffff", 256, Some("ff00000000000000"));
        check("0500000000000000", 0, None);
        check("abc", 3, None);
        check("+500000000000000", 3, None);
    }
}
