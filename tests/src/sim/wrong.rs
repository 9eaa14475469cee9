//! Wrong builds of the stores that are simulated, by name: what the simulator has to notice.

use skep_raftstore::{raft, store};

/// One error, in one of the parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// In the protocol.
    Raft(raft::Mutant),
    /// In the driver.
    Store(store::Mutant),
    /// In the log.
    Wal(skep_wal::Mutant),
}

impl Wrong {
    /// All of them, part by part.
    pub fn all() -> Vec<Wrong> {
        let raft = raft::Mutant::ALL.iter().map(|mutant| Wrong::Raft(*mutant));
        let store = store::Mutant::ALL.iter().map(|mutant| Wrong::Store(*mutant));
        let wal = skep_wal::Mutant::ALL.iter().map(|mutant| Wrong::Wal(*mutant));
        raft.chain(store).chain(wal).collect()
    }

    /// The name of its switch: `raft::KeepsVote`.
    pub fn name(self) -> String {
        match self {
            Wrong::Raft(mutant) => format!("raft::{mutant:?}"),
            Wrong::Store(mutant) => format!("store::{mutant:?}"),
            Wrong::Wal(mutant) => format!("wal::{mutant:?}"),
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Wrong> {
        Wrong::all().into_iter().find(|wrong| wrong.name() == name)
    }

    pub(super) fn raft(self) -> Option<raft::Mutant> {
        match self {
            Wrong::Raft(mutant) => Some(mutant),
            Wrong::Store(_) | Wrong::Wal(_) => None,
        }
    }

    pub(super) fn store(self) -> Option<store::Mutant> {
        match self {
            Wrong::Store(mutant) => Some(mutant),
            Wrong::Raft(_) | Wrong::Wal(_) => None,
        }
    }

    pub(super) fn wal(self) -> Option<skep_wal::Mutant> {
        match self {
            Wrong::Wal(mutant) => Some(mutant),
            Wrong::Raft(_) | Wrong::Store(_) => None,
        }
    }
}
