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

/// A list in settings: written as one text with commas, read so or as a YAML list. An empty text is an empty list.
pub mod list {
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        List(Vec<String>),
    }

    /// Writes one text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&list.join(","))
    }

    /// Reads a text or a list.
    ///
    /// # Errors
    /// If it is neither.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<String>, D::Error> {
        Ok(match Either::deserialize(deserializer)? {
            Either::Text(text) if text.trim().is_empty() => Vec::new(),
            Either::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
            Either::List(list) => list,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_text_with_commas_or_a_yaml_list() {
        let read = |json: &str| list::deserialize(&mut serde_json::Deserializer::from_str(json));
        let both = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(read(r#""a, b""#).unwrap(), both);
        assert_eq!(read(r#"["a","b"]"#).unwrap(), both);
        assert_eq!(read(r#""""#).unwrap(), Vec::<String>::new());
        assert!(read("5").is_err());
        let mut written = Vec::new();
        list::serialize(&both, &mut serde_json::Serializer::new(&mut written)).unwrap();
        assert_eq!(written, br#""a,b""#);
    }

    #[test]
    fn spellings() {
        assert_eq!(go_bool("T"), Ok(true));
        assert_eq!(go_bool("False"), Ok(false));
        assert!(go_bool("yes").is_err());
        assert!(go_bool("").is_err());
    }
}
