//! `${VAR}` in a configuration file: `-config.expand-env`.
//!
//! Works on the text before YAML is read. An unset variable is empty, `${VAR:-text}` and `${VAR:=text}`
//! give a text for it. Anything else with a dollar sign stays: `$1` belongs to relabel rules.

/// Expands all variables; `Err` is a line number (from 1) and what is wrong there.
pub(super) fn expand(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, (usize, &'static str)> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let line = 1 + out.matches('\n').count();
        let Some(end) = from.find('}') else {
            return Err((line, "`${` without `}`"));
        };
        let inside = &from[2..end];
        rest = &from[end + 1..];
        let (name, default) = match inside.find(":-").or_else(|| inside.find(":=")) {
            Some(at) => (&inside[..at], &inside[at + 2..]),
            None => (inside, ""),
        };
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err((
                line,
                "between `${` and `}` goes the name of a variable: letters, digits and `_`",
            ));
        }
        let value = variable(name)
            .filter(|value| !value.is_empty())
            .unwrap_or_else(|| default.to_owned());
        if value.contains(['\n', '\r']) {
            return Err((
                line,
                "the variable's value has a line break, which would change the structure of the file",
            ));
        }
        out.push_str(&value);
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_variables() {
        let variable = |name: &str| match name {
            "SET" => Some("value".to_owned()),
            "EMPTY" => Some(String::new()),
            "LINES" => Some("a\nb".to_owned()),
            _ => None,
        };
        let check = |text: &str, expected: Result<&str, usize>| {
            let got = expand(text, variable);
            assert_eq!(
                got.as_deref().map_err(|(line, _)| *line),
                expected,
                "{text}"
            );
        };
        check("a: ${SET}", Ok("a: value"));
        check("${UNSET}", Ok(""));
        check(
            "${UNSET:-x}${UNSET:=y}${EMPTY:-z}${SET:-no}",
            Ok("xyzvalue"),
        );
        check("$1 $SET $$ {}", Ok("$1 $SET $$ {}"));
        check("a\nb: ${SET", Err(2));
        check("\n\n${}", Err(3));
        check("${LINES}", Err(1));
    }
}
