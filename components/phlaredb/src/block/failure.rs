//! Reads that failed a moment ago: who waited for one shares its failure.
//!
//! Of all queries that want a piece one reads it, and the others wait. If each of them began anew when the first had failed,
//! one after the other, a store that does not answer would hold their threads for as many times its patience.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use phlare_block::Error;
use phlare_model::chain;

/// A read that failed, and may succeed later.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    ended: Instant,
    file: String,
    why: Told,
}

/// What the storage said to somebody else.
#[derive(Clone, Debug)]
struct Told(Arc<str>);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Told {}

impl Failure {
    /// Now. `None` if it is the block's fault, which others find out as fast.
    pub(super) fn of(error: &Error) -> Option<Self> {
        let Error::Read { file, source } = error else {
            return None;
        };
        let source: &(dyn StdError + 'static) = source.as_ref();
        Some(Self {
            ended: Instant::now(),
            file: file.clone(),
            why: Told(chain(source).into()),
        })
    }

    /// What somebody gets who has waited since `asked`; `None` if it failed before that.
    pub(super) fn since(&self, asked: Instant) -> Option<Error> {
        (self.ended >= asked).then(|| Error::Read {
            file: self.file.clone(),
            source: Box::new(self.why.clone()),
        })
    }
}
