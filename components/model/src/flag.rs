//! Values of flags as Go programs read them.

/// A boolean in one of the spellings that Go's `flag` package takes.
///
/// # Errors
/// Names the accepted spellings.
pub fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{text}` is no boolean: write true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        assert_eq!(go_bool("T"), Ok(true));
        assert_eq!(go_bool("False"), Ok(false));
        assert!(go_bool("yes").is_err());
        assert!(go_bool("").is_err());
    }
}
