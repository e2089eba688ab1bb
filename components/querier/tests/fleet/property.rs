//! Whatever lies where: totals are exact as long as one of three stores fails.

use std::sync::Arc;

use phlare_querier::Store;
use proptest::prelude::*;

use crate::store::{Mood, Moody};
use crate::support::{Data, Given, merge, tenant, total};

/// Which of three stores have each profile, at least `replicas`.
fn distribution(replicas: usize) -> impl Strategy<Value = Vec<[bool; 3]>> {
    let enough = move |has: &[bool; 3]| has.iter().filter(|has| **has).count() >= replicas;
    prop::collection::vec(any::<[bool; 3]>().prop_filter("too few", enough), 1..24)
}

fn moods() -> impl Strategy<Value = (Mood, Mood)> {
    let mood = || {
        prop_oneof![
            Just(Mood::Fine),
            Just(Mood::Fails),
            Just(Mood::Hangs),
            Just(Mood::Forgets)
        ]
    };
    (mood(), mood())
}

async fn stores(distribution: &[[bool; 3]], cuts: [usize; 3]) -> Vec<Arc<Moody>> {
    let mut stores = Vec::new();
    for (at, name) in ["i-0", "i-1", "i-2"].into_iter().enumerate() {
        let data = Data::new();
        for (number, has) in distribution.iter().enumerate() {
            if has[at] {
                data.push(number as u16).await;
            }
            // Afterwards some of it is in a block of the ingester.
            if number == cuts[at] {
                data.cut();
            }
        }
        stores.push(data.store(name));
    }
    stores
}

async fn found(stores: &[Arc<Moody>], may_fail: usize) -> i64 {
    let ingesters = stores.iter();
    let given = Given {
        may_fail,
        ..Given::ingesters(ingesters.map(|store| Arc::<Moody>::clone(store) as Arc<dyn Store>))
    };
    let found = given.fleet().select_tree(&tenant(), merge()).await;
    found.unwrap().total()
}

/// An ingester, and two owners of three blocks; each profile is in some of these four.
async fn with_blocks(places: &[[bool; 4]]) -> (Arc<Moody>, [Arc<Moody>; 2]) {
    let (ingester, bucket) = (Data::new(), Data::new());
    for place in 0..4 {
        let data = if place == 0 { &ingester } else { &bucket };
        for (number, has) in places.iter().enumerate() {
            if has[place] {
                data.push(number as u16).await;
            }
        }
        if place > 0 {
            data.cut();
        }
    }
    let owners = [bucket.store("g-0"), bucket.store("g-1")];
    (ingester.store("i-0"), owners)
}

fn run(test: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    tokio::runtime::Runtime::new().unwrap().block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_of_three_may_fail_if_two_have_each(
        has in distribution(2), cuts in any::<[prop::sample::Index; 3]>(), bad in 0_usize..3, moods in moods(),
    ) {
        let cuts = cuts.map(|cut| cut.index(24));
        run(async {
            let stores = stores(&has, cuts).await;
            stores[bad].set(moods.0, moods.1);
            let expected = total((0..has.len()).map(|number| number as u16));
            prop_assert_eq!(found(&stores, 1).await, expected);
            Ok(())
        })?;
    }

    #[test]
    fn one_of_two_owners_of_blocks_may_fail(
        places in prop::collection::vec(any::<[bool; 4]>(), 1..24), bad in 0_usize..2, moods in moods(),
    ) {
        run(async {
            let (ingester, owners) = with_blocks(&places).await;
            owners[bad].set(moods.0, moods.1);
            let given = Given {
                gateways: owners.map(|store| store as Arc<dyn Store>).to_vec(),
                ..Given::ingesters([ingester as Arc<dyn Store>])
            };
            let stored = places.iter().enumerate().filter(|(_, places)| places.contains(&true));
            let expected = total(stored.map(|(number, _)| number as u16));
            let found = given.fleet().select_tree(&tenant(), merge()).await;
            prop_assert_eq!(found.unwrap().total(), expected);
            Ok(())
        })?;
    }

    #[test]
    fn all_three_have_everything_if_one_has_each(has in distribution(1), cuts in any::<[prop::sample::Index; 3]>()) {
        let cuts = cuts.map(|cut| cut.index(24));
        run(async {
            let stores = stores(&has, cuts).await;
            let expected = total((0..has.len()).map(|number| number as u16));
            prop_assert_eq!(found(&stores, 0).await, expected);
            Ok(())
        })?;
    }
}
