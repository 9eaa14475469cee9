//! Routes are right, corrections stick, and whatever is learned, the table tiles the key space.

use proptest::prelude::*;
use skep_raftstore::ids::{Epoch, RegionId};

use super::*;

fn region(id: u64, start: &str, end: Option<&str>, version: u64) -> RegionDescriptor {
    RegionDescriptor {
        id: RegionId(id),
        start: Bytes::copy_from_slice(start.as_bytes()),
        end: end.map(|end| Bytes::copy_from_slice(end.as_bytes())),
        epoch: Epoch { version, membership: 1 },
        membership: Default::default(),
    }
}

/// A directory, and what it was told that it could not take in at once.
#[derive(Default)]
struct Learning(Directory, Vec<RegionDescriptor>);

impl Learning {
    fn of(regions: Vec<RegionDescriptor>) -> Learning {
        let mut learning = Learning::default();
        for region in &regions {
            learning.learn(region);
        }
        learning
    }

    /// Whether that was news.
    fn learn(&mut self, region: &RegionDescriptor) -> bool {
        let mut table = Table::clone(&self.0.table());
        let is_news = table.close_for(region);
        self.1.push(region.clone());
        self.1.retain(|news| !table.learn(news));
        self.0.replace(table);
        is_news
    }
}

fn routes(directory: &Directory, keys: &[&str]) -> Vec<u64> {
    let table = directory.table();
    keys.iter().map(|key| table.region_of(key.as_bytes()).id.0).collect()
}

#[test]
fn keys_go_to_the_region_that_has_them() {
    let regions = vec![region(2, "m", None, 1), region(1, "", Some("m"), 1)];
    let directory = Learning::of(regions).0;
    assert_eq!(routes(&directory, &["", "a", "lzz", "m", "z"]), [1, 1, 1, 2, 2]);
}

#[test]
fn what_nobody_is_known_to_have_waits() {
    let learning = Learning::of(vec![region(1, "b", Some("c"), 1)]);
    assert_eq!(routes(&learning.0, &["a", "b", "c"]), [0, 1, 0]);
    let table = learning.0.table();
    assert!(table.place_of(b"a").flow.is_closed() && !table.place_of(b"b").flow.is_closed());
    assert_eq!(table.regions(), [region(1, "b", Some("c"), 1)]);
}

/// The parent has told of itself, and the child has not: what the child has is still asked for.
#[test]
fn a_region_that_was_split_leaves_no_keys_without_a_share() {
    let share = |start: &'static str, end: Option<&'static str>| (Bytes::from(start), end.map(Bytes::from));
    let mut learning = Learning::of(vec![region(1, "", None, 1)]);
    assert_eq!(learning.0.table().shares(), [share("", None)]);
    learning.learn(&region(1, "", Some("m"), 2));
    assert_eq!(learning.0.table().shares(), [share("", Some("m")), share("m", None)]);
    learning.learn(&region(2, "m", None, 2));
    assert_eq!(learning.0.table().shares(), [share("", Some("m")), share("m", None)]);
    let gap = Learning::of(vec![region(1, "b", Some("c"), 1)]);
    assert_eq!(gap.0.table().shares(), [share("b", Some("c"))], "nobody is known to have the rest");
}

#[test]
fn a_piece_changes_hands_when_nothing_is_on_its_way_to_the_old_region() {
    let mut learning = Learning::of(vec![region(1, "", None, 1)]);
    let parent = Arc::clone(learning.0.table().place_of(b"m"));
    assert!(parent.flow.enter());
    learning.learn(&region(2, "m", None, 2));
    assert_eq!(routes(&learning.0, &["a", "m"]), [1, 1]);
    assert!(!parent.flow.enter(), "nothing more goes to the parent");
    assert!(parent.flow.leave());
    learning.learn(&region(1, "", Some("m"), 2));
    assert_eq!(routes(&learning.0, &["a", "m"]), [1, 2]);
    assert!(!learning.0.table().place_of(b"a").flow.is_closed());
}

#[test]
fn other_replicas_of_the_same_range_close_nothing() {
    let mut learning = Learning::of(vec![region(1, "", None, 1)]);
    let before = Arc::clone(&learning.0.table().place_of(b"a").flow);
    assert!(before.enter());
    let mut moved = region(1, "", None, 1);
    moved.epoch.membership = 2;
    learning.learn(&moved);
    let table = learning.0.table();
    assert_eq!(table.region_of(b"a"), &moved);
    assert!(Arc::ptr_eq(&before, &table.place_of(b"a").flow) && before.enter());
}

#[test]
fn a_split_is_learned_piece_by_piece() {
    let mut directory = Learning::of(vec![region(1, "", None, 1)]);
    assert!(directory.learn(&region(2, "m", Some("t"), 3)));
    assert_eq!(
        routes(&directory.0, &["a", "m", "s", "t"]),
        [1, 2, 2, 1],
        "the rest still leads to the parent"
    );
    assert!(directory.learn(&region(1, "", Some("m"), 3)));
    assert!(directory.learn(&region(3, "t", None, 3)));
    assert_eq!(routes(&directory.0, &["a", "m", "s", "t"]), [1, 2, 2, 3]);
    assert!(!directory.learn(&region(1, "", None, 1)), "what is older changes nothing");
    assert!(!directory.learn(&region(1, "", Some("m"), 3)), "what is known changes nothing");
    assert_eq!(directory.0.table().regions().len(), 3);
}

#[test]
fn a_merge_replaces_both() {
    let mut directory = Learning::of(vec![region(1, "", Some("m"), 1), region(2, "m", None, 2)]);
    assert!(directory.learn(&region(1, "", None, 4)));
    assert_eq!(directory.0.table().regions(), [region(1, "", None, 4)]);
}

proptest! {
    #[test]
    fn the_newest_wins_for_every_key(news in proptest::collection::vec((1u64..9, 0u8..20, 1u8..20, 1u64..6), 0..30)) {
        let first = region(100, "", None, 0);
        let mut directory = Learning::of(vec![first.clone()]);
        let text = |number: u8| format!("{number:02}");
        let mut twin = vec![first; 40];
        for (id, start, len, version) in news {
            let end = text(start + len);
            let new = region(id, &text(start), Some(&end), version);
            directory.learn(&new);
            for owner in &mut twin[usize::from(start)..usize::from(start + len)] {
                if version > owner.epoch.version {
                    *owner = new.clone();
                }
            }
        }
        let table = directory.0.table();
        for (key, owner) in twin.iter().enumerate() {
            prop_assert_eq!(table.region_of(text(key as u8).as_bytes()), owner);
        }
    }
}
