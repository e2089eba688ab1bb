//! What has to hold for all symbols, those that nobody uses included.

use crate::error::Error;
use crate::normalized::StringIndex;
use crate::tables::Tables;

/// Ids must not be 0 and string indices must be inside of the table, also of symbols that nobody uses.
pub(super) fn check(tables: &Tables, strings: usize) -> Result<(), Error> {
    let inside = |of: &'static str, position: usize, indices: &[StringIndex]| match indices
        .iter()
        .find(|&&s| s as usize >= strings)
    {
        Some(&index) => Err(Error::StringIndex {
            of,
            position,
            index: i64::from(index),
            strings,
        }),
        None => Ok(()),
    };
    let zero = |of, ids: &[u64]| match ids.iter().position(|&id| id == 0) {
        Some(position) => Err(Error::ZeroId { of, position }),
        None => Ok(()),
    };
    zero("location", &tables.location_ids)?;
    zero("function", &tables.function_ids)?;
    for (position, f) in tables.functions.iter().enumerate() {
        inside("function", position, &[f.name, f.system_name, f.filename])?;
    }
    for (position, m) in tables.mappings.iter().enumerate() {
        inside("mapping", position, &[m.filename, m.build_id])?;
    }
    Ok(())
}
