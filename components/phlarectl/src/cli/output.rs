//! In which form a profile is shown.

use std::path::PathBuf;
use std::str::FromStr;

/// Form of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProfileOutput {
    /// The heaviest functions.
    Table,
    /// The call tree.
    Tree,
    /// Collapsed stacks, one a line.
    Collapsed,
    /// Graphviz.
    Dot,
    /// Functions, for programs.
    Json,
    /// The server's pprof message as JSON.
    Raw,
    /// A gzipped pprof file.
    Pprof(PathBuf),
}

impl FromStr for ProfileOutput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("pprof", path)) if !path.is_empty() => return Ok(Self::Pprof(path.into())),
            Some(_) => {}
            None => match text {
                "table" | "console" => return Ok(Self::Table),
                "tree" => return Ok(Self::Tree),
                "collapsed" => return Ok(Self::Collapsed),
                "dot" => return Ok(Self::Dot),
                "json" => return Ok(Self::Json),
                "raw" => return Ok(Self::Raw),
                _ => {}
            },
        }
        Err(format!(
            "`{text}`: expected table, tree, collapsed, dot, json, raw or pprof=FILE"
        ))
    }
}
