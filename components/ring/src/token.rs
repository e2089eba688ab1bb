//! Tokens: points on the ring of 2³², and how keys become tokens.
//!
//! Three hashes, never mixed, because members of other versions and systems use the same ones: FNV-1 for series and
//! blocks, FNV-1a for jobs.

use std::fmt;

use phlare_model::{Labels, TenantId};

const OFFSET: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// A point on the ring.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(u32);

impl Token {
    /// The point `value`.
    #[must_use]
    pub const fn from_u32(value: u32) -> Self {
        Self(value)
    }

    /// The point as a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Where a series belongs: FNV-1 over the tenant, then the labels as `{a="x", b="y"}`. Allocates nothing.
    #[must_use]
    pub fn of_series(tenant: &TenantId, labels: &Labels) -> Self {
        let mut hash = Fnv1(OFFSET);
        hash.eat(tenant.as_str().as_bytes());
        // Writing into a number does not fail.
        let _ = fmt::write(&mut hash, format_args!("{labels}"));
        Self(hash.0)
    }

    /// Where a block belongs: FNV-1 over the bytes of its ULID.
    #[must_use]
    pub fn of_block(ulid: &[u8; 16]) -> Self {
        let mut hash = Fnv1(OFFSET);
        hash.eat(ulid);
        Self(hash.0)
    }

    /// Where a job belongs (compaction, cleaning): FNV-1a over its key.
    #[must_use]
    pub fn of_job(key: &str) -> Self {
        let mut hash = OFFSET;
        for byte in key.bytes() {
            hash = (hash ^ u32::from(byte)).wrapping_mul(PRIME);
        }
        Self(hash)
    }
}

/// FNV-1: multiply, then mix the byte in.
struct Fnv1(u32);

impl Fnv1 {
    fn eat(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(PRIME) ^ u32::from(*byte);
        }
    }
}

impl fmt::Write for Fnv1 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.eat(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published test vectors of both hashes.
    #[test]
    fn hashes_are_the_published_ones() {
        let fnv1 = |text: &str| {
            let mut hash = Fnv1(OFFSET);
            hash.eat(text.as_bytes());
            hash.0
        };
        assert_eq!(fnv1(""), 0x811c_9dc5);
        assert_eq!(fnv1("a"), 0x050c_5d7e);
        assert_eq!(fnv1("foobar"), 0x31f0_b262);
        assert_eq!(Token::of_job(""), Token(0x811c_9dc5));
        assert_eq!(Token::of_job("a"), Token(0xe40c_292c));
        assert_eq!(Token::of_job("foobar"), Token(0xbf9c_f968));
    }

    #[test]
    fn a_series_is_hashed_as_tenant_then_label_string() -> Result<(), Box<dyn std::error::Error>> {
        let tenant = TenantId::parse("team-a")?;
        let labels = Labels::from_pairs([("service_name", "api"), ("pod", "a\"b")]);
        let mut hash = Fnv1(OFFSET);
        hash.eat(br#"team-a{pod="a\"b", service_name="api"}"#);
        assert_eq!(Token::of_series(&tenant, &labels), Token(hash.0));
        Ok(())
    }
}
