//! What something costs: time on the clock, CPU time of the process, bytes that the device was sent meanwhile.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Which of the counters of a device says how many sectors were written, and which how often its cache was flushed
/// (Documentation/block/stat.rst of Linux).
const SECTORS_WRITTEN: usize = 6;
const FLUSHES: usize = 15;

/// What a piece of work took.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Of all processes that use it.
    pub(crate) device: Device,
}

/// What a device did. Not a number where it has no such counters: what was not counted meets no target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    pub(crate) bytes: f64,
    pub(crate) flushes: f64,
}

impl Default for Device {
    fn default() -> Device {
        Device { bytes: f64::NAN, flushes: f64::NAN }
    }
}

/// The cost of work in memory.
pub(crate) fn cost<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (begun, cpu) = (Instant::now(), cpu());
    let result = work();
    (result, Cost { wall: begun.elapsed(), cpu: self::cpu().saturating_sub(cpu), device: Device::default() })
}

/// The cost of work in this directory.
pub(crate) fn cost_on<T>(directory: &Path, work: impl FnOnce() -> T) -> (T, Cost) {
    let before = self::device(directory);
    let (result, cost) = cost(work);
    let after = self::device(directory);
    let device = Device { bytes: after.bytes - before.bytes, flushes: after.flushes - before.flushes };
    (result, Cost { device, ..cost })
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// What the device below a directory has done since the system started, for everybody. (What the kernel counts for a process is more: whole folios, although only their dirty blocks are written.)
fn device(directory: &Path) -> Device {
    let Ok(device) = directory.metadata().map(|meta| meta.dev()) else { return Device::default() };
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).unwrap_or_default();
    let number = |at: usize| {
        let field = text.split_whitespace().nth(at);
        field.and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
    };
    Device { bytes: number(SECTORS_WRITTEN) * 512.0, flushes: number(FLUSHES) }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
