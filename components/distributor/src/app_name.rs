//! Names of applications as old SDKs write them: `app{key=value,key2=value2}` (api.md 4.2).
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::collections::BTreeMap;

use phlare_model::{Classify, ErrorKind};

/// The tag that replaces the name itself.
const NAME: &str = "__name__";

/// An application with its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppName {
    /// Letters, digits, `_`, `.`, `-`, `/`; never empty, unless the tag `__name__` gave it.
    pub name: String,
    /// Tags by key; neither is trimmed of anything but white space.
    pub tags: BTreeMap<String, String>,
}

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppNameError {
    /// There is no name.
    #[error(
        "the application name is empty: send the query parameter `name`, for example `name=my.app{{region=eu}}`"
    )]
    Empty,
    /// A character that is not allowed.
    #[error(
        "application name {name:?}: the character {character:?} is not allowed, only letters, digits, `_`, `.`, `-` and `/` are"
    )]
    Character {
        /// The name without tags.
        name: String,
        /// The first such character.
        character: char,
    },
    /// A key that is not allowed.
    #[error(
        "application name: tag key {key:?} must have one or more letters, digits, `_` and `.`, and nothing else"
    )]
    Key {
        /// The key.
        key: String,
    },
    /// Something follows the tags.
    #[error(
        "application name: {rest:?} follows the first `}}`: this grammar ends the tags there and has no way to carry \
         `}}` or `,` inside a value; push such labels through push.v1.PusherService/Push"
    )]
    Rest {
        /// What follows.
        rest: String,
    },
    /// A tag without a value.
    #[error(
        "application name: {tag:?} is no `key=value`: this grammar ends a value at the first `,` and has no way to carry \
         `}}` or `,` inside a value; push such labels through push.v1.PusherService/Push"
    )]
    Tag {
        /// The tag.
        tag: String,
    },
}

impl Classify for AppNameError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl AppName {
    /// Reads a name. The last of several values of a key wins. Without a closing brace the last tag is
    /// incomplete and left out, as clients expect that cut the name at a length.
    ///
    /// # Errors
    /// [`AppNameError`]; in particular for values that the grammar cannot carry, rather than storing half of them.
    pub fn parse(text: &str) -> Result<Self, AppNameError> {
        let (name, tags) = match text.split_once('{') {
            Some((name, rest)) => (name, read_tags(inside(rest)?)?),
            None => (text, BTreeMap::new()),
        };
        let mut app = Self {
            name: name.trim().to_owned(),
            tags,
        };
        if let Some(name) = app.tags.remove(NAME) {
            app.name = name;
        }
        match app
            .name
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || "_.-/".contains(*c)))
        {
            _ if app.name.is_empty() => Err(AppNameError::Empty),
            Some(character) => Err(AppNameError::Character {
                name: app.name,
                character,
            }),
            None => Ok(app),
        }
    }
}

/// What stands between the braces.
fn inside(rest: &str) -> Result<&str, AppNameError> {
    match rest.split_once('}') {
        Some((inside, after)) if after.trim().is_empty() => Ok(inside),
        Some((_, after)) => Err(AppNameError::Rest {
            rest: after.to_owned(),
        }),
        None => Ok(rest.rsplit_once(',').map_or("", |(complete, _)| complete)),
    }
}

fn read_tags(text: &str) -> Result<BTreeMap<String, String>, AppNameError> {
    let mut tags = BTreeMap::new();
    for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
        let Some((key, value)) = tag.split_once('=') else {
            return Err(AppNameError::Tag {
                tag: tag.to_owned(),
            });
        };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty()
            || !key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
        {
            return Err(AppNameError::Key {
                key: key.to_owned(),
            });
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    Ok(tags)
}

#[cfg(test)]
mod tests;
