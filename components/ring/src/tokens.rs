//! The tokens of one instance: how they are chosen, kept and written down.

mod file;
mod spread;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::Rng;

pub use file::TokensFileError;

/// More than any instance has; what claims to have more is refused.
const MAX: usize = 4096;

/// Tokens of an instance: ascending, each once. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tokens(Arc<[u32]>);

/// Why a text is no list of tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTokens {
    /// The text is not base64.
    #[error("tokens are no base64")]
    Encoding,
    /// Not a number of whole tokens, or more than an instance has.
    #[error("{0} bytes of tokens: a multiple of 4, at most {max}", max = MAX * 4)]
    Length(usize),
}

impl Tokens {
    /// Sorts, and drops what is there twice.
    #[must_use]
    pub fn new(mut tokens: Vec<u32>) -> Self {
        tokens.sort_unstable();
        tokens.dedup();
        Self(tokens.into())
    }

    /// Tokens that share the ring evenly among instances of which only the number at the end of the name differs, as
    /// Kubernetes names them: `phlare-ingester-3`. Equal arguments give equal tokens, so a restart keeps them without
    /// a file. An id without such a number gets tokens by its hash: stable as well, but less even.
    ///
    /// Each zone and each family of names is even in itself. Costs O(number × count).
    #[must_use]
    pub fn spread(ring: &str, zone: &str, id: &str, count: usize) -> Self {
        Self::new(spread::tokens(ring, zone, id, count.min(MAX)))
    }

    /// These without those that `taken` has, and random ones for them, so that there are `count`.
    #[must_use]
    pub fn completed(&self, count: usize, taken: impl Fn(u32) -> bool, rng: &mut impl Rng) -> Self {
        let count = count.min(MAX);
        let mut kept: Vec<u32> = self.iter().filter(|token| !taken(*token)).collect();
        kept.truncate(count);
        // The ring is nearly empty: 2³² points against some ten thousand tokens. The bound is for rings that are not.
        let mut tries = count * 64;
        while kept.len() < count && tries > 0 {
            tries -= 1;
            let token = rng.random();
            if !taken(token) && !kept.contains(&token) {
                kept.push(token);
            }
        }
        Self::new(kept)
    }

    /// The tokens, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As text for gossip: base64 of little-endian numbers, 5⅓ bytes a token.
    #[must_use]
    pub fn encode(&self) -> String {
        let bytes: Vec<u8> = self.iter().flat_map(u32::to_le_bytes).collect();
        STANDARD_NO_PAD.encode(bytes)
    }

    /// Back from [`Tokens::encode`].
    ///
    /// # Errors
    /// The text is no base64, or of a length that cannot be.
    pub fn decode(text: &str) -> Result<Self, BadTokens> {
        if text.len() > MAX * 6 {
            return Err(BadTokens::Length(text.len() / 4 * 3));
        }
        let bytes = STANDARD_NO_PAD
            .decode(text)
            .map_err(|_| BadTokens::Encoding)?;
        let (tokens, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() || tokens.len() > MAX {
            return Err(BadTokens::Length(bytes.len()));
        }
        Ok(Self::new(
            tokens
                .iter()
                .map(|token| u32::from_le_bytes(*token))
                .collect(),
        ))
    }
}

#[cfg(test)]
mod tests;
