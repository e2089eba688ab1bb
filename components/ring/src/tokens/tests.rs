use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

/// How much of the ring each of `members` owns, in parts of its fair share.
fn shares(count: usize, members: usize) -> Vec<f64> {
    let mut owner = BTreeMap::new();
    for member in 0..members {
        for token in
            Tokens::spread("ingester", "a", &format!("phlare-ingester-{member}"), count).iter()
        {
            assert_eq!(owner.insert(token, member), None, "a token is owned twice");
        }
    }
    let mut shares = vec![0_u64; members];
    let last = *owner.last_key_value().unwrap().0;
    let mut before = last;
    for (token, member) in owner {
        shares[member] += u64::from(token.wrapping_sub(before));
        before = token;
    }
    let fair = (1_u64 << 32) as f64 / members as f64;
    shares
        .into_iter()
        .map(|share| share as f64 / fair)
        .collect()
}

#[test]
fn numbered_instances_share_evenly() {
    for members in [2, 3, 7, 50] {
        let shares = shares(128, members);
        let most = shares.iter().copied().fold(0.0, f64::max);
        let least = shares.iter().copied().fold(f64::MAX, f64::min);
        assert!(most < 1.04 && least > 0.96, "{members}: {least}..{most}");
    }
}

/// They are on disks and in other processes: a change here moves the data of every cluster.
#[test]
fn tokens_of_a_name_never_change() {
    let some = |id: &str| {
        Tokens::spread("ingester", "a", id, 4)
            .iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ["phlare-ingester-0", "phlare-ingester-2", "host"].map(some),
        [
            vec![1_588_235_892, 1_735_177_172, 1_917_176_842, 3_801_423_566],
            vec![401_241_123, 938_112_035, 1_474_982_947, 2_811_961_696],
            vec![716_375_213, 1_114_623_580, 3_387_555_903, 3_422_288_249],
        ]
    );
}

#[test]
fn a_new_instance_takes_only_its_share() {
    // Tokens of the others stay as they are: that they are worked out again makes no difference.
    for member in 0..5 {
        let id = format!("phlare-ingester-{member}");
        let tokens = Tokens::spread("ingester", "", &id, 128);
        assert_eq!(tokens.len(), 128);
        assert_eq!(tokens, Tokens::spread("ingester", "", &id, 128));
    }
}

#[test]
fn names_without_a_number_have_stable_tokens() {
    for id in ["host", "phlare-7d9f-x2x9z", "a-24567", "a-007", "a-"] {
        let tokens = Tokens::spread("distributor", "", id, 512);
        assert_eq!(tokens.len(), 512, "{id}");
        assert_eq!(tokens, Tokens::spread("distributor", "", id, 512));
        assert_ne!(tokens, Tokens::spread("distributor", "b", id, 512));
        assert_ne!(tokens, Tokens::spread("compactor", "", id, 512));
    }
}

#[test]
fn taken_tokens_are_replaced() {
    let mut rng = StdRng::seed_from_u64(1);
    let mine = Tokens::new(vec![1, 2, 3, 4]);
    let completed = mine.completed(6, |token| token == 2, &mut rng);
    assert_eq!(completed.len(), 6);
    assert!(completed.iter().all(|token| token != 2));
    assert!(
        [1, 3, 4]
            .iter()
            .all(|kept| completed.iter().any(|token| token == *kept))
    );
    assert_eq!(mine.completed(2, |_| false, &mut rng).len(), 2);
}

#[test]
fn a_full_ring_ends_the_search() {
    let mut rng = StdRng::seed_from_u64(1);
    assert!(
        Tokens::default()
            .completed(8, |_| true, &mut rng)
            .is_empty()
    );
}

#[test]
fn a_file_keeps_tokens() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("tokens");
    assert_eq!(Tokens::load(&path)?, None);
    let tokens = Tokens::spread("ingester", "", "a-1", 128);
    tokens.store(&path)?;
    assert_eq!(Tokens::load(&path)?, Some(tokens.clone()));
    Tokens::new(vec![7]).store(&path)?;
    assert_eq!(std::fs::read_to_string(&path)?, r#"{"tokens":[7]}"#);
    assert_eq!(
        std::fs::read_dir(directory.path())?.count(),
        1,
        "nothing is left over"
    );
    Ok(())
}

#[test]
fn a_bad_file_is_named() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("tokens");
    for (text, problem) in [
        ("", "EOF"),
        (r#"{"tokens":[-1]}"#, "invalid value"),
        (&" ".repeat(100_000), "longer than"),
    ] {
        std::fs::write(&path, text)?;
        let error = Tokens::load(&path).unwrap_err().to_string();
        assert!(
            error.contains(problem) && error.contains("delete it"),
            "{error}"
        );
    }
    Ok(())
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let error = Tokens::default()
        .store(std::path::Path::new("/nowhere/at/all"))
        .unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"));
}

proptest! {
    #[test]
    fn text_keeps_tokens(tokens in prop::collection::vec(any::<u32>(), 0..600)) {
        let tokens = Tokens::new(tokens);
        prop_assert_eq!(Tokens::decode(&tokens.encode()), Ok(tokens));
    }

    #[test]
    fn hostile_text_never_panics(text in ".{0,200}") {
        let _ = Tokens::decode(&text);
    }
}
