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

fn routes(directory: &Directory, keys: &[&str]) -> Vec<u64> {
    let table = directory.table();
    keys.iter().map(|key| table.region_of(key.as_bytes()).id.0).collect()
}

#[test]
fn keys_go_to_the_region_that_has_them() {
    let regions = vec![region(2, "m", None, 1), region(1, "", Some("m"), 1)];
    let directory = Directory::new(regions).unwrap();
    assert_eq!(routes(&directory, &["", "a", "lzz", "m", "z"]), [1, 1, 1, 2, 2]);
    let table = directory.table();
    assert!(table.one_region([&b"a"[..], b"b"].into_iter()));
    assert!(!table.one_region([&b"a"[..], b"m"].into_iter()));
}

#[test]
fn regions_that_do_not_tile_are_refused() {
    let refused = |regions| Directory::new(regions).err().map(|error| error.at);
    assert_eq!(refused(vec![]), Some("".into()));
    assert_eq!(refused(vec![region(1, "b", None, 1)]), Some("".into()));
    assert_eq!(refused(vec![region(1, "", Some("b"), 1)]), Some("b".into()));
    assert_eq!(refused(vec![region(1, "", Some("b"), 1), region(2, "c", None, 1)]), Some("b".into()));
    assert_eq!(refused(vec![region(1, "", Some("c"), 1), region(2, "b", None, 1)]), Some("c".into()));
    assert_eq!(refused(vec![region(1, "", None, 1), region(2, "b", None, 1)]), Some("b".into()));
}

#[test]
fn a_split_is_learned_piece_by_piece() {
    let directory = Directory::new(vec![region(1, "", None, 1)]).unwrap();
    assert!(directory.learn(&region(2, "m", Some("t"), 3)));
    assert_eq!(routes(&directory, &["a", "m", "s", "t"]), [1, 2, 2, 1], "the rest still leads to the parent");
    assert!(directory.learn(&region(1, "", Some("m"), 3)));
    assert!(directory.learn(&region(3, "t", None, 3)));
    assert_eq!(routes(&directory, &["a", "m", "s", "t"]), [1, 2, 2, 3]);
    assert!(!directory.learn(&region(1, "", None, 1)), "what is older changes nothing");
    assert!(!directory.learn(&region(1, "", Some("m"), 3)), "what is known changes nothing");
    assert_eq!(directory.table().regions().len(), 3);
}

#[test]
fn a_merge_replaces_both() {
    let directory = Directory::new(vec![region(1, "", Some("m"), 1), region(2, "m", None, 2)]).unwrap();
    assert!(directory.learn(&region(1, "", None, 4)));
    assert_eq!(directory.table().regions(), [region(1, "", None, 4)]);
}

proptest! {
    #[test]
    fn the_newest_wins_for_every_key(news in proptest::collection::vec((1u64..9, 0u8..20, 1u8..20, 1u64..6), 0..30)) {
        let first = region(100, "", None, 0);
        let directory = Directory::new(vec![first.clone()]).unwrap();
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
        let table = directory.table();
        for (key, owner) in twin.iter().enumerate() {
            prop_assert_eq!(table.region_of(text(key as u8).as_bytes()), owner);
        }
    }
}
