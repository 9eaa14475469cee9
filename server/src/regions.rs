//! The regions of a cluster in words and numbers: what `skep region` shows and `/api/v1/regions` answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use skep_engine::{Engine, RegionInfo};

use crate::key_text;

/// Characters of a key that the table shows.
const KEY_CHARS_MAX: usize = 32;

/// One region. Keys are text as `key_text` describes it.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
pub struct RegionState {
    /// Its id.
    pub id: String,
    /// Its first key.
    pub start: String,
    /// The first key beyond it; nothing for the last region.
    pub end: Option<String>,
    /// Moves with its range.
    pub version: u64,
    /// Moves with its replicas.
    pub membership: u64,
    /// The store that leads it, as far as is known here.
    pub leader: Option<String>,
    /// Its term.
    pub term: u64,
    /// Bytes of its keys and values, approximately.
    pub size_bytes: u64,
    /// The stores that vote in it.
    pub voters: Vec<String>,
    /// Its replicas on the stores of the process that was asked.
    pub replicas: Vec<ReplicaState>,
}

/// One replica.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
pub struct ReplicaState {
    /// The store that has it.
    pub store: String,
    /// `leader`, `follower`, and what else there is in an election.
    pub role: String,
    /// The first entry that is still in its log.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Through where it is committed.
    pub commit: u64,
    /// Through where it is applied.
    pub applied: u64,
    /// Why it stopped, if it did.
    pub stopped: Option<String>,
}

impl RegionState {
    fn of(infos: &[RegionInfo]) -> Option<RegionState> {
        // The newest range, and of those that have it the one that is furthest.
        let newest = infos.iter().max_by_key(|info| (info.descriptor.epoch.version, info.replica.applied))?;
        let leading = infos.iter().filter(|info| info.leader.is_some()).max_by_key(|info| info.replica.term);
        let region = &newest.descriptor;
        Some(RegionState {
            id: region.id.to_string(),
            start: key_text::escape(&region.start),
            end: region.end.as_deref().map(key_text::escape),
            version: region.epoch.version,
            membership: region.epoch.membership,
            leader: leading.and_then(|info| info.leader).map(|store| store.to_string()),
            term: infos.iter().map(|info| info.replica.term.0).max().unwrap_or(0),
            size_bytes: newest.size,
            voters: region.membership.voters.iter().map(|voter| voter.store().to_string()).collect(),
            replicas: infos.iter().map(ReplicaState::of).collect(),
        })
    }

    /// Whether `key` lies in it.
    fn contains(&self, key: &[u8]) -> bool {
        let bound = |text: &str| key_text::unescape(text).unwrap_or_default();
        *bound(&self.start) <= *key && self.end.as_deref().is_none_or(|end| *key < *bound(end))
    }

    /// The region and its replicas as text.
    pub fn to_text(&self) -> String {
        let RegionState { id, start, end, version, membership, leader, term, size_bytes, voters, .. } = self;
        let end = end.as_deref().unwrap_or("(the end)");
        let leader = leader.as_deref().unwrap_or("nobody, as far as is known here");
        let mut text = format!(
            "region {id}, version {version}, membership {membership}\nfrom    {start}\nto      {end}\nleader  {leader}, term \
             {term}\nsize    {:.1} MiB\nvoters  {}\n\n",
            *size_bytes as f64 / f64::from(1 << 20),
            voters.join(" "),
        );
        let _ = writeln!(
            text,
            "{:<12}{:<14}{:>12}{:>12}{:>12}{:>12}",
            "store", "role", "first", "last", "commit", "applied"
        );
        for ReplicaState { store, role, first, last, commit, applied, stopped } in &self.replicas {
            let _ = writeln!(text, "{store:<12}{role:<14}{first:>12}{last:>12}{commit:>12}{applied:>12}");
            if let Some(why) = stopped {
                let _ = writeln!(text, "  stopped: {why}");
            }
        }
        text
    }
}

impl ReplicaState {
    fn of(info: &RegionInfo) -> ReplicaState {
        let replica = &info.replica;
        ReplicaState {
            store: replica.replica.store().to_string(),
            role: format!("{:?}", replica.role).to_lowercase(),
            first: replica.first.0,
            last: replica.last.0,
            commit: replica.commit.0,
            applied: replica.applied.0,
            stopped: replica.stopped.clone(),
        }
    }
}

/// All regions, in the order of their keys. Asks the stores, so it may wait for a moment.
pub fn all(engines: &[Engine]) -> Vec<RegionState> {
    let mut by_region: BTreeMap<_, Vec<RegionInfo>> = BTreeMap::new();
    for engine in engines.iter().filter(|engine| engine.failed().is_none()) {
        for info in engine.region_infos() {
            by_region.entry(info.descriptor.id).or_default().push(info);
        }
    }
    let mut regions: Vec<_> = by_region.into_values().collect();
    regions.sort_by(|one, other| one[0].descriptor.start.cmp(&other[0].descriptor.start));
    regions.iter().filter_map(|infos| RegionState::of(infos)).collect()
}

/// The region of this name, or else the one that has this key.
pub fn find<'a>(regions: &'a [RegionState], name_or_key: &str) -> Option<&'a RegionState> {
    let by_name = regions.iter().find(|region| region.id == name_or_key);
    by_name.or_else(|| {
        let key = key_text::unescape(name_or_key).ok()?;
        regions.iter().find(|region| region.contains(&key))
    })
}

/// All regions as a table.
pub fn to_table(regions: &[RegionState]) -> String {
    let mut rows = vec![["region", "from", "to", "leader", "MiB", "voters"].map(str::to_owned)];
    rows.extend(regions.iter().map(|region| {
        [
            region.id.clone(),
            cut(&region.start),
            region.end.as_deref().map_or_else(|| "(the end)".to_owned(), cut),
            region.leader.clone().unwrap_or_else(|| "?".into()),
            format!("{:.1}", region.size_bytes as f64 / f64::from(1 << 20)),
            region.voters.join(" "),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4].map(width);
    let mut text = String::new();
    for [id, start, end, leader, size, voters] in &rows {
        let [a, b, c, d, e] = widths;
        let _ = writeln!(text, "{id:<a$}  {start:<b$}  {end:<c$}  {leader:<d$}  {size:>e$}  {voters}");
    }
    text
}

fn cut(key: &str) -> String {
    if key.len() <= KEY_CHARS_MAX { key.to_owned() } else { format!("{}...", &key[..KEY_CHARS_MAX - 3]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: &str, start: &str, end: Option<&str>) -> RegionState {
        RegionState {
            id: id.into(),
            start: start.into(),
            end: end.map(str::to_owned),
            version: 1,
            membership: 1,
            leader: Some("s00000001".into()),
            term: 3,
            size_bytes: 3 << 19,
            voters: vec!["s00000001".into()],
            replicas: Vec::new(),
        }
    }

    #[test]
    fn a_region_is_found_by_its_name_or_by_a_key() {
        let regions = [region("r1", "", Some(r"m\x00")), region("r2", r"m\x00", None)];
        let found = |what: &str| find(&regions, what).map(|region| region.id.as_str());
        assert_eq!(found("r2"), Some("r2"));
        assert_eq!(found("m"), Some("r1"));
        assert_eq!(found(r"m\x00"), Some("r2"));
        assert_eq!(found("r3"), Some("r2"), "what is no name is a key");
        assert_eq!(found(r"\y"), None);
    }

    #[test]
    fn the_table_is_aligned_and_long_keys_are_cut() {
        let long = "k".repeat(100);
        let table = to_table(&[region("r1", "", Some(&long)), region("r2", &long, None)]);
        let lines: Vec<&str> = table.lines().collect();
        let column = lines[0].find("leader").expect("a column");
        assert!(lines[1..].iter().all(|line| line[column..].starts_with("s00000001")), "{table}");
        assert!(table.contains(&format!("{}...", "k".repeat(29))) && !table.contains(&long));
    }
}
