//! TiKV's `raft-engine` at its best: files filled before they are used, and recycled.

use std::path::Path;

use protobuf::descriptor::UninterpretedOption;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

use crate::peer::{Peer, Result};
use crate::work::{Payloads, Work, regions};

/// A message with an index and bytes, as its entries are: the one that the protobuf crate brings along.
#[derive(Clone)]
struct Entry;

impl MessageExt for Entry {
    type Entry = UninterpretedOption;

    fn index(entry: &UninterpretedOption) -> u64 {
        entry.get_positive_int_value()
    }
}

struct RaftEngine {
    engine: Engine,
    batch: LogBatch,
    entries: Vec<UninterpretedOption>,
}

pub(crate) fn make_plain(directory: &Path, work: &Work) -> Result<Box<dyn Peer>> {
    make(directory, work, ReadableSize(0))
}

pub(crate) fn make_compressing(directory: &Path, work: &Work) -> Result<Box<dyn Peer>> {
    make(directory, work, ReadableSize::kb(8))
}

fn make(directory: &Path, work: &Work, compress_from: ReadableSize) -> Result<Box<dyn Peer>> {
    let file_bytes = ReadableSize::mb(64);
    let config = Config {
        dir: directory.to_string_lossy().into_owned(),
        batch_compression_threshold: compress_from,
        target_file_size: file_bytes,
        purge_threshold: ReadableSize::gb(2),
        enable_log_recycle: true,
        prefill_for_recycle: true,
        prefill_limit: Some(ReadableSize(work.bytes_max().next_multiple_of(file_bytes.0) + file_bytes.0)),
        ..Config::default()
    };
    let engine = Engine::open(config)?;
    Ok(Box::new(RaftEngine { engine, batch: LogBatch::default(), entries: Vec::new() }))
}

impl Peer for RaftEngine {
    fn batch(&mut self, number: u64, work: &Work, payloads: &Payloads) -> Result<()> {
        for (region, first) in regions(number, work.entries_per_region) {
            let count = work.entries_per_region as usize;
            self.entries.resize_with(count, UninterpretedOption::default);
            for (entry, index) in self.entries.iter_mut().zip(first..) {
                entry.set_positive_int_value(index);
                let value = entry.mut_string_value();
                value.clear();
                value.extend_from_slice(payloads.of(region, index));
            }
            self.batch.add_entries::<Entry>(region, &self.entries)?;
        }
        self.engine.write(&mut self.batch, work.is_synced)?;
        Ok(())
    }
}
