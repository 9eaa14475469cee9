//! The protocol alone: three replicas in one thread, messages passed by call, the log in memory, durability at once.

use std::collections::VecDeque;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use skep_raftstore::raft::{
    Body, Config, Effects, Entries, Entry, Event, Index, Membership, Message, Payload, Persisted, Raft,
    ReplicaId, Role, Start, Tick,
};

struct Replica {
    raft: Raft,
    effects: Effects,
    log: Vec<Entry>,
    applied: u64,
}

impl Replica {
    /// Carries the effects out: writes to the log, and says what is to be sent.
    fn turn(&mut self, now: Tick, out: &mut VecDeque<Message>) {
        loop {
            self.raft.flush(now, &mut self.effects);
            let written = self.write(out);
            if let Some(through) = self.effects.apply.take() {
                self.applied = through.0;
                self.raft.step(now, Event::Applied(through), &mut self.effects);
            }
            self.effects.reads.clear();
            self.effects.standing = None;
            let Some(seq) = written else { break };
            self.raft.step(now, Event::Persisted(seq), &mut self.effects);
        }
    }

    fn write(&mut self, out: &mut VecDeque<Message>) -> Option<Persisted> {
        let seq = self.effects.write.take();
        self.effects.hard_state = None;
        if let Some(first) = self.effects.append.first() {
            self.log.truncate(first.index.0 as usize - 1);
        }
        self.log.append(&mut self.effects.append);
        out.extend(self.effects.send.drain(..));
        for want in self.effects.replicate.drain(..) {
            let entries: Entries = self.log[want.prev.index.0 as usize..want.last.0 as usize].into();
            let bytes = entries.iter().map(|entry| entry.payload.bytes().len() as u64).sum();
            assert!(self.raft.sent(&want, want.last, bytes), "the window is never full");
            let body = Body::Append { prev: want.prev, commit: want.commit, entries };
            out.push_back(Message { from: self.raft.id(), to: want.to, term: want.term, body });
        }
        let seq = seq.map(Persisted::in_memory)?;
        self.effects.held.drain(seq, |message| out.push_back(message));
        Some(seq)
    }
}

struct Group {
    replicas: Vec<Replica>,
    now: Tick,
    out: VecDeque<Message>,
}

impl Group {
    fn new() -> Group {
        let ids: Vec<ReplicaId> = (1..=3).map(ReplicaId).collect();
        let replica = |id: &ReplicaId| {
            let config = Config {
                id: *id,
                election_ticks_min: 100,
                election_ticks_max: 200,
                heartbeat_ticks: 25,
                commit_news_ticks: 0,
                inflight_messages_max: 256,
                entries_per_message_max: 4096,
                inflight_bytes_max: 16 << 20,
                uncommitted_bytes_max: 64 << 20,
                rank: 0,
                lease_ticks: 0,
                seed: id.0,
            };
            let start = Start { membership: Membership::of_voters(ids.clone()), ..Start::default() };
            let raft = Raft::new(config, start, Tick(1));
            Replica { raft, effects: Effects::default(), log: Vec::new(), applied: 0 }
        };
        let mut group =
            Group { replicas: ids.iter().map(replica).collect(), now: Tick(1), out: VecDeque::new() };
        let first = &mut group.replicas[0];
        first.raft.step(Tick(1), Event::Campaign, &mut first.effects);
        first.turn(Tick(1), &mut group.out);
        group.deliver();
        assert_eq!(group.replicas[0].raft.role(), Role::Leader);
        group
    }

    fn deliver(&mut self) {
        while let Some(message) = self.out.pop_front() {
            let to = &mut self.replicas[message.to.0 as usize - 1];
            to.raft.step(self.now, Event::Message(message), &mut to.effects);
            to.turn(self.now, &mut self.out);
        }
    }

    fn commit(&mut self, payloads: &mut Vec<Payload>) {
        let leader = &mut self.replicas[0];
        leader.raft.propose(self.now, payloads, &mut leader.effects).expect("it leads");
        leader.turn(self.now, &mut self.out);
        self.deliver();
    }
}

fn raft_core(c: &mut Criterion) {
    let mut bench = c.benchmark_group("raft_core");
    let payload = Payload::parse(Bytes::from(vec![2; 129])).expect("a command");
    for batch in [1_usize, 64] {
        let mut group = Group::new();
        bench.throughput(Throughput::Elements(batch as u64));
        bench.bench_with_input(BenchmarkId::new("commit_128_bytes", batch), &batch, |b, &batch| {
            let mut payloads = Vec::new();
            b.iter(|| {
                payloads.extend(std::iter::repeat_n(payload.clone(), batch));
                group.commit(&mut payloads);
                // Entries are never looked at again: what is kept is only what the protocol may still send.
                if group.replicas[0].log.len() > 1 << 20 {
                    group = Group::new();
                }
            });
        });
        assert!(
            group.replicas.iter().all(|replica| Index(replica.applied) == group.replicas[0].raft.commit())
        );
    }
    bench.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30);
    targets = raft_core
}
criterion_main!(benches);
