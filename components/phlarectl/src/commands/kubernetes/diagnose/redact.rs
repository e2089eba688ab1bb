//! Takes secrets out of what is passed on: objects by their structure, text by what secrets look like.
//!
//! Rather too much than too little: whoever reads the archive misses a value, whoever made it loses nothing.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// What stands where something was.
pub(super) const REDACTED: &str = "[redacted]";

/// Variables of the environment whose values are settings, not secrets.
const PLAIN_VARIABLES: [&str; 6] = [
    "RUST_LOG",
    "RUST_BACKTRACE",
    "TZ",
    "LANG",
    "POD_NAME",
    "POD_NAMESPACE",
];

/// Annotations that hold whole objects once more.
const COPIES: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Words in the names of secrets, without what separates words.
const WORDS: [&str; 21] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "accesskey",
    "accountkey",
    "privatekey",
    "authorization",
    "cookie",
    "bcrypt",
    "signature",
    "sastoken",
    "connectionstring",
    "jwt",
    "bearer",
    "clientkey",
    "keydata",
    "httpheadervalue",
];

/// Ends of names of things that only say where a secret is, or are none.
const HARMLESS_ENDS: [&str; 12] = [
    "name", "ref", "file", "path", "type", "tokens", "seconds", "period", "url", "secrets", "kind",
    "enabled",
];

/// Whether what has this name is to be taken out.
fn is_secret(name: &str) -> bool {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let letters = letters.to_ascii_lowercase();
    let harmless = HARMLESS_ENDS.iter().any(|end| letters.ends_with(end));
    !harmless && WORDS.iter().any(|word| letters.contains(word))
}

/// Patterns of secrets in text, each with what is kept of it.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let patterns = [
        // Keys in PEM, whole, also with `\n` written out or cut off at the end.
        (
            r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\z)",
            REDACTED,
        ),
        // Logins in URLs.
        (
            r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@?#\x22']+@",
            "${scheme}[redacted]@",
        ),
        // Parameters of signed URLs.
        (
            r"(?i)(?P<name>[?&](?:x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|sig|se|sv|signature|token|access_token|id_token|code|key|api_?key|password|secret)=)[^&\s\x22'<>]+",
            "${name}[redacted]",
        ),
        // Headers.
        (
            r"(?i)(?P<scheme>\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{6,}",
            "${scheme}[redacted]",
        ),
        // Keys of AWS, tokens in JSON Web form, hashes of passwords, keys of Grafana and GitHub.
        (r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b", REDACTED),
        (
            r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.?[A-Za-z0-9_-]*",
            REDACTED,
        ),
        (r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{20,}", REDACTED),
        (
            r"\b(?:glsa|glc|ghp|gho|ghs|github_pat|xox[abp])_?[A-Za-z0-9_-]{16,}",
            REDACTED,
        ),
    ];
    let compiled = patterns.into_iter();
    compiled
        .filter_map(|(pattern, kept)| Some((Regex::new(pattern).ok()?, kept)))
        .collect()
});

/// `name: `, `name=`, `"name":`, `-a.b-name=`: the name, and what stands between it and a value.
static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)\\?"?'?[ \t]*[:=][ \t]*"#).ok()
});

/// A value at the beginning: a block of YAML, in quotes, a list, or one word.
static VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"^(?:[|>][+-]?[ \t]*\n(?:[ \t]+[^\n]*(?:\n|\z))+|\\?"(?:[^"\\\n]|\\[^"\n])*\\?"|'[^'\n]*'|\[[^\]\n]*\]|[^\s"',;&{}\[\]]+)"#,
    )
    .ok()
});

/// Long words of mixed letters and digits: keys have no other form.
static WORDS_OF_KEYS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9+]{32,}={0,2}").ok());

/// Text without secrets.
pub(super) fn text(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    for (pattern, kept) in PATTERNS.iter() {
        if let Cow::Owned(changed) = pattern.replace_all(&text, *kept) {
            text = Cow::Owned(changed);
        }
    }
    let mut text = Cow::Owned(without_values(&text));
    if let Some(words) = WORDS_OF_KEYS.as_ref()
        && let Cow::Owned(changed) = words.replace_all(&text, word)
    {
        text = Cow::Owned(changed);
    }
    text.into_owned()
}

/// Takes values out that follow the names of secrets. A value that stays is looked into, too: `args: -x.secret=…`.
fn without_values(text: &str) -> String {
    let (Some(names), Some(value)) = (NAMES.as_ref(), VALUE.as_ref()) else {
        return REDACTED.to_owned();
    };
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = names.captures(rest) {
        let (Some(whole), Some(name)) = (found.get(0), found.name("name")) else {
            break;
        };
        let (before, after) = rest.split_at(whole.end());
        kept.push_str(before);
        rest = after;
        if !is_secret(name.as_str()) {
            continue;
        }
        if let Some(value) = value.find(after) {
            kept.push_str(&replacement(value.as_str()));
            rest = after.split_at(value.end()).1;
        }
    }
    kept + rest
}

/// What stands where the value of a secret was: quotes stay, so that the text stays what it was.
fn replacement(value: &str) -> Cow<'_, str> {
    let bare = value.trim_matches(['"', '\'', '\\']);
    if matches!(bare, "" | "true" | "false" | "null" | REDACTED) || is_variable(bare) {
        return Cow::Borrowed(value);
    }
    let quote: String = value
        .chars()
        .take_while(|letter| matches!(letter, '"' | '\'' | '\\'))
        .collect();
    let end = if value.ends_with('\n') { "\n" } else { "" };
    Cow::Owned(format!("{quote}{REDACTED}{quote}{end}"))
}

/// `${NAME}`, which the process looks up in its environment; a word ends before its brace.
fn is_variable(value: &str) -> bool {
    let name = value
        .strip_prefix("${")
        .map(|name| name.trim_end_matches('}'));
    value == "$"
        || name.is_some_and(|name| {
            name.bytes()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
        })
}

fn word(found: &Captures<'_>) -> String {
    let word = found.get(0).map_or("", |word| word.as_str());
    let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
    let is_key =
        has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    if is_key {
        REDACTED.to_owned()
    } else {
        word.to_owned()
    }
}

/// An object without secrets.
pub(super) fn object(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("managedFields");
            map.remove(COPIES);
            let variable = map
                .get("name")
                .and_then(Value::as_str)
                .map(ToOwned::to_owned);
            for (key, value) in map.iter_mut() {
                let is_variable = key == "value"
                    && variable
                        .as_deref()
                        .is_some_and(|name| !PLAIN_VARIABLES.contains(&name));
                match value {
                    Value::String(text) if !text.is_empty() && (is_variable || is_secret(key)) => {
                        REDACTED.clone_into(text);
                    }
                    value => object(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(object),
        Value::String(line) => *line = text(line),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
