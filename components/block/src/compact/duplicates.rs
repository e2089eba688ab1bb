//! Which rows of one series and time are one profile.
//!
//! Two rows of different inputs are one if they have one id, as copies in the blocks of several ingesters do, or the same
//! samples, as a push that a client repeated has; otherwise they are profiles of several hosts that push one series
//! (field report B25). Rows of one input are profiles of their own: whoever wrote it has compared them. So what is in
//! one input twice and in another once is twice in the result, whatever the order of inputs; and queries count the same
//! before and after.

use hashbrown::HashMap;
use xxhash_rust::xxh3::Xxh3;

use super::rows::Profile;

/// The rows of one series and time so far.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    ids: Counts<[u8; 16]>,
    contents: Counts<u128>,
}

impl Duplicates {
    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        self.ids.clear();
        self.contents.clear();
    }

    /// Whether a row is one more; if not, it is another one once more.
    pub(super) fn is_new(&mut self, input: usize, profile: &Profile) -> bool {
        let content = content(profile);
        // Blocks without ids have zeros.
        let has_id = profile.id != [0; 16];
        let new_id = !has_id || self.ids.exceeds(input, profile.id);
        let new_content = self.contents.exceeds(input, content);
        let is_new = new_id && new_content;
        if is_new {
            if has_id {
                self.ids.keep(profile.id);
            }
            self.contents.keep(content);
        }
        is_new
    }
}

/// How often something came in each input, and how often it was kept.
#[derive(Debug)]
struct Counts<K> {
    seen: HashMap<(usize, K), u32>,
    kept: HashMap<K, u32>,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self {
            seen: HashMap::new(),
            kept: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + std::hash::Hash> Counts<K> {
    fn clear(&mut self) {
        self.seen.clear();
        self.kept.clear();
    }

    /// Counts it, and says whether this input has had it more often than it was kept.
    fn exceeds(&mut self, input: usize, key: K) -> bool {
        let seen = self.seen.entry((input, key)).or_default();
        *seen += 1;
        *seen > self.kept.get(&key).copied().unwrap_or(0)
    }

    fn keep(&mut self, key: K) {
        *self.kept.entry(key).or_default() += 1;
    }
}

/// A hash of partition and samples, which are sorted and have merged ids. 128 bits: two different profiles of one series
/// and time would have to meet by a chance of 3 in 10³⁸.
fn content(profile: &Profile) -> u128 {
    let mut hash = Xxh3::new();
    hash.update(&profile.partition.to_le_bytes());
    hash.update(&(profile.values.len() as u64).to_le_bytes());
    for id in &profile.stacktraces {
        hash.update(&id.to_le_bytes());
    }
    for value in &profile.values {
        hash.update(&value.to_le_bytes());
    }
    // A table without spans and one whose spans are all zero say the same.
    let spans = profile.spans.iter().any(|&span| span != 0);
    let traces = profile.traces.iter().any(|&trace| trace != [0; 16]);
    hash.update(&[spans.into(), traces.into()]);
    for span in profile.spans.iter().filter(|_| spans) {
        hash.update(&span.to_le_bytes());
    }
    for trace in profile.traces.iter().filter(|_| traces) {
        hash.update(trace);
    }
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which rows, given as input, id and content, are kept.
    fn kept(rows: &[(usize, u8, i64)]) -> Vec<usize> {
        let mut duplicates = Duplicates::default();
        let mut is_new = |&(input, id, value): &(usize, u8, i64)| {
            let profile = Profile {
                id: [id; 16],
                stacktraces: vec![1],
                values: vec![value],
                ..Profile::default()
            };
            duplicates.is_new(input, &profile)
        };
        let rows = rows.iter().enumerate();
        rows.filter_map(|(at, row)| is_new(row).then_some(at))
            .collect()
    }

    #[track_caller]
    fn check(rows: &[(usize, u8, i64)], expected: &[usize]) {
        assert_eq!(kept(rows), expected, "{rows:?}");
    }

    #[test]
    fn copies_of_replicas_are_one() {
        check(&[(0, 1, 5), (1, 1, 5), (2, 1, 5)], &[0]);
    }

    #[test]
    fn different_profiles_of_several_hosts_stay() {
        check(&[(0, 1, 5), (0, 2, 6), (1, 3, 7)], &[0, 1, 2]);
    }

    #[test]
    fn a_push_that_a_client_repeated_is_one() {
        check(&[(0, 1, 5), (1, 2, 5)], &[0]);
        check(&[(0, 0, 5), (1, 0, 5), (1, 0, 6)], &[0, 2]);
    }

    #[test]
    fn rows_of_one_block_are_not_compared() {
        check(&[(0, 1, 5), (0, 2, 5)], &[0, 1]);
        check(&[(0, 1, 5), (0, 2, 5), (1, 3, 5), (1, 4, 5)], &[0, 1]);
        for rows in [
            [(0, 1, 5), (1, 2, 5), (1, 3, 5)],
            [(1, 1, 5), (0, 2, 5), (1, 3, 5)],
            [(1, 1, 5), (1, 2, 5), (0, 3, 5)],
        ] {
            assert_eq!(kept(&rows).len(), 2, "{rows:?}");
        }
    }

    #[test]
    fn spans_and_traces_tell_profiles_apart() {
        let profile = |span: u64, trace: u8| Profile {
            stacktraces: vec![1],
            values: vec![5],
            spans: vec![span],
            traces: vec![[trace; 16]],
            ..Profile::default()
        };
        let mut duplicates = Duplicates::default();
        let rows = [profile(0, 0), profile(0, 1), profile(1, 0), profile(1, 1)];
        for (input, row) in rows.iter().enumerate() {
            assert!(duplicates.is_new(input, row), "{row:?}");
        }
        let without = Profile {
            stacktraces: vec![1],
            values: vec![5],
            ..Profile::default()
        };
        assert!(!duplicates.is_new(4, &without));
    }

    #[test]
    fn rows_without_ids_are_known_by_their_samples() {
        check(&[(0, 0, 5), (1, 0, 6)], &[0, 1]);
    }
}
