//! What something costs: time on the clock, CPU time of the process, bytes that the device was sent meanwhile.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Which number in the counters of a device says how many sectors were written.
const SECTORS_WRITTEN: usize = 6;

/// What a piece of work took.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Of all processes that use the device.
    pub(crate) device_bytes: u64,
}

/// The cost of work in memory.
pub(crate) fn cost<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (begun, cpu) = (Instant::now(), cpu());
    let result = work();
    (result, Cost { wall: begun.elapsed(), cpu: self::cpu().saturating_sub(cpu), device_bytes: 0 })
}

/// The cost of work in this directory.
pub(crate) fn cost_on<T>(directory: &Path, work: impl FnOnce() -> T) -> (T, Cost) {
    let bytes = device_bytes(directory);
    let (result, cost) = cost(work);
    (result, Cost { device_bytes: device_bytes(directory).saturating_sub(bytes), ..cost })
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// What the device below a directory has written since the system started; 0 where there is no such counter. (What the kernel
/// counts for a process is more: whole folios, although only their dirty blocks are written.)
fn device_bytes(directory: &Path) -> u64 {
    let Ok(device) = directory.metadata().map(|meta| meta.dev()) else { return 0 };
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let text = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).unwrap_or_default();
    let sectors =
        text.split_whitespace().nth(SECTORS_WRITTEN).and_then(|sectors| sectors.parse::<u64>().ok());
    sectors.unwrap_or(0) * 512
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
