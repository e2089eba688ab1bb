//! What a gossip datagram looks like on the wire: sealed with a key that all members have, in parts that need no
//! fragments.
//!
//! ```text
//! magic 4 │ run 16 │ number 8 │ part 1 │ parts 1 │ ciphertext │ tag 16
//! ```
//!
//! ChaCha20-Poly1305. The key is derived (HKDF-SHA-256) from the secret, the name of the cluster, and `run`, 16 random
//! bytes of the sending process; the nonce is `number` and `part`. So no nonce is used twice, a datagram of another
//! cluster does not open, and neither does noise. Without a secret the name of the cluster alone makes the key: that
//! keeps clusters apart, and nobody out.
//!
//! A datagram that is sent again by somebody says what it said before; gossip knows that already.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::{HashMap, VecDeque};
use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};

const MAGIC: [u8; 4] = *b"PHG1";
const HEADER: usize = 30;
const TAG: usize = 16;

/// Content of one datagram: with everything around it, it fits an Ethernet frame and most tunnels.
const PART: usize = 1200;

/// Longest message: what one UDP datagram could hold.
const MAX_MESSAGE: usize = 65_507;
const MAX_PARTS: usize = MAX_MESSAGE.div_ceil(PART);

/// Messages of which some parts are still missing; more push out the oldest.
const OPEN_MESSAGES: usize = 64;

/// Senders whose keys are remembered.
const REMEMBERED: usize = 4096;

type Run = [u8; 16];

/// Why a datagram is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Refused {
    /// It is none of ours.
    Noise,
    /// It was sealed for another cluster, or with another secret.
    Foreign,
}

impl Refused {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Foreign => "foreign",
        }
    }
}

/// No randomness, or no more numbers.
#[derive(Debug, thiserror::Error)]
#[error("seal a gossip message: {0}")]
pub(crate) struct SealError(&'static str);

/// Seals and opens datagrams.
pub(crate) struct Seal {
    /// The first seals, all open: so secrets are changed one member after the other.
    secrets: Vec<Prk>,
    run: Run,
    own: LessSafeKey,
    number: u64,
    known: HashMap<Run, LessSafeKey>,
    parts: Parts,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal")
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

fn key(secret: &Prk, run: &Run) -> Option<LessSafeKey> {
    let info = [run.as_slice()];
    let okm = secret.expand(&info, &CHACHA20_POLY1305).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(okm)))
}

fn nonce(number: u64, part: u8) -> Nonce {
    let mut nonce = [0; 12];
    let (first, rest) = nonce.split_at_mut(8);
    first.copy_from_slice(&number.to_be_bytes());
    if let Some(byte) = rest.first_mut() {
        *byte = part;
    }
    Nonce::assume_unique_for_key(nonce)
}

impl Seal {
    /// For members of `cluster` that share one of `secrets`.
    pub(crate) fn new(cluster: &str, secrets: &[Vec<u8>]) -> Result<Self, SealError> {
        let salt = Salt::new(HKDF_SHA256, cluster.as_bytes());
        let secrets: Vec<Prk> = match secrets {
            [] => vec![salt.extract(b"")],
            secrets => secrets.iter().map(|secret| salt.extract(secret)).collect(),
        };
        let mut run = Run::default();
        SystemRandom::new()
            .fill(&mut run)
            .map_err(|_| SealError("the system gives no random bytes"))?;
        let own = secrets.first().and_then(|secret| key(secret, &run));
        Ok(Self {
            own: own.ok_or(SealError("no key"))?,
            secrets,
            run,
            number: 0,
            known: HashMap::new(),
            parts: Parts::default(),
        })
    }

    /// The datagrams that carry `message`.
    pub(crate) fn seal(&mut self, message: &[u8]) -> Result<Vec<Vec<u8>>, SealError> {
        self.number = self
            .number
            .checked_add(1)
            .ok_or(SealError("no more numbers"))?;
        let count = message.len().div_ceil(PART).max(1);
        let parts = u8::try_from(count)
            .ok()
            .filter(|parts| usize::from(*parts) <= MAX_PARTS)
            .ok_or(SealError("the message is too long"))?;
        let mut chunks = message.chunks(PART);
        let mut datagrams = Vec::with_capacity(count);
        for part in 0..parts {
            let content = chunks.next().unwrap_or_default();
            let mut datagram =
                Vec::with_capacity(HEADER.saturating_add(content.len()).saturating_add(TAG));
            datagram.extend_from_slice(&MAGIC);
            datagram.extend_from_slice(&self.run);
            datagram.extend_from_slice(&self.number.to_be_bytes());
            datagram.extend_from_slice(&[part, parts]);
            let mut sealed = content.to_vec();
            self.own
                .seal_in_place_append_tag(
                    nonce(self.number, part),
                    Aad::from(&datagram),
                    &mut sealed,
                )
                .map_err(|_| SealError("the content is too long"))?;
            datagram.append(&mut sealed);
            datagrams.push(datagram);
        }
        Ok(datagrams)
    }

    /// The message that `datagram` completes, if it does.
    pub(crate) fn open(&mut self, datagram: &mut [u8]) -> Result<Option<Vec<u8>>, Refused> {
        let (head, content) = datagram
            .split_at_mut_checked(HEADER)
            .ok_or(Refused::Noise)?;
        let header = Header::read(head).ok_or(Refused::Noise)?;
        let aad: [u8; HEADER] = head.try_into().map_err(|_| Refused::Noise)?;
        let known = self.known.get(&header.run);
        if known.is_none() {
            // An unknown sender: whichever secret opens it.
            let keys = self
                .secrets
                .iter()
                .filter_map(|secret| key(secret, &header.run));
            let mut keys = keys.filter(|key| {
                let mut copy = content.to_vec();
                key.open_in_place(nonce(header.number, header.part), Aad::from(aad), &mut copy)
                    .is_ok()
            });
            let key = keys.next().ok_or(Refused::Foreign)?;
            if self.known.len() >= REMEMBERED {
                self.known.clear();
            }
            self.known.insert(header.run, key);
        }
        let key = self.known.get(&header.run).ok_or(Refused::Foreign)?;
        let content = key
            .open_in_place(nonce(header.number, header.part), Aad::from(aad), content)
            .map_err(|_| Refused::Foreign)?;
        Ok(self.parts.add(&header, content))
    }
}

#[derive(Clone, Copy, Debug)]
struct Header {
    run: Run,
    number: u64,
    part: u8,
    parts: u8,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (run, rest) = rest.split_first_chunk::<16>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let [part, parts] = *rest.first_chunk::<2>()?;
        let sound = part < parts && usize::from(parts) <= MAX_PARTS;
        sound.then_some(Self {
            run: *run,
            number: u64::from_be_bytes(*number),
            part,
            parts,
        })
    }
}

/// Parts that wait for others, at most [`OPEN_MESSAGES`] × 64 KiB.
#[derive(Debug, Default)]
struct Parts(VecDeque<OpenMessage>);

#[derive(Debug)]
struct OpenMessage {
    run: Run,
    number: u64,
    parts: Vec<Option<Vec<u8>>>,
}

impl Parts {
    fn add(&mut self, header: &Header, content: &[u8]) -> Option<Vec<u8>> {
        if header.parts == 1 {
            return Some(content.to_vec());
        }
        let same = |open: &OpenMessage| {
            open.run == header.run
                && open.number == header.number
                && open.parts.len() == usize::from(header.parts)
        };
        let at = match self.0.iter().position(same) {
            Some(at) => at,
            None => {
                if self.0.len() >= OPEN_MESSAGES {
                    self.0.pop_front();
                }
                self.0.push_back(OpenMessage {
                    run: header.run,
                    number: header.number,
                    parts: vec![None; usize::from(header.parts)],
                });
                self.0.len().saturating_sub(1)
            }
        };
        let open = self.0.get_mut(at)?;
        if let Some(part) = open.parts.get_mut(usize::from(header.part)) {
            *part = Some(content.to_vec());
        }
        if open.parts.iter().any(Option::is_none) {
            return None;
        }
        let complete = self.0.remove(at)?;
        Some(complete.parts.into_iter().flatten().flatten().collect())
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    fn seal(cluster: &str, secrets: &[&str]) -> Seal {
        let secrets: Vec<_> = secrets
            .iter()
            .map(|secret| secret.as_bytes().to_vec())
            .collect();
        Seal::new(cluster, &secrets).unwrap()
    }

    fn message(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn messages_of_all_lengths_arrive_in_any_order() {
        let (mut from, mut to) = (seal("a", &["s"]), seal("a", &["s"]));
        for length in [0, 1, PART, PART + 1, MAX_MESSAGE] {
            let sent = message(length);
            let mut datagrams = from.seal(&sent).unwrap();
            datagrams.reverse();
            let mut arrived = None;
            for datagram in &mut datagrams {
                assert!(datagram.len() <= 1280);
                assert!(arrived.is_none());
                arrived = to.open(datagram).unwrap();
            }
            assert_eq!(arrived, Some(sent));
        }
        assert!(to.parts.0.is_empty());
    }

    #[test]
    fn a_message_that_is_too_long_is_an_error() {
        assert!(seal("a", &[]).seal(&message(MAX_MESSAGE + PART)).is_err());
    }

    #[test]
    fn other_clusters_and_secrets_do_not_open() {
        for (cluster, secrets) in [("b", ["s"].as_slice()), ("a", &["t"]), ("a", &[])] {
            let mut datagram = seal("a", &["s"]).seal(b"hello").unwrap().remove(0);
            assert_eq!(
                seal(cluster, secrets).open(&mut datagram),
                Err(Refused::Foreign)
            );
        }
    }

    #[test]
    fn secrets_are_changed_one_member_after_the_other() {
        let (mut old, mut both, mut new) = (
            seal("a", &["s"]),
            seal("a", &["s", "t"]),
            seal("a", &["t", "s"]),
        );
        for _ in 0..2 {
            assert!(both.open(&mut old.seal(b"x").unwrap()[0]).is_ok());
            assert!(both.open(&mut new.seal(b"x").unwrap()[0]).is_ok());
            assert!(new.open(&mut both.seal(b"x").unwrap()[0]).is_ok());
            assert!(old.open(&mut new.seal(b"x").unwrap()[0]).is_err());
        }
    }

    #[test]
    fn a_changed_bit_is_refused() {
        let (mut from, mut to) = (seal("a", &["s"]), seal("a", &["s"]));
        let sent = from.seal(b"hello").unwrap().remove(0);
        for bit in 0..sent.len() * 8 {
            let mut changed = sent.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(to.open(&mut changed).is_err(), "bit {bit}");
        }
        assert_eq!(to.open(&mut sent.clone()), Ok(Some(b"hello".to_vec())));
    }

    #[test]
    fn what_never_completes_is_pushed_out() {
        let (mut from, mut to) = (seal("a", &["s"]), seal("a", &["s"]));
        let mut first = from.seal(&message(PART * 2)).unwrap();
        assert_eq!(to.open(&mut first[0]), Ok(None));
        for _ in 0..OPEN_MESSAGES * 2 {
            let mut datagrams = from.seal(&message(PART * 2)).unwrap();
            assert_eq!(to.open(&mut datagrams[0]), Ok(None));
        }
        assert_eq!(to.parts.0.len(), OPEN_MESSAGES);
        assert_eq!(to.open(&mut first[1]), Ok(None), "its first part is gone");
    }

    #[test]
    fn two_runs_never_share_a_key() {
        let (mut one, mut other) = (seal("a", &["s"]), seal("a", &["s"]));
        assert_ne!(one.seal(b"x").unwrap(), other.seal(b"x").unwrap());
    }

    proptest::proptest! {
        #[test]
        fn noise_is_refused(mut noise in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000), magic in proptest::prelude::any::<bool>()) {
            if magic && noise.len() >= 4 {
                noise[..4].copy_from_slice(&MAGIC);
            }
            proptest::prop_assert!(seal("a", &[]).open(&mut noise).is_err());
        }
    }
}
