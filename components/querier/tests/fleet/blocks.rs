//! Blocks of the bucket and heads, which have profiles in common.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use phlare_model::ErrorKind;
use phlare_querier::Store;

use crate::store::{Mood, Moody};
use crate::support::{Data, Given, assert_same, merge, tenant, total};

const HOUR: u16 = 3 * 3600;

/// An ingester with some profiles in its head, and two gateways for blocks with some.
struct Bed {
    ingester: Arc<Moody>,
    gateways: Vec<Arc<Moody>>,
    whole: Arc<Data>,
}

impl Bed {
    /// Numbers in the head, and in each block.
    async fn new(head: &[u16], blocks: &[&[u16]]) -> Self {
        let (ingester, bucket, whole) = (Data::new(), Data::new(), Data::new());
        ingester.push_all(head.iter().copied()).await;
        for block in blocks {
            bucket.push_all(block.iter().copied()).await;
            bucket.cut();
        }
        let mut all: Vec<u16> = blocks.concat();
        all.extend(head);
        all.sort_unstable();
        all.dedup();
        whole.push_all(all).await;
        Self {
            ingester: ingester.store("i-0"),
            gateways: vec![bucket.store("g-0"), bucket.store("g-1")],
            whole,
        }
    }

    fn given(&self) -> Given {
        let gateways = self.gateways.iter();
        Given {
            gateways: gateways
                .map(|store| Arc::<Moody>::clone(store) as Arc<dyn Store>)
                .collect(),
            ..Given::ingesters([Arc::<Moody>::clone(&self.ingester) as Arc<dyn Store>])
        }
    }

    async fn check(&self) {
        assert_same(&self.given().fleet(), &self.whole.querier()).await;
    }
}

#[tokio::test]
async fn what_is_in_heads_and_blocks_counts_once() {
    let bed = Bed::new(&[3, 4, 5, 6, 7], &[&[0, 1, 2, 3], &[2, 3, 4, 5]]).await;
    bed.check().await;
}

#[tokio::test]
async fn blocks_of_other_times_are_asked_once() {
    let blocks: [&[u16]; 3] = [&[0, 1, 2], &[HOUR, HOUR + 1], &[HOUR + 1, HOUR + 2]];
    let bed = Bed::new(&[HOUR + 2, HOUR + 3], &blocks).await;
    bed.check().await;
    let alone = Bed::new(&[], &[&[0, 1, 2]]).await;
    let calls = || alone.gateways[0].calls.load(Ordering::SeqCst);
    let found = alone.given().fleet().select_tree(&tenant(), merge()).await;
    assert_eq!(found.unwrap().total(), total([0, 1, 2]));
    assert_eq!(calls(), 2, "the list of blocks, and the answer");
}

#[tokio::test]
async fn another_owner_answers_for_one_that_fails_or_hangs() {
    let blocks: [&[u16]; 3] = [&[0, 1, 2], &[HOUR, HOUR + 1], &[HOUR + 1, HOUR + 2]];
    let bed = Bed::new(&[HOUR + 2, HOUR + 3], &blocks).await;
    for at in 0..2 {
        for mood in [Mood::Fails, Mood::Hangs] {
            bed.gateways[at].set(mood, Mood::Fine);
            bed.check().await;
            bed.gateways[at].set(Mood::Fine, mood);
            bed.check().await;
            bed.gateways[at].set(mood, mood);
            bed.check().await;
        }
        bed.gateways[at].set(Mood::Fine, Mood::Fine);
    }
}

#[tokio::test]
async fn profiles_that_only_a_head_has_are_not_answered_from_blocks() {
    let bed = Bed::new(&[3, 4], &[&[2, 3]]).await;
    bed.ingester.then([Mood::Fails]);
    bed.check().await;
    bed.ingester.set(Mood::Fine, Mood::Fails);
    let fleet = bed.given().fleet();
    let error = fleet.select_tree(&tenant(), merge()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn blocks_that_are_gone_fail_a_query_and_are_not_in_the_next_list() {
    let bed = Bed::new(&[3], &[&[0, 1], &[1, 2]]).await;
    for gateway in &bed.gateways {
        gateway.then([Mood::Forgets]);
    }
    bed.check().await;
}
