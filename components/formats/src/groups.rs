//! Collapsed stacks: `frame;frame;frame count`, one a line.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use memchr::{memchr, memrchr};

use crate::error::Error;
use crate::stacks::{Limits, Stacks};

/// Reads collapsed stacks. The count follows the last space of a line; lines without one are skipped.
///
/// # Errors
/// [`Error::Line`] for a count that is no whole number, [`Error::Content`] if the payload is not
/// empty but has no stack at all, [`Error::TooLarge`].
pub fn parse(payload: &[u8], limits: &Limits) -> Result<Stacks, Error> {
    if memchr(0, payload).is_some() {
        return Err(Error::Content(
            "it contains a zero byte, so it is no text".into(),
        ));
    }
    let mut stacks = Stacks::new(limits);
    let mut found = false;
    for (number, line) in (1_usize..).zip(payload.split(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some((stack, count)) = memrchr(b' ', line).and_then(|at| line.split_at_checked(at))
        else {
            continue;
        };
        let count = count.strip_prefix(b" ").unwrap_or(count);
        stacks.add_joined(stack, whole_number(count, number)?)?;
        found = true;
    }
    if !found && !payload.trim_ascii().is_empty() {
        return Err(Error::Content(
            "no line has the form `frame;frame count`".into(),
        ));
    }
    Ok(stacks)
}

fn whole_number(count: &[u8], line: usize) -> Result<i64, Error> {
    str::from_utf8(count)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            let shown = crate::error::preview(count);
            Error::line(
                line,
                format_args!("a whole number is expected after the last space, not {shown}"),
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleRate;
    use crate::stacks::tests::{LIMITS, folded};

    #[track_caller]
    fn check(payload: &str, expected: &[&str]) {
        let stacks = parse(payload.as_bytes(), &LIMITS).unwrap();
        assert_eq!(
            folded(&stacks, "x.live", SampleRate::DEFAULT),
            expected,
            "{payload:?}"
        );
    }

    #[test]
    fn stacks_are_read() {
        check(
            "main;a;b 10\nmain;a 5\nmain;c 1\nmain;a;b 2\n",
            &["main;a 5", "main;a;b 12", "main;c 1"],
        );
        check(
            "main;do it;now 3\nmain;do it 4\n",
            &["main;do it 4", "main;do it;now 3"],
        );
        check("main;;a 3\n;b 4\n", &[";b 4", "main;;a 3"]);
    }

    #[test]
    fn blank_lines_and_lines_without_a_count_are_skipped() {
        check("\nmain;a 3\nnocount\n\nmain;b 4", &["main;a 3", "main;b 4"]);
        check("main;a 3\r\nmain;b 4\r\n", &["main;a 3", "main;b 4"]);
        check("", &[]);
        check(" \n\n".trim(), &[]);
    }

    #[track_caller]
    fn refused(payload: &[u8], expected: &str) {
        assert_eq!(parse(payload, &LIMITS).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_no_stack_is_refused_with_its_line() {
        refused(
            b"main 1\nmain;a x\n",
            "line 2: a whole number is expected after the last space, not \"x\"",
        );
        refused(
            b"[object FormData]",
            "line 1: a whole number is expected after the last space, not \"FormData]\"",
        );
        refused(
            b"main 1.5",
            "line 1: a whole number is expected after the last space, not \"1.5\"",
        );
        refused(
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
            "it contains a zero byte, so it is no text",
        );
        refused(b"hello", "no line has the form `frame;frame count`");
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
