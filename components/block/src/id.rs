//! The names of blocks.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The id of a block, a ULID: 48 bits of milliseconds, 80 bits of chance. Ordered as its text is, so by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(Ulid);

impl BlockId {
    /// Characters of the text.
    pub const LEN: usize = ulid::ULID_LEN;

    /// The latest time that an id can have: in the year 10889.
    pub const MAX_TIME_MS: i64 = (1 << Ulid::TIME_BITS) - 1;

    /// From the 16 bytes, most significant first.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Ulid::from_bytes(bytes))
    }

    /// The 16 bytes, most significant first: what rings and split groups hash.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }

    /// Milliseconds since the epoch: of creation in a head, of the first profile after a compaction.
    #[must_use]
    pub fn time_ms(self) -> i64 {
        self.0.timestamp_ms() as i64
    }

    /// Reads the text as it is in the name of a directory: 26 characters, in capitals. Other spellings of the same number
    /// are refused, because nothing would be found under them.
    ///
    /// # Errors
    /// [`BlockIdError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, BlockIdError> {
        let id = Ulid::from_string(text).map_err(|_| BlockIdError)?;
        let mut buffer = [0; Self::LEN];
        match id.array_to_str(&mut buffer) == text {
            true => Ok(Self(id)),
            false => Err(BlockIdError),
        }
    }
}

/// A text that is no id of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a block id: 26 digits and capital letters without I, L, O and U")]
pub struct BlockIdError;

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; Self::LEN];
        f.pad(self.0.array_to_str(&mut buffer))
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlockId {
    type Err = BlockIdError;

    fn from_str(text: &str) -> Result<Self, BlockIdError> {
        Self::parse(text)
    }
}

impl Serialize for BlockId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Makes ids. Two of them, in one process or in two, give different ids unless they were made from one seed.
#[derive(Debug)]
pub struct BlockIds {
    seed: u128,
    drawn: u64,
    last: Option<Ulid>,
}

impl Default for BlockIds {
    fn default() -> Self {
        Self::random()
    }
}

impl BlockIds {
    /// Ids that nobody can foretell, from the randomness of the operating system.
    #[must_use]
    pub fn random() -> Self {
        // The keys of hash maps are the only randomness of the standard library.
        let half = || u128::from(RandomState::new().hash_one(()));
        Self::seeded(half() << 64 | half())
    }

    /// The same ids each time, for tests.
    #[must_use]
    pub fn seeded(seed: u128) -> Self {
        Self {
            seed,
            drawn: 0,
            last: None,
        }
    }

    /// A new id, greater than all that this method gave before: if the clock stands or goes back, in the last
    /// id's millisecond. Times outside 0..=[`BlockId::MAX_TIME_MS`] count as the nearest inside.
    pub fn next(&mut self, now_ms: i64) -> BlockId {
        let fresh = self.at(now_ms).0;
        let id = match self.last {
            Some(last) if fresh.timestamp_ms() <= last.timestamp_ms() => {
                // Past the last number of a millisecond comes the first of the next one.
                last.increment().unwrap_or_else(|next| next)
            }
            Some(_) | None => fresh,
        };
        self.last = Some(id);
        BlockId(id)
    }

    /// A new id of a given time, in no order with others: for what compaction makes of older blocks.
    /// Times outside 0..=[`BlockId::MAX_TIME_MS`] count as the nearest inside.
    pub fn at(&mut self, time_ms: i64) -> BlockId {
        let time_ms = time_ms.clamp(0, BlockId::MAX_TIME_MS) as u64;
        self.drawn += 1;
        let chance = xxh3_128_with_seed(&self.seed.to_le_bytes(), self.drawn);
        BlockId(Ulid::from_parts(time_ms, chance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_read_in_their_one_spelling() {
        let text = "01GR3QABQB6J30Q04K4E6MAKRE";
        let id = BlockId::parse(text).unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.time_ms(), 1_675_162_365_675);
        for other in [
            "",
            "01GR3QABQB6J30Q04K4E6MAKR",
            "01GR3QABQB6J30Q04K4E6MAKREE",
            "01gr3qabqb6j30q04k4e6makre",
            "O1GR3QABQB6J30Q04K4E6MAKRE",
            "81GR3QABQB6J30Q04K4E6MAKRE",
            "01GR3QABQB6J30Q04K4E6MAKRU",
            "01GR3QABQB6J30Q04K4E6MAKé",
        ] {
            assert_eq!(BlockId::parse(other), Err(BlockIdError), "{other}");
        }
    }

    #[test]
    fn ids_ascend_though_the_clock_stands_or_goes_back() {
        let mut ids = BlockIds::seeded(7);
        let made: Vec<_> = [5, 5, 5, 9, 3, -1, 10]
            .map(|now| ids.next(now))
            .into_iter()
            .collect();
        assert!(made.is_sorted_by(|a, b| a < b), "{made:?}");
        assert_eq!(made.iter().map(|id| id.time_ms()).max(), Some(10));
        assert_eq!(made[5].time_ms(), 9);
    }

    #[test]
    fn ids_of_a_given_time_differ() {
        let mut ids = BlockIds::random();
        let (a, b) = (ids.at(1000), ids.at(1000));
        assert_ne!(a, b);
        assert_eq!((a.time_ms(), b.time_ms()), (1000, 1000));
        assert_ne!(BlockIds::random().at(1000), BlockIds::random().at(1000));
        assert_eq!(ids.at(i64::MAX).time_ms(), BlockId::MAX_TIME_MS);
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = |seed| {
            let mut ids = BlockIds::seeded(seed);
            [ids.next(1), ids.next(1), ids.at(2)]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    proptest! {
        #[test]
        fn ids_come_back(bytes: [u8; 16], other: [u8; 16]) {
            let (id, other) = (BlockId::from_bytes(bytes), BlockId::from_bytes(other));
            prop_assert_eq!(BlockId::parse(&id.to_string()), Ok(id));
            prop_assert_eq!(id.to_bytes(), bytes);
            prop_assert_eq!(id.cmp(&other), id.to_string().cmp(&other.to_string()));
        }
    }
}
