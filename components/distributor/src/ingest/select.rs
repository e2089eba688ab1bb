//! Which format a body has: what the URL says, else its media type, else collapsed stacks.

use phlare_formats::preview;
use phlare_model::{Classify, ErrorKind};
use phlare_server::Status;

/// What bodies can be.
const ACCEPTED: &str = "`pprof` (raw or gzip, or as the file `profile` of a multipart/form-data body), `jfr` (the same, as \
     the file `jfr`), `groups` (also `folded`, `collapsed`: lines `frame;frame count`), `lines`, `tree`, `trie`, \
     `speedscope`";

/// A format that [`phlare_formats`] turns into pprof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    Groups,
    Lines,
    Tree,
    Trie,
    Speedscope,
}

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Pprof,
    Jfr,
    Text(TextFormat),
}

/// Why a format was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// The URL names it.
    Named(String),
    /// The media type names it.
    MediaType(String),
    /// Neither does: it is what is left.
    Assumed { format: String, media_type: String },
}

/// A format, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) format: Format,
    why: Why,
}

/// Whether a media type is that of a form.
pub(crate) fn is_form(content_type: &str) -> bool {
    content_type
        .to_ascii_lowercase()
        .contains("multipart/form-data")
}

impl Selection {
    /// Chooses in upstream's order (api.md 4.1), but a form is a form whatever the format.
    pub(crate) fn of(format: &str, content_type: &str) -> Self {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let named = match format {
            "trie" => Some(Format::Text(TextFormat::Trie)),
            "tree" => Some(Format::Text(TextFormat::Tree)),
            "lines" => Some(Format::Text(TextFormat::Lines)),
            "jfr" => Some(Format::Jfr),
            "pprof" => Some(Format::Pprof),
            "speedscope" => Some(Format::Text(TextFormat::Speedscope)),
            _ => None,
        };
        let by_media_type = match media_type {
            "binary/octet-stream+trie" => Some(Format::Text(TextFormat::Trie)),
            "binary/octet-stream+tree" => Some(Format::Text(TextFormat::Tree)),
            _ if is_form(content_type) => Some(Format::Pprof),
            _ => None,
        };
        match (named, by_media_type) {
            (Some(format_), _) => Self {
                format: format_,
                why: Why::Named(format.to_owned()),
            },
            (None, Some(format)) => Self {
                format,
                why: Why::MediaType(media_type.to_owned()),
            },
            (None, None) => {
                let why = match format {
                    "groups" | "folded" | "collapsed" => Why::Named(format.to_owned()),
                    _ => Why::Assumed {
                        format: format.to_owned(),
                        media_type: media_type.to_owned(),
                    },
                };
                Self {
                    format: Format::Text(TextFormat::Groups),
                    why,
                }
            }
        }
    }

    /// Whether the client said nothing from which the format follows.
    pub(crate) fn is_assumed(&self) -> bool {
        matches!(self.why, Why::Assumed { .. })
    }

    /// The answer to a body that is not of the format: which it was taken for and why, where it is wrong,
    /// what it looks like, and what would be accepted.
    pub(crate) fn refusal(&self, error: &phlare_formats::Error, body: &[u8]) -> Status {
        let kind = match error {
            // Groups, lines, tree and trie reach the type after parsing, a speedscope file before.
            phlare_formats::Error::UnknownKind { .. }
                if self.format == Format::Text(TextFormat::Speedscope) =>
            {
                ErrorKind::Unprocessable
            }
            phlare_formats::Error::TooLarge { .. } => ErrorKind::PayloadTooLarge,
            error => error.kind(),
        };
        let message = match error {
            phlare_formats::Error::UnknownKind { .. } | phlare_formats::Error::TooLarge { .. } => {
                error.to_string()
            }
            error => format!(
                "the body is not {}, {}: {error}; it has {} bytes and begins with {}{}; accepted formats: {ACCEPTED}",
                name(self.format),
                self.reason(),
                body.len(),
                preview(body),
                hint(body),
            ),
        };
        Status::new(kind, message)
    }

    fn reason(&self) -> String {
        match &self.why {
            Why::Named(format) => format!("which `format={format}` says it is"),
            Why::MediaType(media_type) => {
                format!("which the Content-Type `{media_type}` says it is")
            }
            Why::Assumed { format, media_type } => {
                let format = match format.as_str() {
                    "" => "the query has no `format`".to_owned(),
                    format => format!("`format={}` is not known", format.escape_debug()),
                };
                let media_type = match media_type.as_str() {
                    "" => "there is no Content-Type".to_owned(),
                    media_type => {
                        format!("the Content-Type `{media_type}` is no multipart/form-data")
                    }
                };
                format!("which was assumed because {format} and {media_type}")
            }
        }
    }
}

fn name(format: Format) -> &'static str {
    let format = match format {
        Format::Pprof => return "a `pprof`",
        Format::Jfr => return "a JFR recording (`jfr`)",
        Format::Text(format) => format,
    };
    match format {
        TextFormat::Groups => "collapsed stacks (`groups`)",
        TextFormat::Lines => "stacks line by line (`lines`)",
        TextFormat::Tree => "a `tree`",
        TextFormat::Trie => "a `trie`",
        TextFormat::Speedscope => "a `speedscope` file",
    }
}

/// What a body seems to be instead.
fn hint(body: &[u8]) -> &'static str {
    let begins = |with: &[u8]| {
        body.trim_ascii_start()
            .get(..with.len())
            .is_some_and(|b| b.eq_ignore_ascii_case(with))
    };
    match body {
        [] => ", it is empty",
        [0x1f, 0x8b, ..] => ", which is gzip, perhaps of a pprof (`format=pprof`)",
        [b'F', b'L', b'R', 0, ..] => ", which is a JFR recording (`format=jfr`)",
        [0x89, b'P', b'N', b'G', ..] => ", which is a PNG image",
        _ if begins(b"[object ") => {
            ", which a JavaScript runtime without FormData in its `fetch` sends instead of a form"
        }
        _ if begins(b"--") => ", which looks like a form without its Content-Type",
        _ if begins(b"<") => ", which looks like HTML or XML",
        _ if begins(b"{") => ", which looks like JSON, perhaps of speedscope (`format=speedscope`)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_decides_before_the_media_type() {
        use Format::{Jfr, Pprof, Text};
        use TextFormat::{Groups, Lines, Speedscope, Tree, Trie};
        let check = |format: &str, content_type: &str, expected: Format| {
            assert_eq!(
                Selection::of(format, content_type).format,
                expected,
                "{format:?} {content_type:?}"
            );
        };
        check("", "", Text(Groups));
        check("folded", "text/plain", Text(Groups));
        check("nonsense", "", Text(Groups));
        check("trie", "", Text(Trie));
        check("", "binary/octet-stream+trie", Text(Trie));
        check("", "binary/octet-stream+tree", Text(Tree));
        check("lines", "multipart/form-data; boundary=x", Text(Lines));
        check("speedscope", "", Text(Speedscope));
        check("jfr", "multipart/form-data; boundary=x", Jfr);
        check("pprof", "", Pprof);
        check("", "multipart/form-data; boundary=x", Pprof);
        check("nonsense", "Multipart/Form-Data; boundary=x", Pprof);
    }

    #[track_caller]
    fn refusal(format: &str, content_type: &str, body: &[u8]) -> String {
        let error = phlare_formats::Error::Content("reason".into());
        let status = Selection::of(format, content_type).refusal(&error, body);
        assert_eq!(status.http_status().as_u16(), 422);
        assert!(
            status.message.contains("accepted formats: `pprof`"),
            "{}",
            status.message
        );
        status.message
    }

    #[test]
    fn a_refusal_says_what_was_assumed_and_why() {
        let text = refusal("", "text/plain", b"[object FormData]");
        assert!(
            text.starts_with(
                "the body is not collapsed stacks (`groups`), which was assumed because "
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "has no `format` and the Content-Type `text/plain` is no multipart/form-data"
            ),
            "{text}"
        );
        assert!(text.contains("begins with \"[object FormData]\""), "{text}");
        let text = refusal("x", "", b"\x89PNG\r\n");
        assert!(
            text.contains("`format=x` is not known and there is no Content-Type"),
            "{text}"
        );
        assert!(
            text.contains("\"\\x89PNG\\r\\n\", which is a PNG image"),
            "{text}"
        );
        assert!(refusal("groups", "", b"").contains("which `format=groups` says it is"));
    }
}
