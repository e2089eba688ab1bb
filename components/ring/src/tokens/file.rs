//! Tokens on a disk: `{"tokens":[1,2,3]}`, as upstream writes it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MAX, Tokens};

/// Ten digits and a comma for each token, and some air for those who format it.
const MAX_BYTES: u64 = MAX as u64 * 16 + 1024;

#[derive(Serialize, Deserialize)]
struct Content {
    tokens: Vec<u32>,
}

/// Why tokens cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TokensFileError {
    /// The file is there and cannot be read.
    #[error("read the tokens file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not hold tokens.
    #[error("tokens file {}: {problem}; delete it to get new tokens", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The file cannot be written.
    #[error("write the tokens file {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Tokens {
    /// The tokens in the file; `None` if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or is no list of tokens.
    pub fn load(path: &Path) -> Result<Option<Self>, TokensFileError> {
        let content = |problem: String| TokensFileError::Content {
            path: path.to_owned(),
            problem,
        };
        let mut text = String::new();
        let read = fs::File::open(path).and_then(|file| {
            let mut file = file.take(MAX_BYTES + 1);
            file.read_to_string(&mut text)
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(TokensFileError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
            Ok(bytes) if bytes as u64 > MAX_BYTES => {
                return Err(content(format!("longer than {MAX_BYTES} bytes")));
            }
            Ok(_) => {}
        }
        let parsed: Content =
            serde_json::from_str(&text).map_err(|error| content(error.to_string()))?;
        if parsed.tokens.len() > MAX {
            return Err(content(format!(
                "{} tokens, at most {MAX}",
                parsed.tokens.len()
            )));
        }
        Ok(Some(Self::new(parsed.tokens)))
    }

    /// Writes the file, so that it has the old or the new tokens, whatever happens meanwhile.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn store(&self, path: &Path) -> Result<(), TokensFileError> {
        let write = || -> io::Result<()> {
            let text = serde_json::to_vec(&Content {
                tokens: self.iter().collect(),
            })?;
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".tmp");
            let temporary = path.with_file_name(name);
            let mut file = fs::File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, path)?;
            let directory = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            fs::File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|source| TokensFileError::Write {
            path: path.to_owned(),
            source,
        })
    }
}
