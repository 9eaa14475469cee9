//! The state of the cluster in words and numbers: what `skep status` shows and `/api/v1/status` answers.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use skep_engine::{MemberCondition, MemberStatus};

use crate::hosted::Hosted;

/// The state of a cluster.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
pub struct Status {
    /// First of all: how many stores may be lost without losing service.
    pub verdict: String,
    /// Stores that the cluster has.
    pub stores: u32,
    /// Of those, how many have failed or cannot be reached.
    pub stores_failed: u32,
    /// Regions (not replicas).
    pub regions: u32,
    /// Regions that have a leader. As many as there are regions, or some keys cannot be served.
    pub leaders: u32,
    /// Stores that may still be lost.
    pub stores_losable: u32,
    /// The cluster's id.
    pub cluster: String,
    /// The version of the server.
    pub version: String,
    /// Each store.
    pub store_list: Vec<StoreState>,
}

/// The state of one store.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
pub struct StoreState {
    /// Its id.
    pub id: String,
    /// Where other stores reach it, if it is not in the process that was asked.
    pub address: Option<String>,
    /// `running`, `failed`, or `away`: elsewhere, and not reached.
    pub state: String,
    /// Why it stopped, or is not reached, if that is so.
    pub failed: Option<String>,
    /// Replicas it hosts.
    pub replicas: u64,
    /// Regions it leads.
    pub leaders: u64,
    /// Commands taken and not answered. This and what follows is known of the stores in the process that was asked.
    pub unanswered: Option<u64>,
    /// Entries appended to its log since the start.
    pub entries_appended: Option<u64>,
    /// Syncs of its log completed since the start.
    pub syncs: Option<u64>,
    /// Segments of its log on disk.
    pub log_segments: Option<u64>,
    /// Bytes that its log takes on disk.
    pub log_bytes: Option<u64>,
    /// What is not as it should be, in sentences, while it runs.
    #[serde(default)]
    pub troubles: Vec<String>,
}

impl StoreState {
    fn of(store: &MemberStatus) -> StoreState {
        let own = store.own.as_ref();
        let (state, failed) = match &store.condition {
            MemberCondition::Running => ("running", None),
            MemberCondition::Failed(why) => ("failed", Some(why.clone())),
            MemberCondition::Away(why) => ("away", Some(why.clone())),
        };
        StoreState {
            id: store.id.to_string(),
            address: store.address.clone(),
            state: state.to_owned(),
            failed,
            replicas: store.replicas as u64,
            leaders: store.leaders as u64,
            unanswered: own.map(|own| own.unanswered as u64),
            entries_appended: own.map(|own| own.entries_appended),
            syncs: own.map(|own| own.syncs),
            log_segments: own.map(|own| own.log_segments),
            log_bytes: own.map(|own| own.log_bytes),
            troubles: own.map(|own| own.troubles.clone()).unwrap_or_default(),
        }
    }
}

impl Status {
    /// The state of the cluster now. Asks the stores, so it may wait for a moment.
    pub fn of(hosted: &Hosted) -> Status {
        let Some(now) = hosted.status() else {
            return Status::waiting(&hosted.waits_for().unwrap_or_default());
        };
        let store_list: Vec<StoreState> = now.stores.iter().map(StoreState::of).collect();
        let mut status = Status {
            verdict: String::new(),
            stores: store_list.len() as u32,
            stores_failed: store_list.iter().filter(|store| store.failed.is_some()).count() as u32,
            regions: now.regions,
            leaders: now.leaders,
            stores_losable: now.losable,
            cluster: now.cluster.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store_list,
        };
        status.verdict = hosted.waits_for().unwrap_or_else(|| status.judge());
        status
    }

    /// No store is open yet.
    fn waiting(why: &str) -> Status {
        Status {
            verdict: format!("not available: {why}"),
            stores: 0,
            stores_failed: 0,
            regions: 0,
            leaders: 0,
            stores_losable: 0,
            cluster: "none".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store_list: Vec::new(),
        }
    }

    /// Whether every key can be served.
    pub fn is_ready(&self) -> bool {
        self.regions > 0 && self.leaders == self.regions
    }

    fn judge(&self) -> String {
        let Status { stores, stores_failed, regions, leaders, stores_losable, .. } = self;
        if !self.is_ready() {
            return format!(
                "not available: {} of {regions} regions have no leader",
                regions.saturating_sub(*leaders)
            );
        }
        let failed = if *stores_failed > 0 { format!(" ({stores_failed} down)") } else { String::new() };
        match stores_losable {
            0 => format!("at risk: none of {stores} stores may be lost without losing service{failed}"),
            _ => format!(
                "healthy: {stores_losable} of {stores} stores may be lost without losing service{failed}"
            ),
        }
    }

    /// The state as text: the verdict, the numbers, a table of the stores.
    pub fn to_text(&self) -> String {
        let mut text = format!("{}\n\n", self.verdict);
        let Status { stores, regions, leaders, cluster, version, .. } = self;
        let _ = writeln!(text, "cluster {cluster}, version {version}");
        let _ = writeln!(text, "{stores} stores, {regions} regions, {leaders} of them with a leader\n");
        let _ = writeln!(
            text,
            "{:<12}{:<9}{:>9}{:>9}{:>12}{:>14}{:>12}{:>12}",
            "store", "state", "replicas", "leaders", "unanswered", "log entries", "log syncs", "log MiB"
        );
        for store in &self.store_list {
            let _ = writeln!(
                text,
                "{:<12}{:<9}{:>9}{:>9}{:>12}{:>14}{:>12}{:>12}",
                store.id,
                store.state,
                store.replicas,
                store.leaders,
                known(store.unanswered),
                known(store.entries_appended),
                known(store.syncs),
                known(store.log_bytes.map(|bytes| format!("{:.1}", bytes as f64 / f64::from(1 << 20)))),
            );
        }
        for store in &self.store_list {
            if let Some(why) = &store.failed {
                let at = store.address.as_ref().map(|address| format!(" at {address}")).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "\nstore {}{at} is {}: {why}",
                    store.id,
                    if store.state == "away" { "away" } else { "stopped" }
                );
            }
            for trouble in &store.troubles {
                let _ = writeln!(text, "\nstore {}: {trouble}", store.id);
            }
        }
        text
    }
}

/// What only the process of a store can tell.
fn known(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(stores_failed: u32, leaders: u32, stores_losable: u32) -> String {
        let (verdict, cluster, version) = (String::new(), String::new(), String::new());
        let store_list = Vec::new();
        Status {
            verdict,
            stores: 3,
            stores_failed,
            regions: 16,
            leaders,
            stores_losable,
            cluster,
            version,
            store_list,
        }
        .judge()
    }

    #[test]
    fn the_verdict_says_what_may_be_lost() {
        assert_eq!(verdict(0, 16, 1), "healthy: 1 of 3 stores may be lost without losing service");
        assert_eq!(
            verdict(1, 16, 0),
            "at risk: none of 3 stores may be lost without losing service (1 down)"
        );
        assert_eq!(verdict(2, 3, 0), "not available: 13 of 16 regions have no leader");
    }
}
