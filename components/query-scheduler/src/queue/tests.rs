use proptest::prelude::*;

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

fn push(queue: &mut Queue<u32>, name: &str, items: impl IntoIterator<Item = u32>) {
    for item in items {
        queue.push(&tenant(name), item, 100).unwrap();
    }
}

/// Takes `count` items that stay in work.
fn take(queue: &mut Queue<u32>, count: usize) -> Vec<(String, u32)> {
    let taken = (0..count).map_while(|_| queue.take(|_| true));
    taken
        .map(|(tenant, item)| (tenant.to_string(), item))
        .collect()
}

#[test]
fn tenants_take_turns_whoever_has_more() {
    let mut queue = Queue::default();
    push(&mut queue, "noisy", 0..50);
    push(&mut queue, "quiet", 100..102);
    let taken = take(&mut queue, 5);
    let names: Vec<_> = taken.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["noisy", "quiet", "noisy", "quiet", "noisy"]);
    let of_noisy = taken.iter().filter(|(name, _)| name == "noisy");
    assert_eq!(
        of_noisy.map(|(_, item)| *item).collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

#[test]
fn who_has_least_in_work_is_next() {
    let mut queue = Queue::default();
    push(&mut queue, "slow", 0..10);
    // Nobody else is there: slow gets all there is.
    assert_eq!(take(&mut queue, 4).len(), 4);
    push(&mut queue, "quick", 100..110);
    let names: Vec<_> = take(&mut queue, 4)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["quick"; 4]);
    let next = take(&mut queue, 2);
    assert_eq!(next[0].0, "slow");
    assert_eq!(next[1].0, "quick");
}

#[test]
fn a_full_queue_says_how_many_wait_and_others_are_not_affected() {
    let mut queue = Queue::default();
    for item in 0..3 {
        queue.push(&tenant("a"), item, 3).unwrap();
    }
    assert_eq!(queue.push(&tenant("a"), 3, 3), Err(3));
    queue.push(&tenant("b"), 0, 3).unwrap();
    // What is taken waits no more.
    queue.take(|_| true).unwrap();
    queue.push(&tenant("a"), 3, 3).unwrap();
}

#[test]
fn what_is_given_back_is_next() {
    let mut queue = Queue::default();
    push(&mut queue, "a", [1, 2]);
    let (owner, item) = queue.take(|_| true).unwrap();
    queue.give_back(&owner, item);
    assert_eq!((queue.waiting(), queue.running()), (2, 0));
    assert_eq!(
        take(&mut queue, 2),
        [("a".to_owned(), 1), ("a".to_owned(), 2)]
    );
}

#[test]
fn what_is_removed_is_never_taken() {
    let mut queue = Queue::default();
    push(&mut queue, "a", [1, 2, 3]);
    assert!(queue.remove(&tenant("a"), &2));
    assert!(!queue.remove(&tenant("a"), &2));
    assert!(!queue.remove(&tenant("b"), &2));
    assert_eq!(
        take(&mut queue, 3),
        [("a".to_owned(), 1), ("a".to_owned(), 3)]
    );
}

#[test]
fn tenants_that_are_not_allowed_keep_their_turn() {
    let mut queue = Queue::default();
    push(&mut queue, "a", [1]);
    push(&mut queue, "b", [2]);
    let only_b = |tenant: &TenantId| tenant.as_str() == "b";
    assert_eq!(queue.take(only_b).unwrap().1, 2);
    assert!(queue.take(only_b).is_none());
    assert_eq!(queue.take(|_| true).unwrap().1, 1);
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8),
    Take,
    Done,
    GiveBack,
    Remove(u8, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..5u8).prop_map(Step::Push),
        3 => Just(Step::Take),
        2 => Just(Step::Done),
        1 => Just(Step::GiveBack),
        1 => (0..5u8, 0..40u32).prop_map(|(tenant, item)| Step::Remove(tenant, item)),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// Whatever happens: nothing is lost, nothing is taken twice, figures are right, and nothing stays of tenants that are
    /// done.
    #[test]
    fn items_are_taken_once(steps in steps()) {
        let mut queue = Queue::default();
        let mut next = 0;
        let mut waiting: Vec<(String, u32)> = Vec::new();
        let mut running: Vec<(TenantId, u32)> = Vec::new();
        for step in steps {
            match step {
                Step::Push(number) => {
                    let name = format!("t{number}");
                    queue.push(&tenant(&name), next, 1000).unwrap();
                    waiting.push((name, next));
                    next += 1;
                }
                Step::Take => match queue.take(|_| true) {
                    Some((owner, item)) => {
                        let of_owner = waiting.iter().position(|(name, _)| *name == owner.as_str());
                        let (_, first) = waiting.remove(of_owner.unwrap());
                        prop_assert_eq!(first, item);
                        // Nobody who waits has less in work.
                        let count = |name: &str| running.iter().filter(|(t, _)| t.as_str() == name).count();
                        let mine = count(owner.as_str());
                        prop_assert!(waiting.iter().all(|(name, _)| count(name) >= mine));
                        running.push((owner, item));
                    }
                    None => prop_assert!(waiting.is_empty()),
                },
                Step::Done => if let Some((owner, _)) = running.pop() {
                    queue.done(&owner);
                },
                Step::GiveBack => if let Some((owner, item)) = running.pop() {
                    let first = waiting.iter().position(|(name, _)| *name == owner.as_str());
                    waiting.insert(first.unwrap_or(waiting.len()), (owner.to_string(), item));
                    queue.give_back(&owner, item);
                },
                Step::Remove(number, item) => {
                    let entry = (format!("t{number}"), item);
                    let there = waiting.iter().position(|other| *other == entry);
                    prop_assert_eq!(queue.remove(&tenant(&entry.0), &item), there.is_some());
                    if let Some(at) = there {
                        waiting.remove(at);
                    }
                }
            }
            prop_assert_eq!(queue.waiting(), waiting.len());
            prop_assert_eq!(queue.running(), running.len());
        }
        for (owner, _) in running {
            queue.done(&owner);
        }
        while let Some((owner, _)) = queue.take(|_| true) {
            queue.done(&owner);
        }
        prop_assert!(queue.tenants.is_empty() && queue.order.is_empty());
    }
}
