//! The object that holds an uploaded profile.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Standard base64; padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An uploaded profile, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// As its user called it.
    pub(crate) name: String,
    /// The file, in base64.
    pub(crate) data: String,
    /// RFC 3339. Never read: the id says it, too.
    #[serde(rename = "uploadedAt", default, skip_deserializing)]
    uploaded_at: String,
}

impl Stored {
    /// A profile that is uploaded now.
    pub(crate) fn new(name: String, data: String, now_ms: i64) -> Self {
        let time = Timestamp::from_millisecond(now_ms).unwrap_or_default();
        Self {
            name,
            data,
            uploaded_at: time.to_string(),
        }
    }

    /// The file.
    ///
    /// # Errors
    /// [`Error::Base64`].
    pub(crate) fn file(&self) -> Result<Vec<u8>, Error> {
        BASE64.decode(&self.data).map_err(Error::Base64)
    }
}

/// How many bytes a text in base64 stands for, at least.
pub(crate) fn least_bytes(base64: &str) -> usize {
    (base64.len() / 4 * 3).saturating_sub(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_has_upstreams_fields() {
        let stored = Stored::new("a".into(), "aGk=".into(), 1_795_000_000_123);
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(
            text,
            r#"{"name":"a","data":"aGk=","uploadedAt":"2026-11-18T11:06:40.123Z"}"#
        );
        assert_eq!(stored.file().unwrap(), b"hi");
        for text in [
            r#"{"name":"a","data":"aGk"}"#,
            r#"{"data":"aGk=","uploadedAt":7,"more":{},"name":"a"}"#,
        ] {
            let read: Stored = serde_json::from_str(text).unwrap();
            assert_eq!(
                (read.name.as_str(), read.file().unwrap()),
                ("a", b"hi".to_vec())
            );
        }
    }

    #[test]
    fn what_is_no_base64_is_refused_with_its_place() {
        let error = Stored::new(String::new(), "aG*k".into(), 0)
            .file()
            .unwrap_err();
        assert!(phlare_model::chain(&error).contains("offset 2"), "{error}");
    }
}
