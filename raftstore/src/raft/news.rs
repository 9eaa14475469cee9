//! When followers hear that something is committed: at once, or with the next entry if one comes soon.
//!
//! Every append brings the commit index. Where one entry follows the other, a message of its own for each commit would be half
//! of all that followers are sent and wake up for. So a leader may wait a little ([`Config::commit_news_ticks`]) for the
//! next entry to bring the news; and what is more than a command, whose followers have something to do, waits for nothing.
//!
//! [`Config::commit_news_ticks`]: super::Config::commit_news_ticks

use super::types::{Index, Tick};

const NEVER: Tick = Tick(u64::MAX);

/// What a leader still has to tell its followers, and when.
#[derive(Debug)]
pub(super) struct News {
    /// The newest entry that is more than a command.
    urgent: Index,
    /// When everything that is committed then becomes due.
    at: Tick,
    /// What became due the last time. It stays so for those who could not be told: who is being probed is told when it has answered.
    due: Index,
}

impl News {
    /// `noop` is the first entry of a reign.
    pub(super) const fn new(noop: Index) -> News {
        News { urgent: noop, at: NEVER, due: Index(0) }
    }

    /// The entry at `index` is more than a command.
    pub(super) const fn add_urgent(&mut self, index: Index) {
        self.urgent = index;
    }

    /// When there is something to tell, whatever comes until then.
    pub(super) const fn at(&self) -> Tick {
        self.at
    }

    /// Through which entry followers are to be told now, by a message of its own if nothing else is sent, that everything is
    /// committed; it is, through `commit`. Who was told that much hears nothing.
    pub(super) fn due(&mut self, commit: Index, patience: u64, now: Tick) -> Index {
        if patience == 0 {
            return commit;
        }
        if now >= self.at {
            // Also what was committed since then: nothing waits for longer than the time.
            (self.due, self.at) = (commit, NEVER);
        } else if self.at == NEVER && commit > self.due {
            self.at = now.after(patience);
        }
        if self.urgent <= commit { self.urgent.max(self.due) } else { self.due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything is told in time, and nothing that is told in time sets a timer again.
    #[test]
    fn what_is_committed_is_due_within_the_time_and_then_silence() {
        let mut news = News::new(Index(1));
        assert_eq!(news.due(Index(1), 3, Tick(10)), Index(1), "the first entry of a reign waits for nothing");
        let due: Vec<u64> = (11..20).map(|now| news.due(Index(now.min(14)), 3, Tick(now)).0).collect();
        // 1 set the time, and 13 is told with it; 14 sets it again. (What was due stays due: it was told.)
        assert_eq!(due, [1, 1, 13, 13, 13, 13, 14, 14, 14]);
        assert_eq!(news.at(), NEVER);
    }

    #[test]
    fn what_is_urgent_is_due_when_it_is_committed() {
        let mut news = News::new(Index(1));
        news.add_urgent(Index(5));
        assert_eq!(news.due(Index(4), 3, Tick(10)), Index(0));
        assert_eq!(
            news.due(Index(6), 3, Tick(11)),
            Index(5),
            "6 is told as well: whoever is told is told everything"
        );
    }

    #[test]
    fn without_patience_everything_is_due() {
        let mut news = News::new(Index(1));
        assert_eq!((news.due(Index(9), 0, Tick(1)), news.at()), (Index(9), NEVER));
    }
}
