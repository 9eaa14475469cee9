//! Replicas move between the stores of a cluster that is in use: a store is drained and still serves, a lost one is replaced.

#![allow(clippy::unwrap_used)] // also in what the tests share

use std::time::Duration;

use skep_engine::{Engine, LocalCluster, LocalConfig, StoreId};

const PATIENCE: Duration = Duration::from_secs(60);
const REGIONS: u32 = 6;

fn cluster(dir: &tempfile::TempDir) -> LocalCluster {
    let mut config = LocalConfig::new(dir.path().join("data"));
    (config.stores, config.regions, config.segment_bytes) = (4, REGIONS, 4 << 20);
    config.request_timeout = PATIENCE;
    let cluster = LocalCluster::open(config).unwrap();
    cluster.wait_ready(PATIENCE).unwrap();
    cluster
}

fn key(number: u32) -> Vec<u8> {
    number.wrapping_mul(0x9e37_79b9).to_be_bytes().to_vec()
}

fn put_all(engine: &Engine, from: u32) {
    let tickets: Vec<_> = (from..from + 100).map(|n| engine.put(key(n), n.to_string())).collect();
    tickets.into_iter().for_each(|ticket| ticket.wait().unwrap());
}

fn has_all(engine: &Engine, until: u32) {
    for number in 0..until {
        let value = engine.get(key(number)).wait().unwrap();
        assert_eq!(value.as_deref(), Some(number.to_string().as_bytes()));
    }
}

/// On which stores the regions have their votes, as this store knows.
fn homes(engine: &Engine) -> Vec<Vec<StoreId>> {
    let infos = engine.region_infos();
    let home = |info: &skep_engine::RegionInfo| {
        assert!(!info.descriptor.membership.is_joint(), "{info:?}");
        let stores: Vec<StoreId> =
            info.descriptor.membership.voters.iter().map(|voter| voter.store()).collect();
        sorted(&stores)
    };
    infos.iter().map(home).collect()
}

#[test]
fn a_drained_store_serves_and_takes_the_place_of_a_lost_one() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&dir);
    let ids: Vec<StoreId> = cluster.engines().iter().map(Engine::store_id).collect();
    put_all(cluster.engine(0), 0);

    // The last store gives all its replicas away, asked of another one while it may lead some of them.
    let drained = cluster.engine(1).remove_store(ids[3], PATIENCE);
    assert!(drained.left.is_empty(), "{drained:?}");
    assert_eq!(homes(cluster.engine(0)), vec![sorted(&ids[..3]); REGIONS as usize]);
    let empty = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        cluster.engine(3).region_infos().is_empty()
    });
    assert!(empty, "its replicas are gone");
    // It has nothing, and answers for everything.
    put_all(cluster.engine(3), 100);
    has_all(cluster.engine(3), 200);

    // The first store is lost, with its directory; the one that has nothing takes its place.
    cluster.engine(0).close();
    let replaced = cluster.engine(2).replace_store(ids[0], ids[3], PATIENCE);
    assert!(replaced.left.is_empty(), "{replaced:?}");
    assert_eq!(homes(cluster.engine(3)), vec![sorted(&ids[1..]); REGIONS as usize]);
    put_all(cluster.engine(3), 200);
    has_all(cluster.engine(1), 300);
    // Doing it again changes nothing.
    assert_eq!(cluster.engine(1).replace_store(ids[0], ids[3], PATIENCE).left, []);
}

fn sorted(stores: &[StoreId]) -> Vec<StoreId> {
    let mut stores = stores.to_vec();
    stores.sort_unstable();
    stores
}
