//! What something costs: time on the clock, CPU time of the process, bytes that it sent to the device.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What a piece of work took.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) device_bytes: u64,
}

pub(crate) fn cost<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    // The clocks last: to ask for the bytes takes longer than some of the work.
    let (bytes, begun, cpu) = (device_bytes(), Instant::now(), cpu());
    let result = work();
    let cost = Cost {
        wall: begun.elapsed(),
        cpu: self::cpu().saturating_sub(cpu),
        device_bytes: device_bytes().saturating_sub(bytes),
    };
    (result, cost)
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// What the kernel says that this process caused to be written.
fn device_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
