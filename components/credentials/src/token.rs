//! The token that this process shows others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::figures::Figures;
use crate::watch::{Reload, Source, Watched};

#[derive(Debug)]
struct Files(PathBuf);

impl Source for Files {
    type Made = String;

    fn files(&self) -> Vec<&Path> {
        vec![&self.0]
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<String, Error> {
        let content = contents.first().map(Vec::as_slice).unwrap_or_default();
        let token = content.trim_ascii();
        if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
            let problem = "holds no token: one word of printable ASCII";
            return Err(Error::content(&self.0, problem));
        }
        Ok(String::from_utf8_lossy(token).into_owned())
    }

    fn not_after(&self, _: &[Vec<u8>]) -> Option<i64> {
        None
    }
}

/// A file with one token. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TokenFile(Arc<Watched<Files>>);

impl TokenFile {
    /// Reads it; `None` if there is no path. `use`: what for, in figures.
    ///
    /// # Errors
    /// It is not there, or holds no token.
    pub fn open(
        path: &Path,
        r#use: &'static str,
        figures: &Figures,
    ) -> Result<Option<Self>, Error> {
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        let watched = Watched::open(Files(path.to_owned()), figures.of(r#use))?;
        Ok(Some(Self(Arc::new(watched))))
    }

    /// The token in force; printable ASCII without blanks.
    #[must_use]
    pub fn current(&self) -> Arc<String> {
        self.0.current()
    }

    /// To look at the file again.
    #[must_use]
    pub fn reload(&self) -> Arc<dyn Reload> {
        Arc::clone(&self.0) as _
    }
}
