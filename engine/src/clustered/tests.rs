//! Stores that are started in every order, wiped, moved and mixed up on their way into one cluster.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use tempfile::TempDir;

use super::*;

/// The stores of one cluster: directories, and addresses that stay theirs.
struct Place {
    temp: TempDir,
    addresses: Vec<String>,
}

fn place(count: usize) -> Place {
    let bound: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses = bound.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
    Place { temp: TempDir::new().unwrap(), addresses }
}

impl Place {
    fn dir(&self, at: usize) -> PathBuf {
        self.temp.path().join(format!("{at}"))
    }

    fn config(&self, at: usize) -> ClusteredConfig {
        let mut stores = self.addresses.clone();
        stores.rotate_left(at); // no order matters
        let config = ClusteredConfig::new(self.dir(at), self.addresses[at].clone());
        ClusteredConfig { stores, regions: 4, segment_bytes: 256 << 10, ..config }
    }

    fn try_start(&self, at: usize) -> Result<ClusteredStore, Error> {
        let listener = TcpListener::bind(&self.addresses[at]).unwrap();
        ClusteredStore::start(self.config(at), listener)
    }

    fn start(&self, at: usize) -> ClusteredStore {
        self.try_start(at).unwrap()
    }

    fn refusal(&self, at: usize) -> String {
        match self.try_start(at) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it was not refused"),
        }
    }
}

#[track_caller]
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long for: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn opens(store: &ClusteredStore) {
    wait("a store that is open", || match store.phase() {
        Phase::Failed(why) => panic!("{why}"),
        phase => phase == Phase::Open,
    });
}

fn put(store: &ClusteredStore, key: &str, value: &str) {
    store.engines()[0].put(key.to_owned(), value.to_owned()).wait().unwrap();
}

fn get(store: &ClusteredStore, key: &str) -> Option<String> {
    let value = store.engines()[0].get(key.to_owned()).wait().unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn three_stores_found_one_cluster_in_any_order_and_all_know_it() {
    for order in [[0, 1, 2], [2, 0, 1]] {
        let place = place(3);
        let stores: Vec<ClusteredStore> = order
            .iter()
            .map(|at| {
                let store = place.start(*at);
                thread::sleep(Duration::from_millis(150));
                store
            })
            .collect();
        stores.iter().for_each(opens);
        put(&stores[0], "a", "1");
        assert_eq!(get(&stores[1], "a").as_deref(), Some("1"));
        let clusters: BTreeSet<String> =
            stores.iter().map(|store| store.engines()[0].cluster_id().to_string()).collect();
        assert_eq!(clusters.len(), 1);
        wait("the connections", || stores.iter().all(|store| store.status().unwrap().losable == 1));
        // On a busy machine one election may come after another.
        wait("all leaders", || {
            let status = stores[2].status().unwrap();
            (status.stores.len(), status.regions, status.leaders) == (3, 4, 4)
        });
        stores.iter().for_each(|store| store.close().unwrap());
    }
}

#[test]
fn a_store_waits_for_the_others_and_says_for_whom() {
    let place = place(3);
    let (one, _two) = (place.start(0), place.start(1));
    let missing = format!("waiting for {} (nobody listens there)", place.addresses[2]);
    wait("the reason", || one.phase() == Phase::Forming(missing.clone()));
    assert!(one.engines().is_empty() && one.status().is_none());
}

#[test]
fn a_store_that_was_away_is_back_in_a_moment_and_the_data_is_there() {
    let place = place(3);
    let mut stores: Vec<ClusteredStore> = (0..3).map(|at| place.start(at)).collect();
    stores.iter().for_each(opens);
    put(&stores[0], "before", "1");
    stores.pop().unwrap().close().unwrap();
    put(&stores[0], "while away", "2");
    wait("the loss", || stores[0].status().unwrap().losable == 0);
    let back = place.start(2);
    assert_eq!(back.phase(), Phase::Open, "a member does not wait for others");
    let begun = Instant::now();
    wait("all of them", || stores[0].status().unwrap().losable == 1);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(get(&back, "before").as_deref(), Some("1"));
    assert_eq!(get(&back, "while away").as_deref(), Some("2"));
}

/// The others are told a new list one after the other, or never: a store says itself where it is.
#[test]
fn a_store_that_moved_is_found_at_its_new_address() {
    let mut place = place(3);
    let mut stores: Vec<ClusteredStore> = (0..3).map(|at| place.start(at)).collect();
    stores.iter().for_each(opens);
    stores.pop().unwrap().close().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    place.addresses[2] = listener.local_addr().unwrap().to_string();
    let moved = ClusteredStore::start(place.config(2), listener).unwrap();
    wait("all of them", || stores.iter().chain([&moved]).all(|store| store.status().unwrap().losable == 1));
    wait("the news", || moved.news().iter().any(|news| news.contains("was given another list of stores")));
}

#[test]
fn a_directory_that_was_wiped_does_not_found_again_and_its_old_name_is_gone() {
    let place = place(3);
    let mut stores: Vec<ClusteredStore> = (0..3).map(|at| place.start(at)).collect();
    stores.iter().for_each(opens);
    put(&stores[0], "a", "1");
    let cluster = stores[0].engines()[0].cluster_id();
    let name = stores[2].engines()[0].store_id();
    stores.pop().unwrap().close().unwrap();
    fs::remove_dir_all(place.dir(2)).unwrap();

    let wiped = place.start(2);
    wait("the others' cluster", || matches!(wiped.phase(), Phase::Joining(_)));
    assert!(wiped.news().iter().any(|news| news.contains("joining it as a new store")));
    drop(wiped);
    let again = place.start(2);
    assert!(matches!(again.phase(), Phase::Joining(_)), "it remembers");
    let Ok(Found::Store(identity)) = store_dir::look(&place.dir(2)) else { panic!("no store") };
    assert!(identity.cluster == cluster && identity.store != name);
    assert_eq!(get(&stores[1], "a").as_deref(), Some("1"));
    drop(stores);
}

#[test]
fn a_store_that_lost_its_directory_is_replaced_by_the_one_that_has_its_address() {
    let place = place(3);
    let start = |at: usize| {
        let config = ClusteredConfig { replace_after: Duration::from_millis(500), ..place.config(at) };
        ClusteredStore::start(config, TcpListener::bind(&place.addresses[at]).unwrap()).unwrap()
    };
    let mut stores: Vec<ClusteredStore> = (0..3).map(start).collect();
    stores.iter().for_each(opens);
    put(&stores[0], "a", "1");
    let lost = stores[2].engines()[0].store_id();
    stores.pop().unwrap().close().unwrap();
    fs::remove_dir_all(place.dir(2)).unwrap();
    let new = start(2);
    wait("the new store's replicas", || {
        new.phase() == Phase::Open && new.status().is_some_and(|now| now.losable == 1)
    });
    wait("the end of the old one", || {
        let status = stores[0].status().unwrap();
        status.losable == 1 && status.stores.len() == 3 && status.stores.iter().all(|store| store.id != lost)
    });
    // What it has, it has: with it alone and one other, everything is there.
    stores.remove(0).close().unwrap();
    put(&new, "b", "2");
    assert_eq!(get(&new, "a").as_deref(), Some("1"));
    assert_eq!(get(&stores[0], "b").as_deref(), Some("2"));
}

/// Of the founders none is left, and a new store knows of no others until it has regions. It forwards all the same, to
/// whomever it is connected to.
#[test]
fn a_store_that_joins_when_no_founder_is_left_answers() {
    let place = place(3);
    let start = |at: usize, replace_after| {
        let config = ClusteredConfig { replace_after, ..place.config(at) };
        ClusteredStore::start(config, TcpListener::bind(&place.addresses[at]).unwrap()).unwrap()
    };
    let soon = Duration::from_millis(500);
    let mut stores: Vec<ClusteredStore> = (0..3).map(|at| start(at, soon)).collect();
    stores.iter().for_each(opens);
    put(&stores[0], "a", "1");
    let founders: Vec<StoreId> = stores.iter().map(|store| store.engines()[0].store_id()).collect();
    for (at, founder) in founders.iter().enumerate() {
        stores.remove(0).close().unwrap();
        fs::remove_dir_all(place.dir(at)).unwrap();
        stores.push(start(at, soon));
        wait("the new store's replicas", || stores[2].phase() == Phase::Open);
        wait("all but it have forgotten the lost one", || {
            stores.iter().all(|store| {
                let status = store.status().unwrap();
                status.losable == 1 && status.stores.iter().all(|store| store.id != *founder)
            })
        });
    }
    stores.into_iter().for_each(|store| store.close().unwrap());
    fs::remove_dir_all(place.dir(0)).unwrap();
    // From here on nobody is replaced: it stays without regions.
    let late = Duration::from_secs(600);
    let (joins, other, _another) = (start(0, late), start(1, late), start(2, late));
    wait("the others' cluster", || matches!(joins.phase(), Phase::Joining(_)));
    assert_eq!(get(&joins, "a").as_deref(), Some("1"));
    put(&joins, "b", "2");
    assert_eq!(get(&other, "b").as_deref(), Some("2"));
    assert!(matches!(joins.phase(), Phase::Joining(_)));
}

#[test]
fn a_founder_that_is_wiped_before_the_cluster_is_founded_is_not_missed() {
    let place = place(3);
    let one = place.start(0);
    // It promised, and never heard of the others' promise.
    let promise = Founding::new(
        plan::VERSION,
        4,
        vec![(StoreId(7), [7; 16]), (StoreId(8), [8; 16]), (StoreId(9), [9; 16])],
    );
    drop(one);
    promise.write(&place.dir(0)).unwrap();
    let stores: Vec<ClusteredStore> = (0..3).map(|at| place.start(at)).collect();
    stores.iter().for_each(opens);
    put(&stores[1], "a", "1");
}

/// The lights went out after the store had become a member and before it had its regions.
#[test]
fn what_was_begun_is_finished_as_it_was_promised() {
    let place = place(3);
    let stores: Vec<ClusteredStore> = (0..3).map(|at| place.start(at)).collect();
    stores.iter().for_each(opens);
    let regions = stores[0].engines()[0].regions();
    drop(stores);
    let mut dir = StoreDir::open(&place.dir(1), None).unwrap();
    dir.set_unborn();
    drop(dir);
    let stores: Vec<ClusteredStore> = (0..3).map(|at| place.start(at)).collect();
    assert_eq!(stores[1].phase(), Phase::Open);
    assert_eq!(stores[1].engines()[0].regions(), regions);
    put(&stores[1], "a", "1");
}

#[test]
fn mistakes_are_refused_in_words_and_nothing_is_touched() {
    let place = place(3);
    let stores: Vec<ClusteredStore> = (0..2).map(|at| place.start(at)).collect();

    let other = Place { temp: TempDir::new().unwrap(), addresses: place.addresses.clone() };
    let mut config = other.config(2);
    config.stores[0] = "127.0.0.1:1".into();
    config.address = config.stores[0].clone();
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    let why = ClusteredStore::start(config.clone(), listener()).err().unwrap().to_string();
    let expected = format!(
        "was given another list of stores; it does not have 127.0.0.1:1; only it has {}",
        place.addresses[2]
    );
    assert!(why.contains(&expected), "{why}");
    config.address = "127.0.0.1:2".into();
    let why = ClusteredStore::start(config.clone(), listener()).err().unwrap().to_string();
    assert!(why.starts_with("this store's address 127.0.0.1:2 is not among the listed ones"), "{why}");
    config.stores.push(config.stores[0].clone());
    let why = ClusteredStore::start(config, listener()).err().unwrap().to_string();
    assert!(why.contains("is listed twice"), "{why}");
    assert!(!other.dir(2).exists());

    let third = place.start(2);
    stores.iter().chain([&third]).for_each(opens);
    drop(third);
    // A directory of another cluster, under an address of this one.
    let alone = ClusteredConfig { regions: 4, ..ClusteredConfig::new(other.dir(2), "127.0.0.1:2") };
    let foreign = ClusteredStore::start(alone, listener()).unwrap();
    opens(&foreign);
    drop(foreign);
    let identity = fs::read(other.dir(2).join("identity")).unwrap();
    let why = other.refusal(2);
    assert!(why.starts_with("the directory belongs to cluster c"), "{why}");
    assert_eq!(fs::read(other.dir(2).join("identity")).unwrap(), identity);
    // A directory that is in use, and a copy of one that is in use elsewhere.
    let in_use = ClusteredStore::start(place.config(0), listener()).err().unwrap().to_string();
    assert!(in_use.contains("is in use by another process"), "{in_use}");
    fs::remove_dir_all(place.dir(2)).unwrap();
    fs::create_dir(place.dir(2)).unwrap();
    for name in ["identity", "founding"] {
        fs::copy(place.dir(0).join(name), place.dir(2).join(name)).unwrap();
    }
    let why = place.refusal(2);
    assert!(why.contains("is a copy of the one that"), "{why}");
    // A store that is a cluster of its own.
    drop(Engine::open(crate::EngineConfig::new(place.temp.path().join("own"))).unwrap());
    let own = ClusteredConfig { dir: place.temp.path().join("own"), ..place.config(2) };
    let why = ClusteredStore::start(own, listener()).err().unwrap().to_string();
    assert!(why.contains("is a cluster of its own"), "{why}");
}
