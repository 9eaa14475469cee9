//! What is on each store's disk for certain: what would be left of its log if the power went now and nothing survived of what was
//! not synced.
//!
//! No bookkeeping beside the log, but the disk itself, read on after every sync (`MediumLog`). Now and then all of it is read by the
//! right build of the log, from a copy of the medium: it must find the same, and no damage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use skep_raftstore::ids::{Index, RegionId, ReplicaId, StoreId, Term};
use skep_raftstore::raft::HardState;
use skep_raftstore::wire::hard_state;
use skep_wal::{MediumLog, MemDisk, StateName, StreamId, StreamInfo, Wal, WalConfig};

use super::now_and_then::NowAndThen;

/// One reading in so many is compared with opening the log.
const OPEN_EVERY: u64 = 200;

/// The state of a stream that names the last replica that was removed.
const TOMBSTONE: StateName = StateName(3);

/// The logs of all stores, as their media have them.
pub(super) struct Media {
    stores: BTreeMap<StoreId, Log>,
    /// Stores that are gone with everything they had.
    lost: BTreeSet<StoreId>,
    /// Stores whose log was damaged at some time: what they had promised may be gone.
    damaged: BTreeSet<StoreId>,
    openings: NowAndThen,
}

impl Default for Media {
    fn default() -> Media {
        Media {
            stores: BTreeMap::new(),
            lost: BTreeSet::new(),
            damaged: BTreeSet::new(),
            openings: NowAndThen::every(OPEN_EVERY),
        }
    }
}

struct Log {
    disk: MemDisk,
    config: WalConfig,
    /// What was read of it in this life of the store.
    read: Option<MediumLog>,
}

/// What a medium has of a region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum OnMedium {
    /// Nobody can say what was there.
    Unknown,
    Nothing,
    /// A replica was there and was removed.
    Grave,
    Kept(Kept),
}

/// The log of a replica.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    pub(super) replica: Option<ReplicaId>,
    pub(super) hard: HardState,
    /// Everything through here was compacted, or came with a snapshot.
    pub(super) base: Index,
    pub(super) last: Index,
    /// Where each term begins.
    pub(super) runs: Vec<(Index, Term)>,
}

impl Kept {
    /// Whether it has this entry, or a state that contains it.
    pub(super) fn has(&self, index: Index, term: Term) -> bool {
        let run = self.runs.iter().rev().find(|(first, _)| *first <= index);
        index <= self.base || (index <= self.last && run.is_some_and(|(_, of)| *of == term))
    }
}

impl Media {
    /// A store begins a life with its log on this disk.
    pub(super) fn begins(&mut self, store: StoreId, disk: MemDisk, config: WalConfig) {
        self.stores.insert(store, Log { disk, config, read: None });
    }

    /// A store's process is gone: its disk may be another one when it comes again.
    pub(super) fn gone(&mut self, store: StoreId) {
        self.stores.get_mut(&store).into_iter().for_each(|log| log.read = None);
    }

    pub(super) fn lost(&mut self, store: StoreId) {
        self.stores.remove(&store);
        self.lost.insert(store);
    }

    pub(super) fn damaged(&mut self, store: StoreId) {
        self.damaged.insert(store);
    }

    /// What a store's medium has of a region. An error if its log cannot be opened, or has holes, though nobody damaged it.
    pub(super) fn look(&mut self, store: StoreId, region: RegionId) -> Result<OnMedium, String> {
        if self.lost.contains(&store) || self.damaged.contains(&store) {
            return Ok(OnMedium::Unknown);
        }
        let Some(log) = self.stores.get_mut(&store) else { return Ok(OnMedium::Nothing) };
        let read =
            log.read(&mut self.openings).map_err(|why| format!("the log on the medium of {store} {why}"))?;
        read.stream(region.stream()).map_or(Ok(OnMedium::Nothing), |info| {
            on_medium(info, read.state(region.stream(), TOMBSTONE))
                .map_err(|why| format!("the hard state of {region} on the medium of {store} is {why}"))
        })
    }
}

impl Log {
    fn read(&mut self, openings: &mut NowAndThen) -> Result<&MediumLog, String> {
        let cannot = |error| format!("cannot be opened: {error}");
        let read = match &mut self.read {
            Some(read) => read,
            none => none.insert(MediumLog::new(self.disk.clone(), self.config.clone()).map_err(cannot)?),
        };
        let has_grown = read.catch_up().map_err(cannot)?;
        if !read.damaged().is_empty() {
            return Err(format!("has holes: {:?}", read.damaged()));
        }
        if has_grown && openings.is_time(false) {
            compare(read, &opened(&self.disk, &self.config)?)?;
        }
        Ok(read)
    }
}

fn opened(disk: &MemDisk, config: &WalConfig) -> Result<Wal, String> {
    let medium = disk.medium();
    // Who looks needs room of his own.
    medium.set_capacity(None);
    let (image, report) =
        Wal::open(Arc::new(medium), config.clone()).map_err(|error| format!("cannot be opened: {error}"))?;
    if !report.damaged.is_empty() || !report.unreadable.is_empty() {
        return Err(format!("has holes: {report:?}"));
    }
    Ok(image)
}

/// What is read from sync to sync is what opening finds.
fn compare(read: &MediumLog, opened: &Wal) -> Result<(), String> {
    let all = |streams: Vec<StreamId>, of: &dyn Fn(StreamId) -> (Option<StreamInfo>, Option<Bytes>)| {
        streams.into_iter().map(|stream| format!("{stream:?} {:?}", of(stream))).collect::<Vec<_>>()
    };
    let read = all(read.streams(), &|stream| (read.stream(stream), read.state(stream, TOMBSTONE)));
    let opened = all(opened.streams(), &|stream| (opened.stream(stream), opened.state(stream, TOMBSTONE)));
    if read == opened { Ok(()) } else { Err(format!("was read as {read:?} and opens as {opened:?}")) }
}

fn on_medium(info: StreamInfo, tombstone: Option<Bytes>) -> Result<OnMedium, String> {
    let tombstone = tombstone.as_deref().and_then(<[u8]>::first_chunk);
    let gone = tombstone.map(|bytes| ReplicaId(u64::from_le_bytes(*bytes)));
    let (replica, hard) = match &info.hard_state {
        bytes if bytes.is_empty() => (None, HardState::default()),
        bytes => hard_state::decode(bytes).map_err(|error| error.to_string())?,
    };
    // A grave has a hard state that says whose it is, and nothing else.
    if replica <= gone {
        return Ok(OnMedium::Grave);
    }
    Ok(OnMedium::Kept(Kept {
        replica,
        hard,
        base: Index(info.base_index),
        last: Index(info.last_index),
        runs: info.runs.into_iter().map(|(first, term)| (Index(first), Term(term))).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{REGION, kept, replica};
    use super::*;
    use skep_wal::Batch;

    #[test]
    fn only_what_was_synced_is_on_the_medium() {
        let (disk, config, store) = (MemDisk::new(1), WalConfig::small(), StoreId(1));
        let (wal, _) = Wal::open(Arc::new(disk.clone()), config.clone()).unwrap();
        let mut media = Media::default();
        media.begins(store, disk, config);
        assert_eq!(media.look(store, REGION), Ok(OnMedium::Nothing));
        let hard = HardState { term: Term(4), vote: Some(replica(2)) };
        let mut batch = Batch::new();
        batch.hard_state(REGION.stream(), &hard_state::encode(replica(1), hard));
        batch.entries(REGION.stream(), 1, 3, [b"a".as_slice(), b"b"]);
        wal.append(&mut batch).unwrap();
        assert_eq!(media.look(store, REGION), Ok(OnMedium::Nothing));
        wal.sync().unwrap();
        batch.entries(REGION.stream(), 2, 4, [b"B".as_slice()]);
        wal.append(&mut batch).unwrap();
        let expected = Kept { hard, ..kept(1, 4, &[(1, 3)], 2) };
        assert_eq!(media.look(store, REGION), Ok(OnMedium::Kept(expected)));
        media.damaged(store);
        assert_eq!(media.look(store, REGION), Ok(OnMedium::Unknown));
    }

    #[test]
    fn a_log_that_has_holes_without_damage_is_noticed() {
        let (disk, config, store) = (MemDisk::new(1), WalConfig::small(), StoreId(1));
        let (wal, _) = Wal::open(Arc::new(disk.clone()), config.clone()).unwrap();
        let mut batch = Batch::new();
        for index in 1..=3 {
            batch.entries(REGION.stream(), index, 1, [[7; 3000].as_slice()]);
            wal.append(&mut batch).unwrap();
            wal.sync().unwrap();
        }
        let mut media = Media::default();
        media.begins(store, disk.clone(), config);
        for name in disk_names(&disk) {
            disk.flip_bit(&name, 4096 + 1000, 3);
        }
        assert!(media.look(store, REGION).is_err_and(|why| why.contains("has holes")));
    }

    fn disk_names(disk: &MemDisk) -> Vec<String> {
        skep_wal::Disk::list(disk).unwrap()
    }

    #[test]
    fn an_entry_is_there_with_its_term_or_beneath_the_base() {
        let kept = Kept { base: Index(2), ..kept(1, 9, &[(3, 4), (5, 7)], 6) };
        for (index, term, is_there) in
            [(2, 1, true), (3, 4, true), (4, 4, true), (4, 7, false), (6, 7, true), (7, 7, false)]
        {
            assert_eq!(kept.has(Index(index), Term(term)), is_there, "{index} of term {term}");
        }
    }
}
