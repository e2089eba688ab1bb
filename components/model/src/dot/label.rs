//! Texts of the graph: values with their unit, shares, short names.

use std::sync::LazyLock;

use phlare_proto::google::v1::Profile;
use regex::Regex;

use super::frames;

/// What values are printed in: bytes and counts as they are, times as seconds, pprof's units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    factor: f64,
    name: &'static str,
}

/// Units that profiles use, without a plural `s`, and what they are of the unit that is printed.
const UNITS: &[(&[&str], f64, &str)] = &[
    (&["b", "byte"], 1.0, "B"),
    (&["kb", "kbyte", "kilobyte"], 1024.0, "B"),
    (&["mb", "mbyte", "megabyte"], 1024.0 * 1024.0, "B"),
    (&["gb", "gbyte", "gigabyte"], 1024.0 * 1024.0 * 1024.0, "B"),
    (&["ns", "nanosecond"], 1e-9, "s"),
    (&["us", "μs", "microsecond"], 1e-6, "s"),
    (&["ms", "millisecond"], 1e-3, "s"),
    (&["s", "sec", "second"], 1.0, "s"),
    (&["hr", "hour"], 3600.0, "s"),
];

impl Unit {
    pub(super) fn of(profile: &Profile) -> Self {
        let unit = profile
            .sample_type
            .first()
            .map_or("", |kind| frames::string(profile, kind.unit));
        Self::named(unit)
    }

    fn named(unit: &str) -> Self {
        let unit = unit.to_lowercase();
        let unit = if unit.len() > 2 {
            unit.strip_suffix('s').unwrap_or(&unit)
        } else {
            &unit
        };
        UNITS
            .iter()
            .find(|(names, ..)| names.contains(&unit))
            .map_or(
                Self {
                    factor: 1.0,
                    name: "",
                },
                |&(_, factor, name)| Self { factor, name },
            )
    }

    /// With two decimals if there are any.
    pub(super) fn format(self, value: i64) -> String {
        let text = format!("{:.2}", value as f64 * self.factor);
        let text = text.strip_suffix(".00").unwrap_or(&text);
        if matches!(text, "0" | "-0") {
            "0".to_owned()
        } else {
            format!("{text}{}", self.name)
        }
    }
}

/// A share of the total, `100%` if that is what it rounds to.
pub(super) fn percentage(value: i64, total: i64) -> String {
    let share = if total == 0 {
        0.0
    } else {
        (value as f64 / total as f64).abs() * 100.0
    };
    if (99.95..=100.05).contains(&share) {
        "100%".to_owned()
    } else if share >= 1.0 || share == 0.0 {
        let decimals = if share == 0.0 { 0 } else { 2 };
        format!("{share:.decimals$}%")
    } else {
        format!("{}%", two_digits(share))
    }
}

/// The first two digits that count of a number below 1: C's `%.2g`.
fn two_digits(value: f64) -> String {
    let scientific = format!("{value:.1e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if exponent < -4 {
        return format!("{}e-{:02}", trim(digits), -exponent);
    }
    let decimals = usize::try_from(1 - exponent).unwrap_or(0);
    trim(&format!("{value:.decimals$}"))
}

/// For the inside of a quoted text; a line break ends a line to the left.
pub(super) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\l")
}

/// The last element of a path.
pub(super) fn base(path: &str) -> &str {
    path.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(path)
}

/// Build systems record files below the directory of the build process.
pub(super) fn trim_file(path: &str) -> &str {
    path.strip_prefix("/proc/self/cwd/")
        .map_or(path, |rest| rest.strip_prefix("./").unwrap_or(rest))
}

/// The import path before the package, if a dot follows that separates a function.
static GO: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:[0-9A-Za-z_.-]+/)+([^.]+\..+)"));
/// A major version in an import path.
static GO_VERSION: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^(.*?)/v(?:[2-9]|[1-9][0-9]+)([./].*)$"));
/// Packages before a class, and what follows its method.
static JAVA: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:[a-z][0-9A-Za-z_]*\.)*([A-Z][0-9A-Za-z_$]*\.(?:<init>|[a-z][0-9A-Za-z_$]*))(?:\(|$)",
    )
});
/// Namespaces before a class with its method.
static CPP: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:[A-Za-z_][0-9A-Za-z_]*::)+(_*[A-Z][0-9A-Za-z_]*::~?[A-Za-z_][0-9A-Za-z_]*(?:<.*>)?)",
    )
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that tests compile")
}

/// The part of a function's name that tells it from others in a picture: without import path, packages, namespaces.
pub(super) fn shorten(name: &str) -> String {
    let name = name.strip_prefix("(anonymous namespace)::").unwrap_or(name);
    let name = GO_VERSION.replace(name, "$1$2");
    for pattern in [&GO, &JAVA, &CPP] {
        if let Some(part) = pattern.captures(&name).and_then(|found| found.get(1)) {
            return part.as_str().to_owned();
        }
    }
    name.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_unit_pprof_prints() {
        let rows = [
            ("nanoseconds", 150_000_000, "0.15s"),
            ("nanoseconds", 1_000_000_000, "1s"),
            ("nanoseconds", 4_999_999, "0"),
            ("milliseconds", 1_500, "1.50s"),
            ("hours", 2, "7200s"),
            ("bytes", 1_982_429_390, "1982429390B"),
            ("kilobytes", -2, "-2048B"),
            ("count", 12, "12"),
            ("", 7, "7"),
        ];
        for (unit, value, expected) in rows {
            assert_eq!(Unit::named(unit).format(value), expected, "{value} {unit}");
        }
    }

    #[test]
    fn shares_are_those_of_printf() {
        let rows = [
            (1, 1, "100%"),
            (9995, 10000, "100%"),
            (3, 50, "6.00%"),
            (-1, 4, "25.00%"),
            (1, 200, "0.5%"),
            (123, 100_000, "0.12%"),
            (996, 100_000, "1%"),
            (1, 10_000_000, "1e-05%"),
            (0, 5, "0%"),
            (5, 0, "0%"),
        ];
        for (value, total, expected) in rows {
            assert_eq!(percentage(value, total), expected, "{value} of {total}");
        }
    }

    #[test]
    fn names_are_shortened_by_language() {
        let rows = [
            (
                "github.com/google/pprof/internal/driver.PProf",
                "driver.PProf",
            ),
            (
                "gopkg.in/yaml%2ev2.(*decoder).mapping",
                "yaml%2ev2.(*decoder).mapping",
            ),
            ("github.com/ui/v2/store.Get", "store.Get"),
            ("github.com/ui/lib/v12.(*T).Get", "lib.(*T).Get"),
            ("main.main", "main.main"),
            ("com.example.Foo.bar(int)", "Foo.bar"),
            ("java.util.List$1.<init>", "List$1.<init>"),
            ("com.example.foo", "com.example.foo"),
            ("std::ns::Type::method", "Type::method"),
            ("ns::_Impl::~Impl", "_Impl::~Impl"),
            ("ns::Map::get<int, a::B>", "Map::get<int, a::B>"),
            ("(anonymous namespace)::run", "run"),
            ("plain", "plain"),
            ("", ""),
        ];
        for (name, expected) in rows {
            assert_eq!(shorten(name), expected);
        }
    }

    #[test]
    fn files_lose_their_directories() {
        assert_eq!(base("/usr/bin/app"), "app");
        assert_eq!(base("app/"), "app");
        assert_eq!(base(""), "");
        assert_eq!(trim_file("/proc/self/cwd/./x/y.cc"), "x/y.cc");
        assert_eq!(trim_file("/proc/self/cwd/x.cc"), "x.cc");
        assert_eq!(trim_file("./x.cc"), "./x.cc");
    }
}
