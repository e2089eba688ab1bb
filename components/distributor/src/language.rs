//! The language of a profiled program, where the profile gives it away (api.md 8.1).

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Go,
    Python,
    Ruby,
    NodeJs,
    Java,
    DotNet,
    Php,
    Rust,
    Unknown,
}

/// What a text begins or ends with.
enum Sign {
    Prefix(&'static str),
    Suffix(&'static str),
}

const SIGNS: [(Sign, Language); 13] = [
    (Sign::Suffix(".go"), Language::Go),
    (Sign::Prefix("/usr/local/go/"), Language::Go),
    (Sign::Prefix("java/"), Language::Java),
    (Sign::Prefix("sun/"), Language::Java),
    (Sign::Suffix(".rb"), Language::Ruby),
    (Sign::Prefix("gems/"), Language::Ruby),
    (Sign::Prefix("./node_modules/"), Language::NodeJs),
    (Sign::Suffix(".js"), Language::NodeJs),
    (Sign::Prefix("System."), Language::DotNet),
    (Sign::Prefix("Microsoft."), Language::DotNet),
    (Sign::Suffix(".py"), Language::Python),
    (Sign::Suffix("main.rs"), Language::Rust),
    (Sign::Suffix("core.rs"), Language::Rust),
];

/// Decides by the spy that took the profile, else by the first string that gives a language away.
pub(crate) fn detect<'a>(
    spy: Option<&str>,
    strings: impl IntoIterator<Item = &'a str>,
) -> Language {
    match spy.unwrap_or_default() {
        "gospy" => Language::Go,
        "pyspy" => Language::Python,
        "rbspy" => Language::Ruby,
        "nodespy" => Language::NodeJs,
        "javaspy" | "grafana-agent.java" => Language::Java,
        "dotnetspy" => Language::DotNet,
        "phpspy" => Language::Php,
        "pyroscope-rs" => Language::Rust,
        _ => strings
            .into_iter()
            .find_map(of_string)
            .unwrap_or(Language::Unknown),
    }
}

fn of_string(text: &str) -> Option<Language> {
    let has = |sign: &Sign| match sign {
        Sign::Prefix(prefix) => text.starts_with(prefix),
        Sign::Suffix(suffix) => text.ends_with(suffix),
    };
    SIGNS
        .iter()
        .find(|(sign, _)| has(sign))
        .map(|(_, language)| *language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spy_decides_before_the_strings() {
        assert_eq!(detect(Some("pyspy"), ["main.go"]), Language::Python);
        assert_eq!(
            detect(Some("otherspy"), ["x", "main.go", "x.py"]),
            Language::Go
        );
        assert_eq!(
            detect(None, ["", "java/lang/Thread.run", "main.go"]),
            Language::Java
        );
        assert_eq!(detect(None, ["/usr/local/go/src/x"]), Language::Go);
        assert_eq!(detect(None, ["", "cpu"]), Language::Unknown);
    }
}
