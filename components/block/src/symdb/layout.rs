//! Which files hold the symbols of a block.

use crate::error::Error;

/// Name of the single file of symdb format 3.
const SINGLE: &str = "symbols.symdb";
/// Name of the index of symdb formats 1 and 2.
const INDEX: &str = "index.symdb";
/// Name of the stack traces of symdb formats 1 and 2.
const STACKS: &str = "stacktraces.symdb";

/// The files of the symbols of a block, and what kind they are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout(pub(super) Kind);

/// Where the symbols lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Meta version 1: Parquet tables, stack traces among them.
    Stacktraces { tables: Tables, stacktraces: Named },
    /// symdb formats 1 and 2: stack trees in symdb files, the other tables in Parquet.
    Symdb {
        index: Named,
        stacktraces: Named,
        tables: Tables,
    },
    /// symdb format 3: everything in one file.
    Single(Named),
}

/// The tables that are Parquet files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) strings: Named,
    pub(super) functions: Named,
    pub(super) mappings: Named,
    pub(super) locations: Named,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// Relative to the block.
    pub(super) name: String,
    /// Bytes; 0 if it isn't known.
    pub(super) size: u64,
}

impl Layout {
    /// Finds the files of symbols among the files of a block, as `meta.json` lists them: names relative to the block,
    /// and sizes in bytes, 0 if not known. Symbols are found by the last part of the name.
    ///
    /// # Errors
    /// [`Error::Missing`] if a file is not listed, [`Error::Unsupported`] for other meta versions than 1, 2 and 3.
    pub fn detect(meta_version: u32, files: &[(&str, u64)]) -> Result<Self, Error> {
        let find = |base: &str| {
            let mut found = files.iter();
            found
                .find(|(name, _)| name.rsplit('/').next() == Some(base))
                .map(|&(name, size)| Named {
                    name: name.to_owned(),
                    size,
                })
        };
        let get = |base: &str| {
            find(base).ok_or_else(|| Error::Missing {
                file: base.to_owned(),
            })
        };
        let tables = || {
            Ok(Tables {
                strings: get("strings.parquet")?,
                functions: get("functions.parquet")?,
                mappings: get("mappings.parquet")?,
                locations: get("locations.parquet")?,
            })
        };
        let kind = match meta_version {
            1 => Kind::Stacktraces {
                tables: tables()?,
                stacktraces: get("stacktraces.parquet")?,
            },
            2 | 3 => match find(SINGLE) {
                Some(single) => Kind::Single(single),
                None => Kind::Symdb {
                    index: get(INDEX)?,
                    stacktraces: get(STACKS)?,
                    tables: tables()?,
                },
            },
            other => {
                return Err(Error::Unsupported {
                    file: "meta.json".to_owned(),
                    problem: format!("version {other}"),
                });
            }
        };
        Ok(Self(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: [&str; 4] = [
        "locations.parquet",
        "functions.parquet",
        "mappings.parquet",
        "strings.parquet",
    ];

    fn detect(version: u32, names: &[&str]) -> Result<Kind, Error> {
        let files: Vec<_> = names.iter().map(|&name| (name, 7)).collect();
        Layout::detect(version, &files).map(|layout| layout.0)
    }

    #[test]
    fn the_first_blocks_have_nothing_but_tables() {
        let mut names = TABLES.to_vec();
        names.push("stacktraces.parquet");
        assert!(matches!(detect(1, &names), Ok(Kind::Stacktraces { .. })));
    }

    #[test]
    fn files_are_found_in_any_directory() {
        let mut names = vec!["symbols/index.symdb", "symbols/stacktraces.symdb"];
        names.extend(TABLES);
        let Ok(Kind::Symdb { index, tables, .. }) = detect(2, &names) else {
            panic!("not found");
        };
        assert_eq!(index.name, "symbols/index.symdb");
        assert_eq!(tables.strings.name, "strings.parquet");
        assert_eq!(tables.strings.size, 7);
    }

    #[test]
    fn the_single_file_wins() {
        let names = ["symbols/index.symdb", "symbols.symdb"];
        assert!(matches!(detect(3, &names), Ok(Kind::Single(_))));
    }

    #[test]
    fn a_file_that_is_not_listed_is_named() {
        let mut names = TABLES.to_vec();
        names.push("symbols/index.symdb");
        let error = detect(3, &names).unwrap_err();
        assert_eq!(error.to_string(), "stacktraces.symdb is missing");
    }

    #[test]
    fn other_versions_are_refused() {
        for version in [0, 4] {
            assert!(matches!(
                detect(version, &TABLES),
                Err(Error::Unsupported { .. })
            ));
        }
    }
}
