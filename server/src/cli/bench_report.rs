//! What a measurement found: the same object whatever was measured.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Failure, say};

/// See the page of this file. What cannot be known is nothing (`null`): a server elsewhere does not say what it spends.
#[derive(Serialize, Debug)]
pub(super) struct Report {
    pub(super) ops_per_second: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) p999_us: u64,
    pub(super) errors: u64,
    /// Of the process that measures, with the stores if they are in it.
    pub(super) cpu_us_per_op: Option<f64>,
    pub(super) syncs_per_second: Option<f64>,
    /// Entries appended by syncs completed, both summed over the stores: each write is an entry on each
    /// store.
    pub(super) entries_per_sync: Option<f64>,
}

/// What the stores spent meanwhile.
pub(super) struct Spent {
    pub(super) cpu_us: f64,
    pub(super) syncs: u64,
    pub(super) entries: u64,
}

impl Report {
    pub(super) fn new(
        latency_us: &Histogram<u64>,
        errors: u64,
        seconds: f64,
        spent: Option<Spent>,
    ) -> Report {
        let operations = latency_us.len();
        let per_sync = |spent: &Spent| rounded(spent.entries as f64 / spent.syncs.max(1) as f64);
        Report {
            ops_per_second: rounded(operations as f64 / seconds),
            p50_us: latency_us.value_at_quantile(0.5),
            p99_us: latency_us.value_at_quantile(0.99),
            p999_us: latency_us.value_at_quantile(0.999),
            errors,
            cpu_us_per_op: spent.as_ref().map(|spent| rounded(spent.cpu_us / operations.max(1) as f64)),
            syncs_per_second: spent.as_ref().map(|spent| rounded(spent.syncs as f64 / seconds)),
            entries_per_sync: spent.as_ref().map(per_sync),
        }
    }

    /// Prints it: the object alone, or `about` and a table.
    pub(super) fn say(&self, as_json: bool, about: &str) -> Result<(), Failure> {
        if as_json {
            say(&serde_json::to_string(self).map_err(|error| Failure::not_done(error.to_string()))?);
        } else {
            say(&format!("{about}\n{}", self.to_text()));
        }
        Ok(())
    }

    fn to_text(&self) -> String {
        let Report { ops_per_second, p50_us, p99_us, p999_us, errors, .. } = self;
        let shown = |number: Option<f64>| {
            number.map_or_else(|| "not known here".into(), |number| format!("{number:.1}"))
        };
        format!(
            "operations/second  {ops_per_second:.0}\n\
             latency            p50 {p50_us} us, p99 {p99_us} us, p99.9 {p999_us} us\n\
             errors             {errors}\n\
             CPU per operation  {} us\n\
             syncs per second   {}, all stores\n\
             entries per sync   {}",
            shown(self.cpu_us_per_op),
            shown(self.syncs_per_second),
            shown(self.entries_per_sync),
        )
    }
}

/// Two digits are more than a run can repeat.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
