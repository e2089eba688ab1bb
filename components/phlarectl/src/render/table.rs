//! The heaviest functions.

use serde::Serialize;

use super::{Shown, Unit, percent};
use crate::ui;

/// A profile for programs. Names and order of the fields are stable.
#[derive(Debug, Serialize)]
pub(crate) struct Json<'a> {
    profile_type: &'a str,
    query: &'a str,
    from_ms: i64,
    to_ms: i64,
    total: i64,
    functions: Vec<Function<'a>>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(rename = "self")]
    self_value: i64,
    total: i64,
}

/// All functions, the one with the largest own value first.
pub(crate) fn json<'a>(shown: &Shown<'a>) -> Json<'a> {
    let function = |f: &phlare_model::tree::Function<'a>| Function {
        name: f.name,
        self_value: f.self_value,
        total: f.total,
    };
    Json {
        profile_type: shown.profile_type,
        query: shown.query,
        from_ms: shown.range_ms.0,
        to_ms: shown.range_ms.1,
        total: shown.tree.total(),
        functions: shown.tree.functions().iter().map(function).collect(),
    }
}

/// The first `top` functions (0: all), the one with the largest own value first.
#[expect(
    clippy::cast_precision_loss,
    reason = "shares are shown with one digit"
)]
pub(crate) fn render(shown: &Shown<'_>, top: usize) -> String {
    let unit = Unit::of_profile_type(shown.profile_type);
    let all = shown.tree.total() as f64;
    let functions = shown.tree.functions();
    let rows = if top == 0 { functions.len() } else { top };
    let mut table = ui::table(
        &["self", "self%", "total", "total%", "function"],
        &[0, 1, 2, 3],
    );
    for function in functions.iter().take(rows) {
        table.add_row([
            unit.show_exact(function.self_value),
            percent(function.self_value as f64, all),
            unit.show_exact(function.total),
            percent(function.total as f64, all),
            function.name.to_owned(),
        ]);
    }
    let mut text = format!("{}\n\n{}\n", shown.title(), table.trim_fmt());
    if functions.is_empty() {
        text = format!("{}\n\nno profile matches\n", shown.title());
    } else if functions.len() > rows {
        let dim = ui::DIM;
        text.push_str(&format!(
            "{dim}… {} more functions; --top-n 0 shows all{dim:#}\n",
            functions.len() - rows
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use phlare_model::Tree;

    use super::*;

    fn with<T>(test: impl FnOnce(&Shown<'_>) -> T) -> T {
        let mut tree = Tree::new();
        tree.insert(["main", "work"], 3_000_000_000);
        tree.insert(["main", "work", "main"], 1_000_000_000);
        test(&Shown {
            tree: &tree,
            profile_type: "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
            query: "{}",
            range_ms: (0, 60_000),
        })
    }

    #[test]
    fn a_function_that_calls_itself_counts_once() {
        let text = anstream::adapter::strip_str(&with(|shown| render(shown, 0))).to_string();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(3)
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[0],
            ["3.00", "s", "75.0%", "4.00", "s", "100.0%", "work"]
        );
        assert_eq!(
            rows[1],
            ["1.00", "s", "25.0%", "4.00", "s", "100.0%", "main"]
        );
        assert!(text.contains("1970-01-01T00:00:00Z to 1970-01-01T00:01:00Z"));
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert!(with(|shown| render(shown, 1)).contains("1 more functions"));
    }

    #[test]
    fn json_is_stable() {
        let json = with(|shown| serde_json::to_string(&json(shown)).unwrap());
        assert_eq!(
            json,
            r#"{"profile_type":"process_cpu:cpu:nanoseconds:cpu:nanoseconds","query":"{}","from_ms":0,"to_ms":60000,"total":4000000000,"functions":[{"name":"work","self":3000000000,"total":4000000000},{"name":"main","self":1000000000,"total":4000000000}]}"#
        );
    }
}
