//! Finds, makes, or finishes making the directories of a cluster whose stores all live in this process.
//!
//! ```text
//! LOCK         held while the cluster is open
//! cluster      which stores and regions it was made with
//! store-1/ ..  one directory for each store
//! ```
//!
//! Order of making: `LOCK`, `cluster` (not formed), the stores' directories, their regions, `cluster` (formed). No
//! store runs before the last step, so that until then everything can be done again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;

use skep_raftstore::ids::{Life, StoreId};

use super::cluster_file::{ClusterFile, Member};
use crate::assemble::{Assembled, Origin, assemble, listen};
use crate::config::{LOOPBACK, LocalConfig};
use crate::limits::{REGIONS_MAX, STORES_MAX};
use crate::store_dir::{self, CLUSTER, DirectoryError, Found, IDENTITY, Identity, Problem, StoreDir, files};
use crate::{Error, draw, plan};

const CLUSTER_NEW: &str = "cluster.new";
const LOCK: &str = "LOCK";

/// A cluster whose stores are open and do not run yet.
pub(super) struct Formed {
    pub(super) file: ClusterFile,
    pub(super) is_new: bool,
    pub(super) stores: Vec<Assembled>,
    /// Keeps the directory locked.
    pub(super) lock: File,
}

/// Opens what is in `config.dir`, or makes it.
pub(super) fn form(config: &LocalConfig) -> Result<Formed, Error> {
    let dir = &config.dir;
    let lock = lock(dir, config)?;
    let mut file = match ClusterFile::read(&dir.join(CLUSTER))? {
        Some(file) => file,
        None => plan_new(config)?,
    };
    let is_new = !file.is_formed;
    if is_new {
        file.write(&dir.join(CLUSTER))?;
    }
    let stores = open_stores(&file, config)?;
    if is_new {
        file.is_formed = true;
        file.write(&dir.join(CLUSTER))?;
    }
    Ok(Formed { file, is_new, stores, lock })
}

/// Locks the directory once it is certain that it is, or will be, a cluster's, and that all of it can be opened.
fn lock(dir: &Path, config: &LocalConfig) -> Result<File, Error> {
    let names = files::names(dir)?.unwrap_or_default();
    if names.iter().any(|name| name == CLUSTER) {
        if let Some(file) = ClusterFile::read(&dir.join(CLUSTER))? {
            check_stores(dir, &file)?;
        }
    } else if !names.iter().all(|name| [LOCK, CLUSTER_NEW].contains(&name.as_str())) {
        let one = names.iter().any(|name| name == IDENTITY);
        return Err(DirectoryError::new(dir, if one { Problem::OneStore } else { Problem::Foreign }).into());
    }
    let LocalConfig { regions, stores, .. } = *config;
    if !(1..=REGIONS_MAX).contains(&regions) || !(1..=STORES_MAX).contains(&stores) {
        return Err(Error::Impossible { regions, stores });
    }
    files::make_directory(dir)?;
    Ok(files::lock(dir, &dir.join(LOCK))?)
}

fn check_stores(dir: &Path, file: &ClusterFile) -> Result<(), DirectoryError> {
    for (at, member) in file.stores.iter().enumerate() {
        let path = store_path(dir, at);
        match store_dir::look(&path)? {
            Found::Nothing if file.is_formed => return Err(DirectoryError::new(&path, Problem::Missing)),
            Found::Nothing => {}
            Found::Store(identity) => check_member(&path, &identity, file, member)?,
        }
    }
    Ok(())
}

fn check_member(
    path: &Path,
    found: &Identity,
    file: &ClusterFile,
    member: &Member,
) -> Result<(), DirectoryError> {
    let problem = if found.cluster != file.cluster {
        Problem::OtherMember
    } else if found.store != member.store || found.uuid != member.uuid {
        Problem::OtherStore
    } else if file.is_formed && !found.is_born {
        Problem::Missing
    } else {
        return Ok(());
    };
    Err(DirectoryError::new(path, problem))
}

fn store_path(dir: &Path, at: usize) -> PathBuf {
    dir.join(format!("store-{}", at + 1))
}

fn plan_new(config: &LocalConfig) -> Result<ClusterFile, Error> {
    let mut names: Vec<StoreId> = Vec::new();
    let mut stores = Vec::new();
    for _ in 0..config.stores {
        let store = draw::store_id(&names)?;
        names.push(store);
        stores.push(Member { store, uuid: draw::uuid()? });
    }
    let regions = plan::regions(config.regions, &names);
    Ok(ClusterFile { cluster: draw::cluster_id()?, is_formed: false, stores, regions })
}

/// Opens all stores, each on a thread of its own: most of it is reading.
fn open_stores(file: &ClusterFile, config: &LocalConfig) -> Result<Vec<Assembled>, Error> {
    let names: Vec<StoreId> = file.stores.iter().map(|member| member.store).collect();
    let open = &|at: usize| {
        let dir = open_directory(&store_path(&config.dir, at), file, &file.stores[at])?;
        let births = if file.is_formed { Vec::new() } else { plan::births(&file.regions, &names, at) };
        assemble(dir, &config.settings(), listen(LOOPBACK)?, Origin::births(births))
    };
    thread::scope(|scope| {
        let opening: Vec<_> = (0..names.len()).map(|at| scope.spawn(move || open(at))).collect();
        let panicked = |_| Err(Error::Internal("opening a store panicked".into()));
        opening.into_iter().map(|store| store.join().unwrap_or_else(panicked)).collect()
    })
}

fn open_directory(path: &Path, file: &ClusterFile, member: &Member) -> Result<StoreDir, DirectoryError> {
    match store_dir::look(path)? {
        Found::Store(_) => StoreDir::open(path, Some(file.cluster)),
        Found::Nothing => StoreDir::create(
            path,
            Identity {
                cluster: file.cluster,
                store: member.store,
                uuid: member.uuid,
                life: Life(1),
                is_born: false,
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::LocalCluster;
    use crate::config::Opened;

    fn config(dir: &Path) -> LocalConfig {
        LocalConfig { segment_bytes: 256 << 10, regions: 5, ..LocalConfig::new(dir) }
    }

    /// The lights went out after two of three stores had their regions, and the third did not even have a directory.
    #[test]
    fn making_a_cluster_that_was_interrupted_is_finished_as_it_was_meant() {
        let temp = TempDir::new().unwrap();
        let Formed { mut file, stores, .. } = form(&config(temp.path())).unwrap();
        drop(stores);
        file.is_formed = false;
        file.write(&temp.path().join(CLUSTER)).unwrap();
        fs::remove_dir_all(store_path(temp.path(), 2)).unwrap();

        let cluster = LocalCluster::open(LocalConfig { regions: 9, ..config(temp.path()) }).unwrap();
        assert_eq!(cluster.opened(), Opened::New { regions: 5 });
        let names: Vec<StoreId> = cluster.engines().iter().map(|engine| engine.store_id()).collect();
        assert!(names.into_iter().eq(file.stores.iter().map(|member| member.store)));
        assert_eq!(cluster.engine(2).regions(), file.regions);
        cluster.engine(2).put("a", "b").wait().unwrap();
    }

    #[test]
    fn what_was_promised_is_not_made_again() {
        let temp = TempDir::new().unwrap();
        drop(form(&config(temp.path())).unwrap());
        fs::remove_dir_all(store_path(temp.path(), 2)).unwrap();
        let missing = DirectoryError::new(&store_path(temp.path(), 2), Problem::Missing);
        assert_eq!(form(&config(temp.path())).err(), Some(missing.into()));
        assert!(!store_path(temp.path(), 2).exists());
    }

    #[test]
    fn one_store_is_not_several_and_the_other_way_round() {
        let temp = TempDir::new().unwrap();
        drop(form(&config(temp.path())).unwrap());
        let problem = store_dir::look(temp.path()).unwrap_err().problem;
        assert_eq!(problem, Problem::SeveralStores);
        let one = store_path(temp.path(), 0);
        assert_eq!(form(&config(&one)).err(), Some(DirectoryError::new(&one, Problem::OneStore).into()));
    }
}
