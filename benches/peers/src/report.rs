//! What is printed: a row for each target, and what the peers did.

use std::fmt::Write;

/// A measured value and what it should be.
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    target: String,
    ok: bool,
}

#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    peers: Vec<(String, f64, &'static str)>,
}

/// What a row must be.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Report {
    pub(crate) fn row(
        &mut self,
        name: impl Into<String>,
        (value, unit): (f64, &'static str),
        target: Target,
    ) {
        let (text, ok) = match target {
            Target::AtLeast(least) => (format!(">= {least}"), value >= least),
            Target::AtMost(most) => (format!("<= {most}"), value <= most),
        };
        self.rows.push(Row { name: name.into(), value, unit, target: text, ok });
    }

    pub(crate) fn peer(&mut self, name: impl Into<String>, (value, unit): (f64, &'static str)) {
        self.peers.push((name.into(), value, unit));
    }

    pub(crate) fn to_table(&self) -> String {
        let mut text = format!("{:<100} {:>12} {:<10} {:>9}\n", "skep", "value", "unit", "target");
        for Row { name, value, unit, target, ok } in &self.rows {
            let ok = if *ok { "" } else { "  missed" };
            let _ = writeln!(text, "{name:<100} {value:>12.3} {unit:<10} {target:>9}{ok}");
        }
        let _ = writeln!(text, "\n{:<100} {:>12} {:<10}", "peers", "value", "unit");
        for (name, value, unit) in &self.peers {
            let _ = writeln!(text, "{name:<100} {value:>12.3} {unit:<10}");
        }
        text
    }

    pub(crate) fn to_json(&self) -> String {
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|Row { name, value, unit, target, ok }| {
                format!(
                    "{{\"name\":{name:?},\"value\":{value:.4},\"unit\":{unit:?},\"target\":{target:?},\"ok\":{ok}}}"
                )
            })
            .collect();
        let peers: Vec<String> = self
            .peers
            .iter()
            .map(|(name, value, unit)| {
                format!("{{\"name\":{name:?},\"value\":{value:.4},\"unit\":{unit:?}}}")
            })
            .collect();
        format!("{{\"rows\":[{}],\"peers\":[{}]}}\n", rows.join(","), peers.join(","))
    }
}
