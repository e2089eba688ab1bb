use super::*;
use crate::hash::Seed;

#[test]
fn buffers_serve_one_profile_after_the_other() {
    // sample_type {1, 0}, string "", string "a", sample {value 1}; then one without samples.
    let with: &[u8] = &[10, 2, 8, 1, 50, 0, 50, 1, b'a', 18, 2, 16, 1];
    let without: &[u8] = &[10, 2, 8, 1, 50, 0, 50, 1, b'b'];
    let (mut tables, mut buffers) = (Tables::default(), Buffers::default());
    let options = Options::new(Seed::new(1, 2), 3);
    for _ in 0..2 {
        tables.read(with).unwrap();
        let n = normalize(with, &mut tables, &mut buffers, &options).unwrap();
        assert_eq!(
            (n.samples.len(), n.sample_types[0].kind, n.time_ns),
            (1, "a", 3)
        );
        assert_eq!((n.stacks[0].depth, n.values), (0, &[1][..]));
        tables.read(without).unwrap();
        let n = normalize(without, &mut tables, &mut buffers, &options).unwrap();
        assert_eq!(
            (n.samples.len(), n.groups.len(), n.sample_types[0].kind),
            (0, 0, "b")
        );
    }
}
