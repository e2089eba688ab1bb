use super::sort;

/// Checksums of the order in which Go 1.26 leaves the elements, by their number and then by shape.
const GO: [(u64, [u64; 6]); 10] = [
    (
        0,
        [
            0xcbf2_9ce4_8422_2325,
            0xcbf2_9ce4_8422_2325,
            0xcbf2_9ce4_8422_2325,
            0xcbf2_9ce4_8422_2325,
            0xcbf2_9ce4_8422_2325,
            0xcbf2_9ce4_8422_2325,
        ],
    ),
    (
        1,
        [
            0x0832_8807_b4eb_6fed,
            0x0832_8807_b4eb_6fed,
            0x0832_8807_b4eb_6fed,
            0x0832_8807_b4eb_6fed,
            0x0832_8807_b4eb_6fed,
            0x0832_8807_b4eb_6fed,
        ],
    ),
    (
        12,
        [
            0x4a31_2d4a_272d_14e5,
            0x19b7_7be4_4f30_16ad,
            0xfdfd_ccbd_b093_1495,
            0x7d30_6e17_0fc8_430d,
            0xe333_0118_32ab_6c9d,
            0xfdfd_ccbd_b093_1495,
        ],
    ),
    (
        13,
        [
            0x7ed7_5eea_1357_0a89,
            0x38b9_60aa_78c4_fcd1,
            0x2bad_5519_dc03_f781,
            0x3105_1f38_c395_d6d9,
            0xf248_4b9b_c3a8_29d1,
            0x2bad_5519_dc03_f781,
        ],
    ),
    (
        49,
        [
            0xeb48_045e_478d_2af5,
            0x4825_73fa_d88a_4d0d,
            0xd10f_b2a2_2ea9_cfbd,
            0x1193_ac05_3ad5_147d,
            0x3bfc_2567_6301_fabd,
            0xd10f_b2a2_2ea9_cfbd,
        ],
    ),
    (
        50,
        [
            0xc644_738d_7f6a_db1c,
            0xe3f4_65ef_801e_3e04,
            0xe383_90ad_ab53_616c,
            0x7926_817a_f58e_4fb4,
            0x2a3e_00c9_3b72_509c,
            0x3d54_b1eb_b36b_efec,
        ],
    ),
    (
        64,
        [
            0x30e8_c048_0326_3005,
            0xedfe_79cf_0bc6_3b9d,
            0xf131_e1ed_ae4d_9125,
            0x126b_92e7_5fb0_b08d,
            0x78c8_751e_4fb5_8505,
            0x37e6_d0ed_8fa2_6a25,
        ],
    ),
    (
        200,
        [
            0x70d9_3da6_a170_e33d,
            0x0d87_48ea_9678_ea9d,
            0x28d0_5f40_239c_0b25,
            0x35cb_b24a_d92a_ff5d,
            0x964a_b80c_22f7_7115,
            0x348d_a827_1f37_487d,
        ],
    ),
    (
        1000,
        [
            0x4f6a_cce2_a1a6_15bd,
            0xac1b_fa4a_35e1_e521,
            0x0ee9_2cb9_c882_9415,
            0x1b69_1850_98a0_4929,
            0x77ba_fd1b_b4be_cccd,
            0xd95f_8e90_4200_12ad,
        ],
    ),
    (
        5000,
        [
            0x3bc4_970c_b8dc_9c09,
            0xdf7b_31d2_adeb_5539,
            0x6ed2_9afa_e65c_80d5,
            0x8a91_bf14_ba82_d721,
            0x3b20_ed43_93a3_8371,
            0x6638_a571_72d7_87ad,
        ],
    ),
];

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Keys with their first positions: few different, many, rising, falling, both, rising with exceptions.
fn elements(count: u64, shape: usize) -> Vec<(u64, u64)> {
    let mut state = count
        .wrapping_mul(2_654_435_761)
        .wrapping_add(88_172_645_463_325_252);
    let mut key = |at: u64| match shape {
        0 => random(&mut state) % 7,
        1 => random(&mut state) % 1_000_003,
        2 => at / 3,
        3 => (count - at) / 3,
        4 if at > count / 2 => count - at,
        4 => at,
        _ if random(&mut state).is_multiple_of(50) => random(&mut state) % count,
        _ => at / 2,
    };
    (0..count).map(|at| (key(at), at)).collect()
}

/// FNV-1a of the positions.
fn checksum(elements: &[(u64, u64)]) -> u64 {
    elements
        .iter()
        .flat_map(|&(_, at)| [at as u8, (at >> 8) as u8])
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[test]
fn equal_elements_are_left_in_the_order_of_go() {
    for (count, expected) in GO {
        for (shape, expected) in expected.into_iter().enumerate() {
            let mut elements = elements(count, shape);
            sort(&mut elements, |one, other| one.0 < other.0);
            assert!(elements.is_sorted_by_key(|element| element.0));
            assert_eq!(
                checksum(&elements),
                expected,
                "{count} elements of shape {shape}"
            );
        }
    }
}

#[test]
fn after_too_many_bad_pivots_the_rest_is_sorted_as_a_heap() {
    let mut elements = elements(1000, 1);
    let mut sort = super::Sort {
        data: &mut elements,
        less: |one: &(u64, u64), other: &(u64, u64)| one.0 < other.0,
    };
    sort.quick(0, 1000, 0);
    assert!(elements.is_sorted_by_key(|element| element.0));
}
