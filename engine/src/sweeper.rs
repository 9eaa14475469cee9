//! Sees to it that what has expired goes away, also where nobody asks for it: one thread of a store.
//!
//! Nothing is deleted here. A region that has expired values is sent a [`Command::Sweep`], an entry of its log like any
//! other: it moves the region's time on and deletes a bounded number of them, on every replica the same. The store that
//! stands first in the region's membership does it; the next one waits longer, and only finds something to do if the
//! first one does not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use skep_raftstore::ids::{RegionId, ReplicaId};
use skep_raftstore::machine::Stamp;

use crate::agenda::{Agenda, Note};
use crate::engine::{Engine, WeakEngine};
use crate::{Answer, Command, Error, clock};

/// How often a region with expired values is sent a sweep, at most: what expires within it goes in one entry.
const PERIOD: Duration = Duration::from_secs(1);

/// How much longer each store waits than the one before it in a region's membership.
const TURN: Duration = Duration::from_secs(3);

/// The thread's state.
struct Sweeper {
    engine: WeakEngine,
    agenda: Arc<Agenda>,
    /// Regions whose sweep is not answered yet. Held to add or remove one.
    asked: Arc<Mutex<BTreeSet<RegionId>>>,
}

/// Starts the thread. It ends when the agenda is closed or the engine dropped.
pub(crate) fn start(engine: &Engine, agenda: Arc<Agenda>) -> Result<(), Error> {
    let name = format!("{}-sweep", engine.store_id());
    let sweeper = Sweeper { engine: engine.downgrade(), agenda, asked: Arc::default() };
    let spawned = thread::Builder::new().name(name).spawn(move || sweeper.run());
    spawned.map(drop).map_err(|error| Error::Open(format!("a thread cannot be started: {error}")))
}

impl Sweeper {
    fn run(&self) {
        while let Some(due) = self.agenda.due(PERIOD, clock::now) {
            let Some(engine) = self.engine.upgrade() else { return };
            let now = clock::now();
            for (region, note) in due {
                if is_turn_of(&engine, &note, now) && self.asked.lock().insert(region) {
                    sweep(&engine, region, note, Arc::clone(&self.asked));
                }
            }
        }
    }
}

/// Whether this store is the one to sweep a region whose values have been waiting for so long.
fn is_turn_of(engine: &Engine, note: &Note, now: Stamp) -> bool {
    let region = engine.region_at(&note.start);
    let is_own = |replica: &ReplicaId| replica.store() == engine.store_id();
    let place = region.membership.voters.iter().position(is_own).unwrap_or(region.membership.voters.len());
    let waited = now.0.saturating_sub(note.next.0);
    waited >= place as u64 * TURN.as_millis() as u64
}

/// Sends sweeps one after the other until nothing expired is left.
fn sweep(engine: &Engine, region: RegionId, note: Note, asked: Arc<Mutex<BTreeSet<RegionId>>>) {
    let again = engine.downgrade();
    engine.execute(Command::Sweep { key: note.start.clone() }, move |answer| {
        match (answer, again.upgrade()) {
            (Ok(Answer::Integer(left)), Some(engine)) if left > 0 => {
                sweep(&engine, region, note, asked);
            }
            // Whatever was in the way, the agenda still says what is due.
            _ => drop(asked.lock().remove(&region)),
        }
    });
}
