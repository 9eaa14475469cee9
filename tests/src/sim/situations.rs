//! The situations that runs have to reach: each has a name here, and is marked where somebody who watches from outside can see
//! that it is there (`sightings.rs`, and where the world does it itself).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use super::settings::Plan;

/// Enough seeds to reach everything: a run of so many that does not has become too tame, and fails.
pub const SEEDS_THAT_REACH_ALL: u64 = 500;

/// In which runs a situation can come about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum In {
    /// In all of them.
    Any,
    /// Where replicas move and stores are lost.
    Moves,
}

macro_rules! situations {
    ($($(#[$doc:meta])* $name:ident, $where:ident, $words:literal;)*) => {
        /// A situation by its name.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Situation {
            $($(#[$doc])* $name,)*
        }

        impl Situation {
            /// All of them.
            pub const ALL: &[Situation] = &[$(Situation::$name),*];

            /// What it is, in words.
            pub fn words(self) -> &'static str {
                match self {
                    $(Situation::$name => $words,)*
                }
            }

            fn comes_in(self) -> In {
                match self {
                    $(Situation::$name => In::$where,)*
                }
            }
        }
    };
}

situations! {
    /// Two stores both lead a region, in different terms.
    TwoLeaders, Any, "a deposed leader did not know it yet";
    /// Two stores are candidates of a region in one term.
    TwoCandidates, Any, "two candidates asked for votes in one term";
    /// A replica that asked for pre-votes follows again, in the term in which it asked.
    PreVoteInVain, Any, "a pre-vote came to nothing and moved nobody's term";
    /// A leader ends its reign though nobody told it of a newer term, and though it has a vote.
    GaveUpAlone, Any, "a leader that heard no quorum gave up";
    /// A new leader's log has an entry before its own first one that it does not know to be committed.
    EarlierTermUncommitted, Any, "a leader began with an uncommitted entry of an earlier term";
    /// The last entry of a replica moves down and the first does not move.
    Truncated, Any, "a follower truncated its log";
    /// The power goes while a candidate's own vote is written and not synced: it has asked nobody yet.
    VoteLost, Any, "the power went between the append and the sync of a vote";
    /// Its term is below that of the leader that it reaches.
    LateAcknowledgement, Any, "an acknowledgement of an earlier term arrived";
    /// All that it brings is committed already where it arrives.
    LateAppend, Any, "an append arrived that brought only what was committed";
    /// It was sent to a store that led, and another one answered it.
    ReadAfterChange, Any, "a read was confirmed after a leader change";
    /// The target of a transfer lacks entries when the leader is asked for it, and is told to campaign later.
    TransferToLagging, Any, "a leadership was transferred to a target that lagged";
    /// The leader's log begins behind the end of a follower's.
    LogLetGo, Any, "a follower lacked what its leader's log had let go";
    /// The snapshot was sent in a term that is over when it is restored.
    SnapshotAcrossChange, Any, "a snapshot was installed while the leader changed";
    /// A store that was away is opened after its log failed a sync.
    SyncFailed, Any, "a sync failed and the store restarted";
    /// A client is told that there is no room.
    DiskFull, Any, "a full disk refused writes";
    /// A client is told that its store has too much that is not answered.
    Busy, Any, "a store had no room for more commands";
    /// The log reports that it cut a torn frame.
    TornTail, Any, "a torn tail was repaired";
    /// The power goes again before a store is open.
    PowerWhileOpening, Any, "the power went while a store was opened";
    /// All stores ran, and none does.
    AllDown, Any, "the power went everywhere at once";
    /// A lane hears nothing for so long that it sends everything again.
    LaneStalled, Any, "a lane stalled and was restarted";
    /// A region has proposed as much as may be uncommitted.
    HeldUp, Any, "proposals waited until some of them were committed";
    /// As many bytes as may be are on their way to a store.
    WindowFull, Any, "entries waited until others had arrived";
    /// The same command stands at two places of a log, and got the same answer at both.
    Duplicate, Any, "a duplicate command was answered from the session table";
    /// Frames that have arrived before arrive again, many ticks later.
    Replayed, Any, "frames of long ago arrived once more";
    /// A machine splits off a region while another store is down.
    SplitWhileAway, Any, "a split was applied while a follower was away";
    /// A leader without a vote ends its reign.
    RemovedItself, Moves, "a leader removed itself";
    /// The same, and a store has not said yet what became of a snapshot of that leader's.
    RemovedWhileSending, Moves, "a leader removed itself while a snapshot was in flight";
    /// A later leader has the same joint membership in force.
    JointAcrossChange, Moves, "a joint configuration survived a leader change";
    /// A replica stands without a membership: it waits for its first snapshot.
    BornByMessage, Any, "a replica was born by a message";
    /// A replica that was a learner is a voter.
    LearnerPromoted, Moves, "a learner got its vote";
    /// A message is for a replica that its store has removed.
    LateForRemoved, Moves, "a message arrived for a replica that was gone";
    /// A store's disks are gone, and in the end a new one has all its replicas.
    StoreReplaced, Moves, "a store lost everything and was replaced";
}

/// Which situations came about, each in how many runs.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Reached(BTreeMap<Situation, u64>);

impl Reached {
    /// One run came to this.
    pub(super) fn mark(&mut self, situation: Situation) {
        self.0.insert(situation, 1);
    }

    /// In how many runs it came about.
    pub fn count(&self, situation: Situation) -> u64 {
        self.0.get(&situation).copied().unwrap_or(0)
    }

    /// How many came about.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none did.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What runs of this plan can come to and these did not.
    pub fn missing(&self, plan: &Plan) -> Vec<Situation> {
        let is_expected = |situation: &Situation| plan.moves || situation.comes_in() == In::Any;
        let all = Situation::ALL.iter().copied().filter(is_expected);
        all.filter(|situation| self.count(*situation) == 0).collect()
    }
}

impl AddAssign for Reached {
    fn add_assign(&mut self, more: Reached) {
        more.0.into_iter().for_each(|(situation, runs)| *self.0.entry(situation).or_default() += runs);
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(situation, runs)| writeln!(f, "{runs:>6}  {}", situation.words()))
    }
}
