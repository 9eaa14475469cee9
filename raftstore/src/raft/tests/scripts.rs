//! Stories: each file of `testscripts/` is a list of commands, a line of dashes, and what must come out.
//!
//! Run with `REWRITE=1` to write down what comes out now; then read it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::group::{Found, Group, Packet, Seen};
use crate::raft::{
    Body, Entry, EntryKind, Event, HardState, Index, LogPos, Membership, Message, Payload, ReplicaId,
    Replicate, Term,
};

const DIVIDER: &str = "\n----\n";

/// One story being told.
struct Story {
    group: Group,
    out: String,
    kept: Vec<Packet>,
}

/// The stories that there are, in order.
pub(super) fn stories() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/raft/testscripts");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 80, "stories are missing in {}", folder.display());
    files
}

/// What comes out of a story, and what has to.
pub(super) fn told(story: &Path) -> (String, String) {
    let text = std::fs::read_to_string(story).unwrap();
    let (script, expected) = text.split_once(DIVIDER).unwrap_or((text.trim_end(), ""));
    let told = Story::tell(script);
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(story, format!("{script}{DIVIDER}{told}")).unwrap();
        return (told.clone(), told);
    }
    (told, expected.to_owned())
}

#[test]
fn stories_end_as_written() {
    for path in stories() {
        let (told, expected) = std::panic::catch_unwind(|| told(&path))
            .unwrap_or_else(|_| panic!("the story {} cannot be told", path.display()));
        assert!(told == expected, "{}:\n{told}", path.display());
    }
}

impl Story {
    fn tell(script: &str) -> String {
        let mut story = Story { group: Group::new(Vec::new()), out: String::new(), kept: Vec::new() };
        for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            writeln!(story.out, "> {line}").unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            story.command(words[0], &words[1..]);
        }
        story.out
    }

    fn command(&mut self, verb: &str, args: &[&str]) {
        match verb {
            "logs" => self.group = Group::new(args.iter().map(|log| found(log)).collect()),
            "entries-per-message" => self.group.entries_per_message_max = args[0].parse().unwrap(),
            "withhold" => drop(self.group.withheld.insert(ReplicaId(id(args[0])))),
            "window-bytes" => {
                self.group.inflight_bytes_max = args[0].parse().unwrap();
                self.restart_all();
            }
            "uncommitted-bytes" => {
                self.group.uncommitted_bytes_max = args[0].parse().unwrap();
                self.restart_all();
            }
            "news-ticks" => {
                self.group.commit_news_ticks = args[0].parse().unwrap();
                self.restart_all();
            }
            "leases" => self.leases(args[0].parse().unwrap()),
            "campaign" => self.event(id(args[0]), Event::Campaign),
            "transfer" => self.event(id(args[0]), Event::TransferLeadership(ReplicaId(id(args[1])))),
            "unreachable" => self.event(id(args[0]), Event::Unreachable(ReplicaId(id(args[1])))),
            "snapshot-failed" => {
                self.event(id(args[0]), Event::SnapshotDone { to: ReplicaId(id(args[1])), at: None });
            }
            "tick" => self.tick(args[0].parse().unwrap(), &args[1..]),
            "persist" => self.persist(id(args[0]), args.get(1).map_or(usize::MAX, |n| n.parse().unwrap())),
            "deliver" => self.take(args[0]).into_iter().for_each(|packet| self.deliver(packet)),
            "drop" => drop(self.take(args[0])),
            "keep" => self.kept = self.take(args[0]),
            "replay" => self.kept.clone().into_iter().for_each(|packet| self.deliver(packet)),
            "settle" => self.settle(args),
            "lead" => {
                self.group.step(id(args[0]), Event::Campaign);
                self.settle(&args[1..]);
            }
            "propose" => {
                let commands: Vec<String> = args[1..].iter().map(|text| (*text).into()).collect();
                let (seen, result) = self.group.propose(id(args[0]), &commands);
                self.refused(result.err());
                self.show(id(args[0]), &seen);
            }
            "read" => {
                let (seen, result) = self.group.read(id(args[0]), args[1].parse().unwrap());
                self.refused(result.err());
                self.show(id(args[0]), &seen);
            }
            "sent" => self.sent(id(args[0]), id(args[1]), args[2].parse().unwrap()),
            "compact" => self.group.compact(id(args[0])),
            "voters" => self.bootstrap(args),
            "add" => drop(self.group.add_blank()),
            "destroy" => self.group.destroy(id(args[0])),
            "change" => {
                let (seen, result) = self.group.change(id(args[0]), self.target(id(args[0]), &args[1..]));
                if let Err(refusal) = result {
                    writeln!(self.out, "refused: {refusal:?}").unwrap();
                }
                self.show(id(args[0]), &seen);
            }
            "crash" => self.group.crash(id(args[0])),
            "restart" => self.group.restart(id(args[0])),
            "forge" => self.forge(args),
            "status" => self.status(),
            "refusals" => writeln!(self.out, "{:?}", self.group.raft(id(args[0])).refusals()).unwrap(),
            _ => panic!("no such command: {verb}"),
        }
    }

    /// All start anew, and then long enough passes for them to vote.
    fn leases(&mut self, ticks: u64) {
        self.group.lease_ticks = ticks;
        self.restart_all();
        self.group.now = self.group.now.after(10);
    }

    /// With the knobs as they are now.
    fn restart_all(&mut self) {
        (1..=self.group.nodes.len() as u64).for_each(|id| self.group.restart(id));
    }

    /// Only these take part from the start: `voters 1 2 learners 3`.
    fn bootstrap(&mut self, args: &[&str]) {
        self.group.bootstrap = members(args);
        (1..=self.group.nodes.len() as u64).for_each(|id| self.group.be_born(id));
    }

    /// What `voters 2 3 learners 4` means to a replica: the number is the one after the present one.
    fn target(&self, at: u64, args: &[&str]) -> Membership {
        let number = self.group.raft(at).membership().number + 1;
        Membership { number, ..members(args) }
    }

    fn event(&mut self, at: u64, event: Event) {
        let seen = self.group.step(at, event);
        self.show(at, &seen);
    }

    /// Time passes; those whose deadline is past (or only the named of them) are told.
    fn tick(&mut self, ticks: u64, who: &[&str]) {
        self.group.now = self.group.now.after(ticks);
        for at in 1..=self.group.nodes.len() as u64 {
            let chosen = who.is_empty() || who.iter().any(|name| id(name) == at);
            if chosen && self.group.is_up(at) && self.group.raft(at).deadline() <= self.group.now {
                self.event(at, Event::Timeout);
            }
        }
    }

    fn persist(&mut self, at: u64, mut count: usize) {
        while count > 0
            && let Some(seen) = self.group.persist(at)
        {
            self.show(at, &seen);
            count -= 1;
        }
    }

    fn deliver(&mut self, packet: Packet) {
        let (_, to) = packet.route();
        writeln!(self.out, "{}", shown(&packet)).unwrap();
        if self.group.is_up(to) {
            let seen = self.group.deliver(packet);
            self.show(to, &seen);
        }
    }

    /// Takes what is on its way along `route`, written `1>2`; a star stands for anybody.
    fn take(&mut self, route: &str) -> Vec<Packet> {
        let (from, to) = route.split_once('>').unwrap();
        let fits = |name: &str, at: u64| name == "*" || id(name) == at;
        let (taken, left) = std::mem::take(&mut self.group.network)
            .into_iter()
            .partition(|packet| fits(from, packet.route().0) && fits(to, packet.route().1));
        self.group.network = left;
        taken
    }

    /// Everything becomes durable and arrives, until nobody has anything to say. If some replicas are named, what the
    /// others say or are told is lost.
    fn settle(&mut self, among: &[&str]) {
        let in_it = |at: u64| among.is_empty() || among.iter().any(|name| id(name) == at);
        for _ in 0..10_000 {
            for at in (1..=self.group.nodes.len() as u64).filter(|&at| in_it(at)) {
                while self.group.is_up(at) && self.group.persist(at).is_some() {}
            }
            if self.group.network.is_empty() {
                return;
            }
            let packet = self.group.network.remove(0);
            let (from, to) = packet.route();
            if in_it(from) && in_it(to) && self.group.is_up(to) {
                self.group.deliver(packet);
            }
        }
        panic!("the group talks without end");
    }

    /// The shell of `at` had room for less: what leaves is cut, what comes after it stays, and another turn says the rest.
    fn sent(&mut self, at: u64, to: u64, through: u64) {
        let mut named = Vec::new();
        self.group.network.retain_mut(|packet| match packet {
            Packet::Raft(Message {
                from,
                to: addressee,
                term,
                body: Body::Append { prev, entries, commit },
            }) if (from.0, addressee.0) == (at, to) => {
                let last = entries.last().map_or(prev.index, |entry| entry.index);
                let (to, term, prev, commit) = (*addressee, *term, *prev, *commit);
                named.push(Replicate { to, term, prev, last, commit, stripped: false });
                entries.retain(|entry| entry.index.0 <= through);
                prev.index.0 < through
            }
            _ => true,
        });
        let raft = self.group.nodes[at as usize - 1].raft.as_mut().unwrap();
        if let Some(cut) = named.iter().find(|named| named.last.0 > through) {
            raft.sent(cut, Index(through).max(cut.prev.index), 1);
        }
        self.event(at, Event::Timeout);
    }

    fn forge(&mut self, args: &[&str]) {
        let (from, to) = args[0].split_once('>').unwrap();
        let number = |at: usize| args[at].parse::<u64>().unwrap();
        let at = |at: usize| LogPos { index: Index(number(at)), term: Term(number(at + 1)) };
        let body = match args[2] {
            "pre-vote" => Body::PreVote { last: at(3) },
            "vote" => Body::Vote { last: at(3), transfer: false },
            "vote-reply" => Body::VoteReply { granted: true },
            "accepted" => Body::AppendAccepted { matched: Index(number(3)) },
            "rejected" => Body::AppendRejected { prev: Index(number(3)), hint: at(4) },
            "heartbeat" => Body::Heartbeat { commit: Index(number(3)), round: number(4) },
            "position" => {
                let membership = Box::new(self.group.bootstrap.clone());
                Body::Position { at: at(3), membership }
            }
            "heartbeat-reply" => Body::HeartbeatReply { round: number(3) },
            "append" => {
                let terms = args[6..].iter().map(|term| term.parse().unwrap()).enumerate();
                let entry = |(n, term): (usize, u64)| Entry {
                    index: Index(number(3) + 1 + n as u64),
                    term: Term(term),
                    payload: super::group::command("forged"),
                };
                Body::Append { prev: at(3), commit: Index(number(5)), entries: terms.map(entry).collect() }
            }
            "nobody-votes" => {
                let payload = Payload::of_membership(&Membership::default());
                let entry = Entry { index: Index(number(3) + 1), term: Term(number(1)), payload };
                Body::Append { prev: at(3), commit: Index(0), entries: [entry].into() }
            }
            kind => panic!("no such message: {kind}"),
        };
        let message =
            Message { from: ReplicaId(id(from)), to: ReplicaId(id(to)), term: Term(number(1)), body };
        self.event(id(to), Event::Message(message));
    }

    fn refused(&mut self, refusal: Option<crate::raft::ProposeRefusal>) {
        if let Some(refusal) = refusal {
            writeln!(self.out, "refused: {refusal:?}").unwrap();
        }
    }

    fn show(&mut self, at: u64, seen: &Seen) {
        let fx = &seen.fx;
        let out = &mut self.out;
        if let Some(seq) = fx.write {
            write!(out, "  {at} write {}:", seq.0).unwrap();
            if let Some(hard) = fx.hard_state {
                write!(out, " term {} vote {}", hard.term, hard.vote.map_or(0, |vote| vote.0)).unwrap();
            }
            if let Some(base) = fx.restart {
                write!(out, " restart {base:?}").unwrap();
            }
            writeln!(out, "{}", listed(&fx.append)).unwrap();
            if fx.brought.is_some() {
                let members = shown_members(self.group.raft(at).membership());
                writeln!(out, "  {at} goes by {members}").unwrap();
            }
        }
        for packet in &seen.packets {
            writeln!(out, "  {}", shown(packet)).unwrap();
        }
        if let Some(through) = fx.apply {
            writeln!(out, "  {at} applies through {through}").unwrap();
        }
        for read in &fx.reads {
            writeln!(out, "  {at} answers read {} at {}", read.id.0, read.index).unwrap();
        }
        if let Some(standing) = fx.standing {
            let leader = standing.leader.map_or(0, |leader| leader.0);
            writeln!(out, "  {at} is {:?} in term {}, leader {leader}", standing.role, standing.term)
                .unwrap();
        }
    }

    fn status(&mut self) {
        for at in 1..=self.group.nodes.len() as u64 {
            let node = self.group.node(at);
            let Some(raft) = &node.raft else {
                writeln!(self.out, "  {at} is {}", if node.is_gone { "gone" } else { "down" }).unwrap();
                continue;
            };
            let log = &node.disk.written;
            let base = if log.base.index.0 > 0 { format!(" {:?}..", log.base) } else { String::new() };
            let everybody =
                Membership::of_voters((1..=self.group.nodes.len() as u64).map(ReplicaId).collect());
            let members = match raft.membership() {
                members if *members == everybody => String::new(),
                members => format!(" {}", shown_members(members)),
            };
            writeln!(
                self.out,
                "  {at} {:?} term {} leader {} commit {} durable {} applied {} log{base}{}{members}",
                raft.role(),
                raft.term(),
                raft.leader().map_or(0, |leader| leader.0),
                raft.commit(),
                raft.durable_index(),
                node.disk.machine.len(),
                listed(&log.entries),
            )
            .unwrap();
        }
    }
}

fn id(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("not a replica: {word}"))
}

/// `1,1,2` is a log of three entries, whose terms are given; `-` an empty one; `1,2:5/3` knows of term 5 and voted for 3 in it;
/// `blank` is a replica without state.
fn found(word: &str) -> Option<Found> {
    if word == "blank" {
        return None;
    }
    let (log, hard) = word.split_once(':').unwrap_or((word, ""));
    let terms: Vec<u64> =
        log.split(',').filter(|term| *term != "-").map(|term| term.parse().unwrap()).collect();
    let (term, vote) =
        hard.split_once('/').map_or((None, None), |(term, vote)| (Some(id(term)), Some(ReplicaId(id(vote)))));
    let term = Term(term.or(terms.last().copied()).unwrap_or(0));
    Some(Found { terms, hard: HardState { term, vote } })
}

/// `1 2 4 learners 3 witnesses 4`: witnesses stand in two lists.
fn members(words: &[&str]) -> Membership {
    let words = words.strip_prefix(&["voters"]).unwrap_or(words);
    let (words, witnesses) = split(words, "witnesses");
    let (voters, learners) = split(words, "learners");
    let ids = |words: &[&str]| words.iter().map(|word| ReplicaId(id(word))).collect();
    let (voters, learners, witnesses) = (ids(voters), ids(learners), ids(witnesses));
    Membership { voters, learners, witnesses, ..Membership::default() }
}

/// What stands before and behind `word`.
fn split<'a, 'b>(words: &'a [&'b str], word: &str) -> (&'a [&'b str], &'a [&'b str]) {
    let at = words.iter().position(|other| *other == word);
    at.map_or((words, &[]), |at| (&words[..at], &words[at + 1..]))
}

fn shown_members(membership: &Membership) -> String {
    let list = |name: &str, ids: &[ReplicaId]| {
        let ids: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
        if ids.is_empty() { String::new() } else { format!(" {name} {}", ids.join(" ")) }
    };
    let Membership { number, voters, outgoing, learners, witnesses } = membership;
    let lists =
        [("voters", voters), ("outgoing", outgoing), ("learners", learners), ("witnesses", witnesses)];
    format!("membership {number}:{}", lists.map(|(name, ids)| list(name, ids)).concat())
}

/// What has no payload stands in parentheses.
fn listed(entries: &[Entry]) -> String {
    entries.iter().fold(String::new(), |list, e| match e.payload.kind() {
        EntryKind::Stripped => format!("{list} ({}@{})", e.index, e.term),
        _ => format!("{list} {}@{}", e.index, e.term),
    })
}

fn shown(packet: &Packet) -> String {
    let (from, to) = packet.route();
    let yes = |granted: &bool| if *granted { "yes" } else { "no" };
    let (term, what) = match packet {
        Packet::Snapshot { term, at, .. } => (term, format!("snapshot {at:?}")),
        Packet::Raft(Message { term, body, .. }) => {
            let what = match body {
                Body::PreVote { last } => format!("pre-vote? {last:?}"),
                Body::PreVoteReply { granted } => format!("pre-vote {}", yes(granted)),
                Body::Vote { last, transfer } => {
                    format!("vote? {last:?}{}", if *transfer { " (transfer)" } else { "" })
                }
                Body::VoteReply { granted } => format!("vote {}", yes(granted)),
                Body::Append { prev, commit, entries } => {
                    format!("append after {prev:?} commit {commit}:{}", listed(entries))
                }
                Body::AppendAccepted { matched } => format!("accepted {matched}"),
                Body::AppendRejected { prev, hint } => format!("rejected {prev} hint {hint:?}"),
                Body::Heartbeat { commit, round } => format!("heartbeat commit {commit} round {round}"),
                Body::HeartbeatReply { round } => format!("heartbeat reply round {round}"),
                Body::TimeoutNow => "timeout now".into(),
                Body::Position { at, membership } => {
                    format!("position {at:?}, {}", shown_members(membership))
                }
            };
            (term, what)
        }
    };
    format!("{from}>{to} term {term} {what}")
}
