//! Which part of a split block a block is.

use std::fmt;
use std::str::FromStr;

/// One of the parts that a block was split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// The part `index`, from 0, of `count`. `None` if there is no such part.
    #[must_use]
    pub fn new(index: u64, count: u64) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// Which one, from 0.
    #[must_use]
    pub fn index(self) -> u64 {
        self.index
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u64 {
        self.count
    }
}

impl fmt::Display for Shard {
    /// `1_of_4`: counted from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_of_{}", u128::from(self.index) + 1, self.count)
    }
}

/// A text that is no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a shard: <i>_of_<n>, with i from 1 to n")]
pub struct ShardError;

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (index, count) = text.split_once("_of_").ok_or(ShardError)?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u64>().map_err(|_| ShardError),
            false => Err(ShardError),
        };
        let index = number(index)?.checked_sub(1).ok_or(ShardError)?;
        Self::new(index, number(count)?).ok_or(ShardError)
    }
}
