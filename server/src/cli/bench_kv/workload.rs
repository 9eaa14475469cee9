//! What the clients of a measurement do: a mix of reads and writes, or one of YCSB's core workloads (Cooper and others,
//! "Benchmarking cloud serving systems with YCSB", SoCC 2010, section 4; F is from its code).
//!
//! | | what | of which records |
//! |---|---|---|
//! | A | half reads, half updates | Zipfian |
//! | B | 95% reads, 5% updates | Zipfian |
//! | C | reads | Zipfian |
//! | D | 95% reads, 5% inserts | the latest most often |
//! | E | 95% scans of 1 to 100 records, 5% inserts | Zipfian |
//! | F | half reads, half reads that are followed by an update of what was read | Zipfian |
//!
//! Records are inserted in the order of their keys.

use clap::ValueEnum;

use super::super::bench_load::Random;
use super::zipf::{Zipf, scrambled};

/// The most records of one scan, as in YCSB.
const SCAN_MAX: u64 = 100;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
#[value(rename_all = "UPPER")]
pub(super) enum Ycsb {
    A,
    B,
    C,
    D,
    E,
    F,
}

/// Reads to writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mix {
    pub(super) reads: u32,
    pub(super) writes: u32,
}

/// One thing to do, with the number of the record to do it to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Read(u64),
    Update(u64),
    Insert(u64),
    /// So many records from this one on.
    Scan(u64, u64),
    /// Read it, then write it.
    ReadModifyWrite(u64),
}

/// Where operations come from.
pub(super) struct Source {
    kind: Kind,
    random: Random,
    records: u64,
}

enum Kind {
    /// Even over all records.
    Mix(Mix),
    Ycsb(Ycsb, Zipf),
    /// Every record once.
    Fill {
        next: u64,
    },
}

/// How the share of the first thing a workload does is written: "95:5".
pub(super) fn parse_mix(written: &str) -> Result<Mix, String> {
    let parsed = written.split_once(':').and_then(|(reads, writes)| {
        let mix = Mix { reads: reads.parse().ok()?, writes: writes.parse().ok()? };
        (u64::from(mix.reads) + u64::from(mix.writes) > 0).then_some(mix)
    });
    parsed.ok_or_else(|| format!("'{written}' is not a mix: write reads and writes as numbers, such as 95:5"))
}

impl Source {
    pub(super) fn fill(records: u64) -> Source {
        Source { kind: Kind::Fill { next: 0 }, random: Random::new(1), records }
    }

    pub(super) fn mix(mix: Mix, records: u64) -> Source {
        Source { kind: Kind::Mix(mix), random: Random::new(2), records }
    }

    pub(super) fn ycsb(workload: Ycsb, records: u64) -> Source {
        Source { kind: Kind::Ycsb(workload, Zipf::new(records)), random: Random::new(3), records }
    }

    /// What is to be done next, if there is an end to it.
    pub(super) fn next(&mut self) -> Option<Operation> {
        Some(match &mut self.kind {
            Kind::Fill { next } => {
                *next += 1;
                return (*next <= self.records).then_some(Operation::Insert(*next - 1));
            }
            Kind::Mix(mix) => {
                let of_all = self.random.below(u64::from(mix.reads) + u64::from(mix.writes));
                let record = self.random.below(self.records);
                if of_all < u64::from(mix.reads) {
                    Operation::Read(record)
                } else {
                    Operation::Update(record)
                }
            }
            Kind::Ycsb(workload, zipf) => ycsb(*workload, zipf, &mut self.random, &mut self.records),
        })
    }

    /// A value that nothing can compress.
    pub(super) fn value(&mut self, bytes: usize) -> bytes::Bytes {
        self.random.bytes(bytes)
    }
}

fn ycsb(workload: Ycsb, zipf: &mut Zipf, random: &mut Random, records: &mut u64) -> Operation {
    let percent = random.below(100);
    let rank = zipf.rank(random.unit());
    let popular = scrambled(rank, *records);
    match workload {
        Ycsb::A if percent < 50 => Operation::Read(popular),
        Ycsb::B if percent < 95 => Operation::Read(popular),
        Ycsb::A | Ycsb::B => Operation::Update(popular),
        Ycsb::C => Operation::Read(popular),
        Ycsb::D if percent < 95 => Operation::Read(*records - 1 - rank),
        Ycsb::E if percent < 95 => Operation::Scan(popular, 1 + random.below(SCAN_MAX)),
        Ycsb::D | Ycsb::E => {
            *records += 1;
            zipf.grow(*records);
            Operation::Insert(*records - 1)
        }
        Ycsb::F if percent < 50 => Operation::Read(popular),
        Ycsb::F => Operation::ReadModifyWrite(popular),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of ten thousand operations, how many are what is asked for.
    fn count(workload: Ycsb, wanted: impl Fn(&Operation) -> bool) -> usize {
        let mut source = Source::ycsb(workload, 1_000);
        (0..10_000).filter_map(|_| source.next()).filter(wanted).count()
    }

    fn is_about(percent: usize, seen: usize) -> bool {
        seen.abs_diff(percent * 100) < 250
    }

    #[test]
    fn each_workload_has_its_mix() {
        let is_read = |o: &Operation| matches!(o, Operation::Read(_));
        let is_insert = |o: &Operation| matches!(o, Operation::Insert(_));
        assert!(
            is_about(50, count(Ycsb::A, is_read))
                && is_about(50, count(Ycsb::A, |o| matches!(o, Operation::Update(_))))
        );
        assert!(is_about(95, count(Ycsb::B, is_read)));
        assert_eq!(count(Ycsb::C, is_read), 10_000);
        assert!(is_about(95, count(Ycsb::D, is_read)) && is_about(5, count(Ycsb::D, is_insert)));
        assert!(is_about(95, count(Ycsb::E, |o| matches!(o, Operation::Scan(_, 1..=100)))));
        assert!(is_about(50, count(Ycsb::F, |o| matches!(o, Operation::ReadModifyWrite(_)))));
    }

    #[test]
    fn d_reads_what_was_inserted_last_most_often() {
        let mut source = Source::ycsb(Ycsb::D, 1_000);
        let (mut newest, mut recent, mut reads) = (999, 0, 0);
        for _ in 0..20_000 {
            match source.next() {
                Some(Operation::Insert(record)) => {
                    assert_eq!(record, newest + 1, "records are inserted in order");
                    newest = record;
                }
                Some(Operation::Read(record)) => {
                    assert!(record <= newest);
                    reads += 1;
                    recent += usize::from(record + 10 > newest);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(recent * 3 > reads, "{recent} of {reads} reads were of the ten newest");
    }

    #[test]
    fn a_mix_is_read_and_kept() {
        assert_eq!(parse_mix("95:5"), Ok(Mix { reads: 95, writes: 5 }));
        for bad in ["", "95", "0:0", "a:b", "-1:2"] {
            assert!(parse_mix(bad).is_err(), "{bad}");
        }
        let mut source = Source::mix(Mix { reads: 1, writes: 3 }, 50);
        let reads = (0..10_000).filter(|_| matches!(source.next(), Some(Operation::Read(0..50)))).count();
        assert!(is_about(25, reads), "{reads}");
        let mut fill = Source::fill(3);
        let filled: Vec<_> = std::iter::from_fn(|| fill.next()).collect();
        assert_eq!(filled, [Operation::Insert(0), Operation::Insert(1), Operation::Insert(2)]);
    }
}
