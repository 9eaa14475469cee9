//! Keeps a number of writes under way in some engines, and measures each.
//!
//! One thread submits; the stores' threads report what is done into a list and wake that thread if it sleeps.
//! So a thousand writes are under way without a thousand threads, which would take the processors from the
//! stores.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use parking_lot::{Condvar, Mutex};
use skep_engine::{Command, Condition, Engine, Expiry};

/// Different keys that are written.
const KEYS: u64 = 100_000;

/// The largest latency that is told apart from larger ones, in microseconds: a minute.
pub(super) const LATENCY_US_MAX: u64 = 60_000_000;

/// How often somebody who sleeps looks whether it is time to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How the writes look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) outstanding: u32,
    pub(super) value_bytes: usize,
}

/// What was seen.
pub(super) struct Measured {
    /// Of the writes that were done.
    pub(super) latency_us: Histogram<u64>,
    pub(super) errors: u64,
}

/// See the page of this file.
pub(super) struct Load {
    engines: Vec<Engine>,
    shape: Shape,
    done: Arc<DoneList>,
    batch: Vec<Done>,
    measured: Measured,
    random: Random,
    submitted: usize,
    under_way: u32,
    /// Set from outside when it is time to stop.
    is_asked_to_stop: Arc<AtomicBool>,
}

/// One write that is over.
struct Done {
    latency: Duration,
    is_error: bool,
}

#[derive(Default)]
struct DoneList {
    /// Written by the stores' threads, swapped for an empty one by the submitting thread.
    done: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    done: Vec<Done>,
    is_asleep: bool,
}

impl Load {
    /// A load that has not begun.
    pub(super) fn new(engines: &[Engine], shape: Shape, is_asked_to_stop: Arc<AtomicBool>) -> Load {
        Load {
            engines: engines.to_vec(),
            shape,
            done: Arc::default(),
            batch: Vec::new(),
            measured: Measured { latency_us: histogram(), errors: 0 },
            random: Random(0x9E37_79B9_7F4A_7C15),
            submitted: 0,
            under_way: 0,
            is_asked_to_stop,
        }
    }

    /// As many writes under way as are wanted, and for each that is done another one, for this long. However slow
    /// the stores or large the values are, the clock is looked at before each write. False if it was asked to stop.
    pub(super) fn run_for(&mut self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            if self.is_asked_to_stop.load(Ordering::Relaxed) {
                return false;
            }
            if self.under_way < self.shape.outstanding {
                self.submit();
            } else {
                self.collect(end.min(Instant::now() + LOOK_EVERY));
            }
        }
        true
    }

    /// What was seen until now does not count.
    pub(super) fn forget(&mut self) {
        self.measured = Measured { latency_us: histogram(), errors: 0 };
    }

    /// Waits for what is under way; none of it counts.
    pub(super) fn finish(mut self, timeout: Duration) -> Result<Measured, String> {
        let measured = mem::replace(&mut self.measured, Measured { latency_us: histogram(), errors: 0 });
        let end = Instant::now() + timeout;
        while self.under_way > 0 && Instant::now() < end {
            self.collect(end);
        }
        match self.under_way {
            0 => Ok(measured),
            lost => Err(format!("{lost} writes were never answered")),
        }
    }

    /// Takes in the writes that are over since the last time; waits for the first of them.
    fn collect(&mut self, until: Instant) {
        let mut batch = mem::take(&mut self.batch);
        self.done.take(until, &mut batch);
        let count = batch.len() as u32;
        for done in batch.drain(..) {
            let latency_us = (done.latency.as_micros() as u64).clamp(1, LATENCY_US_MAX);
            match done.is_error {
                true => self.measured.errors += 1,
                false => self.measured.latency_us.saturating_record(latency_us),
            }
        }
        self.batch = batch;
        self.under_way -= count;
    }

    fn submit(&mut self) {
        let engine = &self.engines[self.submitted % self.engines.len()];
        self.submitted += 1;
        self.under_way += 1;
        let command = Command::Put {
            key: key(self.random.next() % KEYS),
            value: self.random.bytes(self.shape.value_bytes),
            condition: Condition::Always,
            expiry: Expiry::Never,
            return_old: false,
        };
        let (done, started) = (Arc::clone(&self.done), Instant::now());
        engine.execute(command, move |result| {
            done.push(Done { latency: started.elapsed(), is_error: result.is_err() });
        });
    }
}

impl DoneList {
    fn push(&self, done: Done) {
        let mut waiting = self.done.lock();
        waiting.done.push(done);
        if mem::take(&mut waiting.is_asleep) {
            self.wake.notify_one();
        }
    }

    fn take(&self, until: Instant, batch: &mut Vec<Done>) {
        let mut waiting = self.done.lock();
        if waiting.done.is_empty() {
            waiting.is_asleep = true;
            self.wake.wait_until(&mut waiting, until);
            waiting.is_asleep = false;
        }
        mem::swap(&mut waiting.done, batch);
    }
}

pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("the bounds are in order")
}

/// `key:000000012345`, the form that the regions of a new directory are cut for.
pub(super) fn key(number: u64) -> Bytes {
    Bytes::from(format!("key:{number:012}"))
}

/// A small generator (xorshift): keys need no more, and it costs less than a write does.
pub(super) struct Random(u64);

impl Random {
    /// A generator of its own.
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `count`.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    /// A number from 0 on and below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Bytes that no file system or disk can compress.
    pub(super) fn bytes(&mut self, count: usize) -> Bytes {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(count);
        Bytes::from(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_sixteen_bytes() {
        assert_eq!(&key(0)[..], b"key:000000000000");
        assert_eq!(&key(KEYS - 1)[..], b"key:000000099999");
    }

    #[test]
    fn values_have_the_wanted_size_and_differ() {
        let mut random = Random(1);
        for count in [0, 1, 7, 8, 9, 100] {
            assert_eq!(random.bytes(count).len(), count);
        }
        assert_ne!(random.bytes(16), random.bytes(16));
    }
}
