//! A dumb log in memory, which the real one is compared with.

use std::collections::BTreeMap;

use skep_wal::{Batch, LogEntry, StateName, StreamId, Wal};

/// What one stream should hold.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct TwinStream {
    pub(crate) base: (u64, u64),
    pub(crate) entries: Vec<(u64, Vec<u8>)>,
    pub(crate) hard_state: Vec<u8>,
    pub(crate) states: BTreeMap<u8, Vec<u8>>,
    /// Whether it was ever given a base.
    pub(crate) based: bool,
}

/// What the log should hold.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Twin {
    pub(crate) streams: BTreeMap<u64, TwinStream>,
}

/// One record, from raw numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw {
    pub(crate) kind: u8,
    pub(crate) stream: u8,
    pub(crate) a: u8,
    pub(crate) b: u16,
}

impl TwinStream {
    pub(crate) fn last(&self) -> u64 {
        self.base.0 + self.entries.len() as u64
    }

    fn is_blank(&self) -> bool {
        !self.based && self.entries.is_empty() && self.hard_state.is_empty() && self.states.is_empty()
    }
}

impl Twin {
    /// Turns raw numbers into a record that makes sense, puts it into the batch and into the twin.
    pub(crate) fn add(&mut self, raw: Raw, batch: &mut Batch) {
        let number = u64::from(raw.stream % 5) + 1;
        let id = StreamId(number);
        let stream = self.streams.entry(number).or_default();
        let span = stream.last() - stream.base.0;
        let within = stream.base.0 + u64::from(raw.a) % (span + 1);
        match raw.kind % 16 {
            0..=6 => append(stream, id, (stream.last() + 1, raw), batch),
            7 => append(stream, id, (within + 1, raw), batch),
            8 | 9 => {
                stream.hard_state = vec![raw.a; 1 + usize::from(raw.b % 64)];
                batch.hard_state(id, &stream.hard_state);
            }
            10 => {
                let bytes = vec![raw.a; usize::from(raw.b)];
                batch.state(id, StateName(raw.a % 3), &bytes);
                stream.states.insert(raw.a % 3, bytes);
            }
            11 => {
                stream.entries.truncate((within - stream.base.0) as usize);
                batch.truncate(id, within + 1);
            }
            12 | 13 => {
                let term = match within - stream.base.0 {
                    0 => stream.base.1,
                    count => stream.entries[count as usize - 1].0,
                };
                stream.entries.drain(..(within - stream.base.0) as usize);
                (stream.base, stream.based) = ((within, term), true);
                batch.compact(id, within, term);
            }
            14 => {
                stream.entries.clear();
                (stream.base, stream.based) = ((u64::from(raw.b), u64::from(raw.a)), true);
                batch.restart(id, stream.base.0, stream.base.1);
            }
            _ => {
                *stream = TwinStream::default();
                batch.remove(id);
            }
        }
    }

    /// What the real log holds.
    pub(crate) fn of(wal: &Wal) -> Twin {
        let mut twin = Twin::default();
        for id in wal.streams() {
            let info = wal.stream(id).expect("listed");
            assert_eq!(info.damaged, None, "{id} is marked");
            let mut read: Vec<LogEntry> = Vec::new();
            if info.last_index > info.base_index {
                wal.read(id, info.base_index + 1, info.last_index, usize::MAX, &mut read).expect("readable");
            }
            let indexes: Vec<u64> = read.iter().map(|entry| entry.index).collect();
            assert_eq!(indexes, (info.base_index + 1..=info.last_index).collect::<Vec<_>>());
            let states =
                (0..3).filter_map(|name| Some((name, wal.state(id, StateName(name))?.to_vec()))).collect();
            let stream = TwinStream {
                base: (info.base_index, info.base_term),
                entries: read.iter().map(|entry| (entry.term, entry.payload.to_vec())).collect(),
                hard_state: info.hard_state.to_vec(),
                states,
                based: false,
            };
            twin.streams.insert(id.0, stream);
        }
        twin
    }

    /// The same without what the real log cannot tell.
    pub(crate) fn visible(&self) -> Twin {
        let mut twin = self.clone();
        twin.streams.retain(|_, stream| !stream.is_blank());
        twin.streams.values_mut().for_each(|stream| stream.based = false);
        twin
    }
}

fn append(stream: &mut TwinStream, id: StreamId, (first, raw): (u64, Raw), batch: &mut Batch) {
    stream.entries.truncate((first - stream.base.0 - 1) as usize);
    let term = u64::from(raw.a / 64);
    let payloads: Vec<Vec<u8>> =
        (0..=raw.b % 5).map(|n| vec![raw.a ^ n as u8; usize::from(raw.b / 8)]).collect();
    batch.entries(id, first, term, payloads.iter().map(Vec::as_slice));
    stream.entries.extend(payloads.into_iter().map(|payload| (term, payload)));
}
