//! The name of an uploaded profile: `<ULID>-<name>`, which is also that of its object.

use std::fmt;

use ulid::Ulid;

use crate::error::Error;

/// Longest name of an object that directories take.
const MAX_BYTES: usize = 255;
/// Longest name within an id; what is longer is cut.
const MAX_NAME: usize = 200;

/// An id that is safe as the last part of a key: only letters, digits and `.`, `_`, `-`, and neither `.` nor `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(String);

impl Id {
    /// The id of a profile that is uploaded now.
    pub(crate) fn new(now_ms: i64, name: &str) -> Self {
        let time_ms = u64::try_from(now_ms).unwrap_or_default();
        let ulid = Ulid::from_parts(time_ms, rand::random());
        let safe = |c: char| if is_safe(c) { c } else { '_' };
        let name: String = name.chars().map(safe).take(MAX_NAME).collect();
        Self(format!("{ulid}-{name}"))
    }

    /// An id as a client sends it.
    ///
    /// # Errors
    /// [`Error::Id`] if it could not be one.
    pub(crate) fn parse(id: &str) -> Result<Self, Error> {
        let fits = !id.is_empty() && id.len() <= MAX_BYTES && id.chars().all(is_safe);
        match fits && id != "." && id != ".." {
            true => Ok(Self(id.to_owned())),
            false => Err(Error::Id {
                id: id.chars().take(MAX_BYTES).collect(),
            }),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// When it was uploaded, in milliseconds since the epoch; 0 for an id without a time.
    pub(crate) fn time_ms(&self) -> i64 {
        let time = self.parts().map_or(0, |(ulid, _)| ulid.timestamp_ms());
        i64::try_from(time).unwrap_or_default()
    }

    /// The name as far as the id has it; the whole id if it is of another form.
    pub(crate) fn name(&self) -> &str {
        self.parts().map_or(&self.0, |(_, name)| name)
    }

    fn parts(&self) -> Option<(Ulid, &str)> {
        let (ulid, name) = self.0.split_at_checked(ulid::ULID_LEN)?;
        Some((Ulid::from_string(ulid).ok()?, name.strip_prefix('-')?))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_when_and_what() {
        let id = Id::new(1_795_000_000_123, "my profile/é.pb.gz");
        assert_eq!(id.time_ms(), 1_795_000_000_123);
        assert_eq!(id.name(), "my_profile__.pb.gz");
        assert_eq!(Id::parse(id.as_str()).unwrap(), id);
        assert!(Id::new(5, "").as_str().ends_with('-'));
        assert_ne!(Id::new(5, "a"), Id::new(5, "a"));
        let long = Id::new(5, &"x".repeat(5000));
        assert_eq!(Id::parse(long.as_str()).unwrap(), long);
        // Ids of later uploads are greater.
        assert!(Id::new(6, "a") > Id::new(5, "b"));
    }

    #[test]
    fn what_would_leave_the_directory_is_refused() {
        for id in [
            "",
            ".",
            "..",
            "a/b",
            "../x",
            "a\\b",
            "a\0",
            "é",
            &"x".repeat(256),
        ] {
            let error = Id::parse(id).unwrap_err();
            assert!(error.to_string().contains("is no id"), "{error}");
        }
    }

    #[test]
    fn an_id_of_another_form_has_no_time() {
        let id = Id::parse("copied-by-hand.pb.gz").unwrap();
        assert_eq!((id.time_ms(), id.name()), (0, "copied-by-hand.pb.gz"));
    }
}
