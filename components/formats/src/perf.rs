//! The text of `perf script`: events, each a line that says when and in which process, and below it a stack, leaf first.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use crate::error::Error;
use crate::stacks::{Limits, ROOT, Stacks};

/// Whether a payload looks like this: its first line that is no comment has a time such as `6544038.708352:`.
#[must_use]
pub fn is_perf_script(payload: &[u8]) -> bool {
    let mut lines = payload.split(|&byte| byte == b'\n');
    let first = lines.find(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#"));
    first.is_some_and(|line| Event::read(line).is_some())
}

/// Reads events; each counts 1, whatever it counts itself. The name of the process is the root of its stacks. Frames without a
/// symbol have the name of their file, in brackets.
///
/// # Errors
/// [`Error::Content`] if there is no event, [`Error::Line`] for a frame outside an event, [`Error::TooLarge`].
pub fn parse(payload: &[u8], limits: &Limits) -> Result<Stacks, Error> {
    let mut stacks = Stacks::new(limits);
    let mut event: Option<Event<'_>> = None;
    let mut found = false;
    for (number, line) in (1_usize..).zip(payload.split(|&byte| byte == b'\n')) {
        if line.starts_with(b"#") {
            continue;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            add(&mut stacks, event.take())?;
        } else if let Some(next) = Event::read(line) {
            add(&mut stacks, event.replace(next))?;
            found = true;
        } else if let Some(event) = &mut event {
            event.frames.push(name(text));
        } else {
            return Err(Error::line(number, "a stack without an event before it"));
        }
    }
    add(&mut stacks, event)?;
    match found {
        true => Ok(stacks),
        false => Err(Error::Content("it has no event of `perf script`".into())),
    }
}

/// What happened, and where.
struct Event<'a> {
    process: &'a [u8],
    /// Leaf first.
    frames: Vec<Name<'a>>,
}

/// The name of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name<'a> {
    Symbol(&'a [u8]),
    /// The name of its file.
    File(&'a [u8]),
}

impl<'a> Event<'a> {
    /// Reads `process pid[/tid] [[cpu]] time: [count] event: [frame]`; `None` for any other line.
    fn read(line: &'a [u8]) -> Option<Self> {
        let mut tokens = tokens(line);
        let (time_at, time) = tokens.find(|(_, token)| is_time(token))?;
        let (before, after) = line.split_at_checked(time_at)?;
        let mut process = before.trim_ascii();
        // From the end: the processor, the ids; the name of a process may have spaces.
        if let Some((rest, last)) = last_token(process)
            && last.starts_with(b"[")
        {
            process = rest;
        }
        let (process, ids) = last_token(process)?;
        if !ids
            .iter()
            .all(|byte| byte.is_ascii_digit() || b"/-".contains(byte))
        {
            return None;
        }
        let mut event = Self {
            process,
            frames: Vec::new(),
        };
        // Without a stack the place stands behind the event.
        let after = after.get(time.len()..)?;
        let named = self::tokens(after).find(|(_, token)| token.ends_with(b":"));
        if let Some((at, token)) = named {
            let rest = after.get(at.checked_add(token.len())?..)?.trim_ascii();
            let address = self::tokens(rest).next();
            if address.is_some_and(|(_, token)| is_hex(token)) {
                event.frames.push(name(rest));
            }
        }
        Some(event)
    }
}

fn add(stacks: &mut Stacks, event: Option<Event<'_>>) -> Result<(), Error> {
    let Some(Event { process, frames }) = event else {
        return Ok(());
    };
    let mut node = stacks.child(ROOT, process)?;
    for frame in frames.iter().rev() {
        node = match frame {
            Name::Symbol(symbol) => stacks.child(node, symbol)?,
            Name::File(file) => stacks.child(node, &[b"[", *file, b"]"].concat())?,
        };
    }
    stacks.add(node, 1);
    Ok(())
}

/// The name in `address symbol+0x12 (file)`.
fn name(frame: &[u8]) -> Name<'_> {
    let rest = match tokens(frame).next() {
        Some((_, token)) if is_hex(token) => frame.get(token.len()..).unwrap_or_default(),
        _ => frame,
    };
    let rest = rest.trim_ascii();
    // The file is the last thing in parentheses; symbols of C++ have some, too.
    let opened = rest.iter().rposition(|&byte| byte == b'(');
    let (symbol, file) = match opened.and_then(|at| rest.split_at_checked(at)) {
        Some((symbol, file)) if file.ends_with(b")") && symbol.ends_with(b" ") => {
            (symbol.trim_ascii(), file.trim_ascii())
        }
        _ => (rest, &b""[..]),
    };
    let symbol = match find_last(symbol, b"+0x").and_then(|at| symbol.split_at_checked(at)) {
        Some((name, offset)) if offset.get(3..).is_some_and(is_hex) => name,
        _ => symbol,
    };
    if !symbol.is_empty() && symbol != b"[unknown]" {
        return Name::Symbol(symbol);
    }
    let file = file.strip_prefix(b"(").unwrap_or(file);
    let file = file.strip_suffix(b")").unwrap_or(file);
    let file = file.rsplit(|&byte| byte == b'/').next().unwrap_or(file);
    match file
        .strip_prefix(b"[")
        .and_then(|file| file.strip_suffix(b"]"))
    {
        Some(file) => Name::File(file),
        None if file.is_empty() => Name::File(b"unknown"),
        None => Name::File(file),
    }
}

fn find_last(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).rposition(|window| window == what)
}

/// The words of a line and where they begin.
fn tokens(line: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0_usize;
    line.split(u8::is_ascii_whitespace)
        .filter_map(move |token| {
            let begin = at;
            at = begin.saturating_add(token.len()).saturating_add(1);
            (!token.is_empty()).then_some((begin, token))
        })
}

/// The text before the last word, and that word.
fn last_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(u8::is_ascii_whitespace)?;
    let (rest, last) = text.split_at_checked(at)?;
    Some((rest.trim_ascii(), last.trim_ascii()))
}

/// Seconds and a fraction, then a colon.
fn is_time(token: &[u8]) -> bool {
    let Some(number) = token.strip_suffix(b":") else {
        return false;
    };
    let mut parts = number.split(|&byte| byte == b'.');
    let mut digits = || {
        parts
            .next()
            .is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
    };
    digits() && digits() && parts.next().is_none()
}

fn is_hex(token: &[u8]) -> bool {
    !token.is_empty() && token.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SampleRate;
    use crate::stacks::tests::{LIMITS, folded};

    const SCRIPT: &str = "# captured on: a day
#
java 12688 [002] 6544038.708352: cpu-clock: 
\t    7f0f1d0a5c2b __GI___libc_read+0x11 (/lib/x86_64-linux-gnu/libc-2.17.so)
\t    7f0f1c7fef10 [unknown] (/tmp/perf-12688.map)
\t    7f0f1c7fef11 [unknown] ([vdso])
\t    7f0f1c7fef12 [unknown]

  Web Content 123/456 [001] 0.500000:     250000 cycles:u: 
\t          4005d7 std::vector<int>::at(unsigned long) const+0xa (/usr/bin/x y)
\t          4005d8 operator() (inlined)

swapper     0 [000]  1.5:  1 cycles:  ffffffff81063e3a native_write_msr ([kernel.kallsyms])
swapper     0 [000]  1.6:  1 cycles:  ffffffff81063e3a native_write_msr ([kernel.kallsyms])
";

    #[test]
    fn events_are_read() {
        assert!(is_perf_script(SCRIPT.as_bytes()));
        let stacks = parse(SCRIPT.as_bytes(), &LIMITS).unwrap();
        assert_eq!(
            folded(&stacks, "x.live", SampleRate::DEFAULT),
            [
                "Web Content;operator();std::vector<int>::at(unsigned long) const 1",
                "java;[unknown];[vdso];[perf-12688.map];__GI___libc_read 1",
                "swapper;native_write_msr 2",
            ]
        );
        let windows = SCRIPT.replace('\n', "\r\n");
        assert_eq!(
            folded(
                &parse(windows.as_bytes(), &LIMITS).unwrap(),
                "x.live",
                SampleRate::DEFAULT
            )
            .len(),
            3
        );
    }

    #[test]
    fn other_texts_are_not_taken_for_it() {
        for text in [
            "",
            "main;work 3\n",
            "a b 1.5\n",
            "1.5: x\n",
            "a b 1.5: x\n",
            "{\"a\": 1.5}",
        ] {
            assert!(!is_perf_script(text.as_bytes()), "{text}");
            assert!(parse(text.as_bytes(), &LIMITS).is_err(), "{text}");
        }
    }

    #[test]
    fn hostile_bytes_never_panic() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let _ = is_perf_script(bytes);
            if let Ok(stacks) = parse(bytes, &LIMITS) {
                folded(&stacks, "x", SampleRate::DEFAULT);
            }
        });
    }
}
