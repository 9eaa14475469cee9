//! Each thing that can be wrong with a directory is said in one sentence, and nothing in it is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use skep_raftstore::ids::StoreId;
use tempfile::TempDir;

use super::*;

fn identity() -> Identity {
    Identity { cluster: ClusterId(7), store: StoreId(3), uuid: [1; 16], life: Life(1), is_born: false }
}

/// All files below a directory, with their bytes.
fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    all
}

fn check_refused(path: &Path, cluster: Option<ClusterId>, sentence: &str) {
    let before = path.is_dir().then(|| contents(path));
    let error = StoreDir::open(path, cluster).unwrap_err();
    assert_eq!(error.to_string().replace(path.to_str().unwrap(), "DIR"), sentence);
    assert_eq!(path.is_dir().then(|| contents(path)), before, "something was touched");
}

fn store(temp: &TempDir) -> PathBuf {
    let path = temp.path().join("store");
    drop(StoreDir::create(&path, identity()).unwrap());
    path
}

#[test]
fn each_start_is_a_new_life() {
    let temp = TempDir::new().unwrap();
    let path = store(&temp);
    assert_eq!(look(&path), Ok(Found::Store(identity())));
    for life in 2..4 {
        let dir = StoreDir::open(&path, Some(ClusterId(7))).unwrap();
        assert_eq!(*dir.identity(), Identity { life: Life(life), ..identity() });
    }
}

#[test]
fn what_is_made_is_for_its_owner_alone() {
    let temp = TempDir::new().unwrap();
    let path = store(&temp);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join(LOG)), 0o700);
    assert_eq!(mode(&path.join(IDENTITY)), 0o600);
    assert_eq!(mode(&path.join(LOCK)), 0o600);
}

#[test]
fn a_second_one_who_opens_it_is_refused() {
    let temp = TempDir::new().unwrap();
    let path = store(&temp);
    let dir = StoreDir::open(&path, None).unwrap();
    check_refused(&path, None, "DIR is in use by another process: stop that one first");
    drop(dir);
    StoreDir::open(&path, None).unwrap();
}

#[test]
fn another_cluster() {
    let temp = TempDir::new().unwrap();
    let path = store(&temp);
    check_refused(
        &path,
        Some(ClusterId(8)),
        "DIR belongs to cluster c0000000000000007, not to c0000000000000008: choose another directory",
    );
}

#[test]
fn somebody_elses_directory() {
    let temp = TempDir::new().unwrap();
    fs::write(temp.path().join("thesis.txt"), "precious").unwrap();
    let sentence = "DIR holds files that are not Skep's: choose an empty directory, or one of Skep's";
    check_refused(temp.path(), None, sentence);
    assert!(StoreDir::create(temp.path(), identity()).is_err());
    assert_eq!(contents(temp.path()).len(), 1);
}

#[test]
fn a_file() {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("file");
    fs::write(&path, "").unwrap();
    check_refused(&path, None, "DIR is not a directory: choose another path");
}

#[test]
fn a_newer_or_a_damaged_one() {
    let temp = TempDir::new().unwrap();
    let path = store(&temp);
    let mut bytes = identity().encode();
    bytes[8] = 9;
    fs::write(path.join(IDENTITY), bytes).unwrap();
    let sentence = "DIR/identity was written by a newer version of Skep (format 9): start that version";
    check_refused(&path, None, sentence);
    fs::write(path.join(IDENTITY), &bytes[1..]).unwrap();
    let sentence = "DIR/identity is damaged (it is not an identity of Skep's): restore it from a copy";
    check_refused(&path, None, sentence);
}

#[test]
fn one_that_is_gone_or_lost_its_log() {
    let temp = TempDir::new().unwrap();
    let path = store(&temp);
    let missing = "is missing, and was there before: restore it from a copy, or start a new directory";
    check_refused(&temp.path().join("gone"), None, &format!("DIR {missing}"));
    StoreDir::open(&path, None).unwrap().set_born().unwrap();
    StoreDir::open(&path, None).unwrap();
    fs::remove_dir_all(path.join(LOG)).unwrap();
    check_refused(&path, None, &format!("DIR/wal {missing}"));
}

#[test]
fn making_one_that_was_interrupted_is_done_again() {
    let temp = TempDir::new().unwrap();
    let path = temp.path().join("store");
    fs::create_dir(&path).unwrap();
    fs::write(path.join(LOCK), "").unwrap();
    fs::write(path.join(IDENTITY_NEW), "SKEPST").unwrap();
    assert_eq!(look(&path), Ok(Found::Nothing));
    StoreDir::create(&path, identity()).unwrap();
    assert_eq!(look(&path), Ok(Found::Store(identity())));
}

/// On a full disk nothing can be made, and what is there can be written over.
#[test]
fn a_start_makes_no_file_and_needs_no_more_blocks() {
    let temp = TempDir::new().unwrap();
    let path = store(&temp);
    StoreDir::open(&path, None).unwrap();
    let files = |path: &Path| -> BTreeMap<String, u64> {
        let file =
            |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().ino());
        fs::read_dir(path).unwrap().map(|entry| file(entry.unwrap())).collect()
    };
    let before = files(&path);
    for life in 3..6 {
        let dir = StoreDir::open(&path, None).unwrap();
        assert_eq!(dir.identity().life, Life(life));
        let (mut now, mut then) = (files(&path), before.clone());
        for files in [&mut now, &mut then] {
            // The log of a store that was never born is begun afresh.
            files.retain(|name, _| ![LOG, SNAPSHOTS].contains(&name.as_str()));
        }
        assert_eq!(now.keys().collect::<Vec<_>>(), [LOCK, IDENTITY, IDENTITY_NEW]);
        let sorted = |files: BTreeMap<String, u64>| files.into_values().collect::<BTreeSet<u64>>();
        assert_eq!(sorted(now), sorted(then), "the same files, with other names");
    }
}

#[test]
fn the_log_of_a_store_whose_regions_were_never_made_is_begun_afresh() {
    let temp = TempDir::new().unwrap();
    let path = store(&temp);
    fs::write(path.join(LOG).join("half"), "of the regions").unwrap();
    StoreDir::open(&path, None).unwrap().set_born().unwrap();
    assert!(contents(&path.join(LOG)).is_empty());
    fs::write(path.join(LOG).join("all"), "of the regions").unwrap();
    StoreDir::open(&path, None).unwrap();
    assert_eq!(contents(&path.join(LOG)).len(), 1);
}
