//! The memberships that a log brings: each is in force from the moment its entry is appended, until the next one is, or
//! until the entry is overwritten.
//!
//! Invariant: `later` grows in index, and all of it lies above where `base` was in force.

use super::membership::Membership;
use super::types::{Index, LogPos};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Memberships {
    base: Membership,
    later: Option<Box<Later>>,
}

/// What the log brings; not there where it brings nothing and that is known.
#[derive(Default, Debug)]
struct Later {
    brought: Vec<Brought>,
    is_news: bool,
}

/// A membership, and the entry that brings it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Brought {
    /// Where the entry stands.
    pub at: LogPos,
    /// Who takes part from there on.
    pub membership: Membership,
}

impl Memberships {
    pub(super) fn new(base: Membership, brought: Vec<Brought>) -> Memberships {
        let later = Some(brought).filter(|brought| !brought.is_empty());
        Memberships { base, later: later.map(|brought| Box::new(Later { brought, is_news: false })) }
    }

    /// The one in force.
    pub(super) fn current(&self) -> &Membership {
        self.brought().last().map_or(&self.base, |brought| &brought.membership)
    }

    /// Where the one in force came into force; zero if it was there from the start.
    pub(super) fn since(&self) -> Index {
        self.brought().last().map_or(Index(0), |brought| brought.at.index)
    }

    /// The one that was in force at `index`, which nothing has been compacted beyond.
    pub(super) fn at(&self, index: Index) -> &Membership {
        match self.brought().partition_point(|brought| brought.at.index <= index) {
            0 => &self.base,
            after => &self.brought()[after - 1].membership,
        }
    }

    /// The one that was in force at `index`, and all after it.
    pub(super) fn from(&self, index: Index) -> impl Iterator<Item = &Membership> {
        let later = self.brought().iter().filter(move |brought| brought.at.index > index);
        std::iter::once(self.at(index)).chain(later.map(|brought| &brought.membership))
    }

    pub(super) fn append(&mut self, at: LogPos, membership: Membership) {
        debug_assert!(self.since() < at.index, "memberships come in the order of the log");
        let later = self.later.get_or_insert_default();
        later.brought.push(Brought { at, membership });
        later.is_news = true;
    }

    /// The log now ends before `from`. True if that changes who takes part.
    pub(super) fn truncate(&mut self, from: Index) -> bool {
        let Some(later) = &mut self.later else { return false };
        let kept = later.brought.partition_point(|brought| brought.at.index < from);
        let changes = kept < later.brought.len();
        later.brought.truncate(kept);
        later.is_news |= changes;
        changes
    }

    /// What lies at or below `through` will not be asked for again, except the last of it.
    pub(super) fn compact(&mut self, through: Index) {
        let Some(later) = &mut self.later else { return };
        let below = later.brought.partition_point(|brought| brought.at.index <= through);
        if let Some(last) = later.brought.drain(..below).next_back() {
            self.base = last.membership;
        }
        self.forget_if_empty();
    }

    /// A snapshot says who took part at `index`.
    pub(super) fn install(&mut self, index: Index, membership: Membership) {
        self.compact(index);
        self.base = membership;
    }

    /// What the log brings, if that has changed since the last time.
    pub(super) fn take_news(&mut self) -> Option<Vec<Brought>> {
        let later = self.later.as_mut().filter(|later| later.is_news)?;
        later.is_news = false;
        let news = later.brought.clone();
        self.forget_if_empty();
        Some(news)
    }

    fn brought(&self) -> &[Brought] {
        self.later.as_ref().map_or(&[], |later| &later.brought)
    }

    fn forget_if_empty(&mut self) {
        self.later.take_if(|later| later.brought.is_empty() && !later.is_news);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{ReplicaId, Term};

    fn of(voter: u64) -> Membership {
        Membership::of_voters(vec![ReplicaId(voter)])
    }

    fn at(index: u64) -> LogPos {
        LogPos { index: Index(index), term: Term(1) }
    }

    fn three() -> Memberships {
        let mut memberships = Memberships::new(of(1), Vec::new());
        memberships.append(at(5), of(2));
        memberships.append(at(8), of(3));
        memberships
    }

    #[test]
    fn each_is_in_force_from_its_entry_on() {
        let memberships = three();
        let in_force = |index| memberships.at(Index(index)).clone();
        assert_eq!([in_force(4), in_force(5), in_force(7), in_force(8)], [of(1), of(2), of(2), of(3)]);
        assert_eq!(memberships.from(Index(7)).cloned().collect::<Vec<_>>(), [of(2), of(3)]);
        assert_eq!((memberships.current(), memberships.since()), (&of(3), Index(8)));
    }

    #[test]
    fn what_is_truncated_is_no_longer_in_force() {
        let mut memberships = three();
        assert!(memberships.take_news().is_some_and(|news| news.len() == 2));
        assert!(!memberships.truncate(Index(9)) && memberships.take_news().is_none());
        assert!(memberships.truncate(Index(8)) && memberships.take_news().is_some());
        assert_eq!(memberships.current(), &of(2));
        assert!(memberships.truncate(Index(1)));
        assert_eq!((memberships.current(), memberships.since()), (&of(1), Index(0)));
    }

    #[test]
    fn what_is_compacted_keeps_its_last() {
        let mut memberships = three();
        memberships.compact(Index(7));
        assert_eq!((memberships.at(Index(7)), memberships.current()), (&of(2), &of(3)));
        memberships.install(Index(9), of(4));
        assert_eq!((memberships.current(), memberships.since()), (&of(4), Index(0)));
    }
}
