//! Carrying: what is live in a mostly dead checkpoint file moves into the next one that is written.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use super::checkpoints::{CheckpointInfo, Checkpoints, name_of};
use super::error::SnapshotError;
use super::file::{FileWriter, SectionPlace};
use crate::ids::RegionId;
use crate::message::SnapshotMeta;

/// Live bytes that are carried into one written file at most.
const CARRY_BYTES_MAX: u64 = 256 << 20;
/// With more files than this the small ones are carried together.
const FILES_MAX: usize = 64;
/// A small one: carrying it costs little.
const SMALL_FILE_BYTES: u64 = 4 << 20;

impl Checkpoints {
    /// Copies live sections of files that deserve it behind what has been written.
    pub(super) fn carry(
        &mut self,
        writer: &mut FileWriter,
        sections: &mut Vec<(RegionId, SnapshotMeta, SectionPlace)>,
    ) -> Result<(), SnapshotError> {
        let fresh: BTreeSet<RegionId> = sections.iter().map(|(region, ..)| *region).collect();
        let start = writer.position();
        for number in self.worth_carrying(&fresh) {
            let live: Vec<(RegionId, CheckpointInfo)> = self
                .newest
                .iter()
                .filter(|(_, info)| info.file == number)
                .map(|(r, i)| (*r, i.clone()))
                .collect();
            for (region, info) in live.into_iter().filter(|(region, _)| !fresh.contains(region)) {
                if writer.position() - start >= CARRY_BYTES_MAX {
                    return Ok(());
                }
                if let Some(place) = self.carry_section(writer, region, &info)? {
                    let CheckpointInfo { at, membership, genesis, .. } = info;
                    sections.push((region, SnapshotMeta { at, membership, genesis }, place));
                }
            }
        }
        Ok(())
    }

    /// Copies a section; `None` if it turns out to be damaged, and then its file stays as it is.
    fn carry_section(
        &mut self,
        writer: &mut FileWriter,
        region: RegionId,
        info: &CheckpointInfo,
    ) -> Result<Option<SectionPlace>, SnapshotError> {
        let Some(mut reader) = self.load(region)? else { return Ok(None) };
        let (at, membership, genesis) = (info.at, info.membership.clone(), info.genesis.clone());
        writer.begin(region, &SnapshotMeta { at, membership, genesis })?;
        loop {
            match reader.next_chunk() {
                Ok(true) => writer
                    .write_all(reader.chunk())
                    .map_err(SnapshotError::io("carrying", &name_of(info.file)))?,
                Ok(false) => return writer.end().map(|written| Some(written.place)),
                Err(error) => {
                    writer.abandon();
                    let file = self.files.entry(info.file).or_default();
                    file.doubtful.push((region, info.at));
                    return self.take_damage(error).map(|()| None);
                }
            }
        }
    }

    /// Files that take more space than they are worth, the emptiest first, when the regions in `replaced` have newer
    /// states elsewhere. One with damage is left alone.
    pub(super) fn worth_carrying(&self, replaced: &BTreeSet<RegionId>) -> Vec<u64> {
        let live = self.live_bytes(replaced);
        let is_small = |bytes: u64| bytes < SMALL_FILE_BYTES;
        let smalls = live.values().filter(|bytes| is_small(**bytes)).count();
        let is_crowded = self.files.len() > FILES_MAX && smalls > 1;
        let mut worth: Vec<(u64, u64)> = Vec::new();
        for (&number, file) in &self.files {
            let Some(&live) = live.get(&number) else { continue };
            let is_wasteful = live * 2 < file.section_bytes || (is_crowded && is_small(live));
            if is_wasteful && !file.is_unreadable && file.doubtful.is_empty() {
                worth.push((live, number));
            }
        }
        worth.sort_unstable();
        worth.into_iter().map(|(_, number)| number).collect()
    }

    /// Bytes of each file's sections that are their region's newest.
    pub(super) fn live_bytes(&self, replaced: &BTreeSet<RegionId>) -> BTreeMap<u64, u64> {
        let mut live = BTreeMap::new();
        for (_, info) in self.newest.iter().filter(|(region, _)| !replaced.contains(region)) {
            *live.entry(info.file).or_default() += info.place.length;
        }
        live
    }
}
