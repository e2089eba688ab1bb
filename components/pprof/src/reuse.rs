//! Buffers that are used for one profile after the other.

use hashbrown::HashTable;

/// A buffer keeps up to this many bytes whatever happens.
const KEEP_BYTES: usize = 4 << 20;

/// Empties a buffer. One that a huge profile has blown up gives its memory back
/// after the first profile that needed less than a quarter of it.
pub(crate) fn reset<T>(buffer: &mut Vec<T>) {
    let used = buffer.len();
    buffer.clear();
    let keep = KEEP_BYTES / size_of::<T>().max(1);
    if buffer.capacity() > keep && used < buffer.capacity() / 4 {
        buffer.shrink_to(keep.max(used * 2));
    }
}

/// [`reset`] for text.
pub(crate) fn reset_text(buffer: &mut String) {
    let mut bytes = std::mem::take(buffer).into_bytes();
    reset(&mut bytes);
    *buffer = String::from_utf8(bytes).unwrap_or_default();
}

/// [`reset`] for a hash table.
pub(crate) fn reset_table<T>(table: &mut HashTable<T>) {
    let used = table.len();
    table.clear();
    let keep = KEEP_BYTES / size_of::<T>().max(1) / 2;
    if table.capacity() > keep && used < table.capacity() / 4 {
        // Nothing is in it, so nothing is hashed.
        table.shrink_to(keep.max(used * 2), |_| 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blown_up_buffer_shrinks_after_the_next_small_use() {
        let mut buffer = vec![0_u64; 4 << 20];
        reset(&mut buffer);
        assert!(buffer.capacity() >= 4 << 20, "it may be needed again");
        buffer.resize(10, 0);
        reset(&mut buffer);
        assert_eq!(buffer.capacity(), KEEP_BYTES / 8);
        buffer.resize(10, 0);
        reset(&mut buffer);
        assert_eq!(buffer.capacity(), KEEP_BYTES / 8);

        let mut text = "x".repeat(32 << 20);
        reset_text(&mut text);
        reset_text(&mut text);
        assert_eq!(text.capacity(), KEEP_BYTES);
    }

    #[test]
    fn a_blown_up_table_shrinks_after_the_next_small_use() {
        let mut table = HashTable::new();
        for i in 0..4_u32 << 20 {
            table.insert_unique(u64::from(i) << 40 | u64::from(i), i, |&i| {
                u64::from(i) << 40 | u64::from(i)
            });
        }
        reset_table(&mut table);
        assert!(table.capacity() >= 4 << 20);
        reset_table(&mut table);
        assert!(table.capacity() < 2 << 20);
    }
}
