//! Names of functions. What a JVM generates anew in each process loses its number, or every process would have
//! functions of its own.

use std::borrow::Cow;

/// The name of a function: `Class.method`, the class as it is stored.
pub(super) fn function(class: &str, method: &str) -> String {
    let class = normalize(class);
    [class.as_ref(), ".", method].concat()
}

/// A class without what differs from process to process:
/// `pkg/App$$Lambda$75.0x0000000800c22a28` is `pkg/App$$Lambda_`,
/// `jdk/internal/reflect/GeneratedMethodAccessor7` is `jdk/internal/reflect/GeneratedMethodAccessor_`.
fn normalize(class: &str) -> Cow<'_, str> {
    const LAMBDA: &str = "$$Lambda";
    const ACCESSOR: &str = "jdk/internal/reflect/GeneratedMethodAccessor";
    if let Some(number) = class.strip_prefix(ACCESSOR)
        && is_number(number)
    {
        return Cow::Borrowed("jdk/internal/reflect/GeneratedMethodAccessor_");
    }
    if let Some(at) = class.rfind(LAMBDA)
        && let Some((before, after)) = class.split_at_checked(at.saturating_add(LAMBDA.len()))
        && is_generated(after)
    {
        return Cow::Owned([before, "_"].concat());
    }
    Cow::Borrowed(class)
}

/// What follows `$$Lambda`: `$75.0x…`, `$75/0x…`, `$75/1234`, `.0x…`, `/0x…`.
fn is_generated(after: &str) -> bool {
    let Some((number, address)) = after.split_once(['.', '/']) else {
        return false;
    };
    let hex = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    (number.is_empty() || number.strip_prefix('$').is_some_and(is_number))
        && (is_number(address) || address.strip_prefix("0x").is_some_and(hex))
}

fn is_number(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_jvm_generates_loses_its_number() {
        let check = |class: &str, expected: &str| assert_eq!(normalize(class), expected, "{class}");
        for address in [
            "$75.0x0000000800c22a28",
            "$75/0x0000000800c22a28",
            "$14/1023996917",
            ".0x00007f",
            "/0x00007f",
        ] {
            check(&format!("pkg/App$$Lambda{address}"), "pkg/App$$Lambda_");
        }
        check(
            "kafka/log/LogValidator$$$Lambda$3.0x1",
            "kafka/log/LogValidator$$$Lambda_",
        );
        check(
            "jdk/internal/reflect/GeneratedMethodAccessor102",
            "jdk/internal/reflect/GeneratedMethodAccessor_",
        );
        for same in [
            "",
            "java/lang/Thread",
            "pkg/App$$Lambda",
            "pkg/App$$Lambda$75",
            "pkg/App$$Lambda$x.0x1",
            "pkg/App$$Lambda$75.0xyz",
            "java/lang/invoke/LambdaForm$DMH.0x000000080157a000",
            "jdk/internal/reflect/GeneratedMethodAccessorX",
        ] {
            check(same, same);
        }
        assert_eq!(function("", "unknown_Java"), ".unknown_Java");
    }
}
