//! That the sweeper sleeps while nothing expires, and is woken by what expires earlier than it thought.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use skep_raftstore::ids::Epoch;

use super::*;

fn region(id: u64) -> RegionDescriptor {
    RegionDescriptor {
        id: RegionId(id),
        start: Bytes::from(id.to_string()),
        end: None,
        epoch: Epoch { version: 1, membership: 1 },
        membership: Default::default(),
    }
}

#[test]
fn what_is_due_is_told_and_the_rest_is_not() {
    let agenda = Agenda::default();
    agenda.note(&region(1), Some(Stamp(10)));
    agenda.note(&region(2), Some(Stamp(11)));
    agenda.note(&region(3), Some(Stamp(5)));
    agenda.note(&region(3), None);
    agenda.note(&region(4), Some(Stamp(5)));
    agenda.forget(&region(4));
    let due = agenda.due(Duration::ZERO, || Stamp(10)).unwrap();
    assert_eq!(due, [(RegionId(1), Note { next: Stamp(10), start: "1".into() })]);
    agenda.close();
    assert_eq!(agenda.due(Duration::from_secs(60), || Stamp(10)), None);
}

#[test]
fn an_earlier_time_wakes_the_sleeper() {
    let agenda = Arc::new(Agenda::default());
    let clock = Arc::new(AtomicU64::new(100));
    let sleeper = {
        let (agenda, clock) = (Arc::clone(&agenda), Arc::clone(&clock));
        thread::spawn(move || agenda.due(Duration::ZERO, || Stamp(clock.load(Ordering::SeqCst))))
    };
    let has_looked = |agenda: &Agenda| agenda.noted.lock().sleeps_until != Stamp(0);
    while !has_looked(&agenda) {
        thread::yield_now();
    }
    agenda.note(&region(1), Some(Stamp(1_000_000)));
    agenda.note(&region(2), Some(Stamp(90)));
    let due = sleeper.join().unwrap().unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].0, RegionId(2));
}
