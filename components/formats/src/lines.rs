//! One stack a line, `frame;frame;frame`; each line counts 1.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use memchr::memchr;

use crate::error::Error;
use crate::stacks::{Limits, Stacks};

/// Reads stacks; blank lines are skipped.
///
/// # Errors
/// [`Error::Content`] if the payload is no text, [`Error::TooLarge`].
pub fn parse(payload: &[u8], limits: &Limits) -> Result<Stacks, Error> {
    if memchr(0, payload).is_some() {
        return Err(Error::Content(
            "it contains a zero byte, so it is no text".into(),
        ));
    }
    let mut stacks = Stacks::new(limits);
    for line in payload.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            stacks.add_joined(line, 1)?;
        }
    }
    Ok(stacks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleRate;
    use crate::stacks::tests::{LIMITS, folded};

    #[test]
    fn each_line_counts_one() {
        let stacks = parse(b"main;a;b\nmain;a;b\r\n\nmain;c\n", &LIMITS).unwrap();
        assert_eq!(
            folded(&stacks, "x.live", SampleRate::DEFAULT),
            ["main;a;b 2", "main;c 1"]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(parse(b"main\0", &LIMITS).is_err());
    }

    #[test]
    fn hostile_bytes_never_panic() {
        bolero::check!().for_each(|bytes: &[u8]| {
            if let Ok(stacks) = parse(bytes, &LIMITS) {
                folded(&stacks, "x", SampleRate::DEFAULT);
            }
        });
    }
}
