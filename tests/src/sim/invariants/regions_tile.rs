//! The newest of all regions together tile the key space, at every moment: a split takes effect in one entry.

use std::collections::BTreeMap;

use bytes::Bytes;
use skep_engine::RegionDescriptor;
use skep_raftstore::ids::RegionId;

use super::Judged;

/// See the page of this file.
#[derive(Default)]
pub(in crate::sim) struct RegionsTile {
    /// Each region as the machine that is furthest on has it. None until somebody has begun a cluster.
    newest: BTreeMap<RegionId, RegionDescriptor>,
    is_news: bool,
}

impl RegionsTile {
    /// A cluster begins with these.
    pub(super) fn begin(&mut self, regions: &[RegionDescriptor]) {
        self.newest = regions.iter().map(|region| (region.id, region.clone())).collect();
    }

    /// A machine says what its region is, or is made with it.
    pub(super) fn described(&mut self, description: &Bytes) -> Judged {
        let region =
            RegionDescriptor::decode(description).map_err(|error| format!("a description is {error}"))?;
        match self.newest.get(&region.id) {
            Some(known) if known.epoch.version > region.epoch.version => {}
            Some(known) if known.epoch.version == region.epoch.version => {
                if (&known.start, &known.end) != (&region.start, &region.end) {
                    let (id, version) = (region.id, region.epoch.version);
                    return Err(format!(
                        "{id} has two ranges in version {version}: {known:?} and {region:?}"
                    ));
                }
            }
            Some(_) | None => {
                self.newest.insert(region.id, region);
                self.is_news = true;
            }
        }
        Ok(())
    }

    /// A store has done what it does at one time: whatever an entry changed, all of it was told.
    pub(super) fn check(&mut self) -> Judged {
        if !std::mem::take(&mut self.is_news) {
            return Ok(());
        }
        let regions = self.newest.values().collect();
        gap(regions).map_or(Ok(()), |why| Err(format!("the regions do not tile the key space: {why}")))
    }
}

/// Where regions do not tile the key space.
pub(in crate::sim) fn gap(mut regions: Vec<&RegionDescriptor>) -> Option<String> {
    regions.sort_by(|a, b| a.start.cmp(&b.start));
    let mut next = Some(Bytes::new());
    for region in regions {
        if next.as_ref() != Some(&region.start) {
            return Some(format!("{next:?} should come next, {:?} does", region.start));
        }
        next.clone_from(&region.end);
    }
    next.map(|next| format!("nobody has {next:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_engine::by_hand;
    use skep_raftstore::ids::{Epoch, StoreId};

    fn region(id: u64, version: u64, start: &'static str, end: Option<&'static str>) -> RegionDescriptor {
        let all = by_hand::regions(1, &[StoreId(1)]).remove(0);
        let epoch = Epoch { version, ..all.epoch };
        RegionDescriptor { id: RegionId(id), epoch, start: start.into(), end: end.map(Bytes::from), ..all }
    }

    /// What comes of these being told after another, the last of them after a whole entry.
    fn told(regions: &[RegionDescriptor]) -> Judged {
        let mut rule = RegionsTile::default();
        rule.begin(&[region(1, 1, "", Some("m")), region(2, 1, "m", None)]);
        regions.iter().try_for_each(|region| rule.described(&region.encode().into()))?;
        rule.check()
    }

    #[test]
    fn a_split_is_whole() {
        assert_eq!(told(&[region(3, 2, "f", Some("m")), region(1, 2, "", Some("f"))]), Ok(()));
        let again = [region(3, 2, "f", Some("m")), region(1, 2, "", Some("f")), region(1, 1, "", Some("m"))];
        assert_eq!(told(&again), Ok(()), "somebody who is behind");
    }

    #[test]
    fn a_gap_an_overlap_and_two_ranges_are_noticed() {
        let why = told(&[region(3, 2, "g", Some("m")), region(1, 2, "", Some("f"))]).unwrap_err();
        assert!(why.contains("should come next"), "{why}");
        assert!(told(&[region(3, 2, "f", Some("m"))]).is_err(), "its parent still has it");
        assert!(told(&[region(2, 2, "m", Some("z"))]).is_err_and(|why| why.contains("nobody has")));
        assert!(told(&[region(1, 1, "", Some("k"))]).is_err_and(|why| why.contains("two ranges")));
    }
}
