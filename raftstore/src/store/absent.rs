//! The machine of a region whose own could not be opened: it does nothing and says so.

use bytes::Bytes;

use crate::machine::{Committed, Fatal, SnapshotSource, StateMachine};
use crate::raft::LogPos;

pub(super) struct Absent;

fn absent() -> Fatal {
    Fatal("the state machine could not be opened".to_owned())
}

impl StateMachine for Absent {
    fn applied(&self) -> LogPos {
        LogPos::default()
    }

    fn apply(&mut self, _: &[Committed], _: &mut Vec<Bytes>) -> Result<(), Fatal> {
        Err(absent())
    }

    fn read(&mut self, _: &Bytes) -> Bytes {
        Bytes::new()
    }

    fn snapshot(&mut self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        Err(absent())
    }

    fn restore(&mut self, _: &mut dyn std::io::Read) -> Result<(), Fatal> {
        Err(absent())
    }

    fn size(&self) -> u64 {
        0
    }

    fn digest(&self) -> u64 {
        0
    }
}
