//! Content hashes of symbols: the same symbol has the same hash in every profile,
//! whatever its index there.
//!
//! A stack's hash is folded from the root to the leaf, so every prefix of a stack has a hash, too.
//! A stack that is known already is recognised by one look-up, and none of its frames, functions
//! or strings has to be touched. Hashes are keyed with a random [`Seed`], so nobody outside can
//! prepare collisions; they never leave the process.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Key of all content hashes of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    a: u64,
    b: u64,
}

/// The hash of the empty stack: what [`Seed::push_frame`] starts from at the root.
pub const ROOT: u64 = 0x9e37_79b9_7f4a_7c15;

impl Seed {
    /// A seed from two random numbers.
    #[must_use]
    pub const fn new(a: u64, b: u64) -> Self {
        Self {
            a: spread(a),
            b: spread(b),
        }
    }

    /// One that differs from process to process.
    #[must_use]
    pub fn random() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self::new(
            RandomState::new().hash_one(1_u8),
            RandomState::new().hash_one(2_u8),
        )
    }

    fn mix(self, x: u64, y: u64) -> u64 {
        let product = u128::from(x ^ self.a).wrapping_mul(u128::from(y ^ self.b));
        (product as u64) ^ ((product >> 64) as u64)
    }

    /// Hash of a number, to look it up in a table that hostile input must not fill with collisions.
    #[must_use]
    pub fn number(self, number: u64) -> u64 {
        self.mix(number, number.rotate_left(32))
    }

    /// Hash of a pair of numbers; as [`Seed::number`].
    #[must_use]
    pub fn pair(self, x: u64, y: u64) -> u64 {
        self.mix(self.mix(x, y.rotate_left(32)), ROOT)
    }

    /// Hash of a string's bytes.
    #[must_use]
    pub fn string(self, bytes: &[u8]) -> u64 {
        xxh3_64_with_seed(bytes, self.a)
    }

    /// Hash of a function, from the hashes of its strings.
    #[must_use]
    pub fn function(self, name: u64, system_name: u64, filename: u64, start_line: i64) -> u64 {
        self.mix(
            self.mix(name, system_name),
            self.mix(filename, start_line as u64),
        )
    }

    /// Hash of a mapping, from the hashes of its strings.
    #[must_use]
    pub fn mapping(
        self,
        start: u64,
        limit: u64,
        offset: u64,
        filename: u64,
        build_id: u64,
        flags: u8,
    ) -> u64 {
        let place = self.mix(self.mix(start, limit), self.mix(offset, u64::from(flags)));
        self.mix(place, self.mix(filename, build_id))
    }

    /// Hash of a location without lines; [`Seed::push_line`] adds each line, innermost first.
    #[must_use]
    pub fn location(self, mapping: u64, address: u64, is_folded: bool) -> u64 {
        self.mix(self.mix(mapping, address), u64::from(is_folded))
    }

    /// Adds one line to a location's hash.
    #[must_use]
    pub fn push_line(self, location: u64, function: u64, line: i64, column: i64) -> u64 {
        self.mix(
            self.mix(location, function),
            self.mix(line as u64, column as u64),
        )
    }

    /// The hash of a stack with one more frame on its leaf side.
    #[must_use]
    pub fn push_frame(self, stack: u64, location: u64) -> u64 {
        self.mix(stack, location.rotate_left(32))
    }
}

/// Spreads a number over 64 bits (the finaliser of SplitMix64): with small keys, products would be zero.
const fn spread(number: u64) -> u64 {
    let mixed = number.wrapping_add(ROOT);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
