//! How much of each segment is still needed: one counter per segment, never a scan.

use std::collections::VecDeque;

/// What is live in one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LiveSegment {
    pub(crate) number: u32,
    /// Runs, states, bases and marks of damage that have their place here.
    pub(crate) items: u64,
    /// Bytes of them, at most: a run that was cut counts whole.
    pub(crate) bytes: u64,
}

/// The counters of all segments of the log, in the order of their numbers.
#[derive(Default, Debug)]
pub(crate) struct Live {
    segments: VecDeque<LiveSegment>,
}

impl Live {
    /// A segment joins at the end.
    pub(crate) fn push(&mut self, number: u32) {
        debug_assert!(self.segments.back().is_none_or(|last| last.number < number), "numbers only grow");
        self.segments.push_back(LiveSegment { number, items: 0, bytes: 0 });
    }

    /// The oldest segment leaves.
    pub(crate) fn pop_front(&mut self) {
        self.segments.pop_front();
    }

    /// The segments, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &LiveSegment> {
        self.segments.iter()
    }

    /// How many segments there are.
    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Live bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// An item has found its place in a segment.
    pub(crate) fn add(&mut self, number: u32, bytes: u64) {
        if let Some(segment) = self.find(number) {
            segment.items += 1;
            segment.bytes += bytes;
        }
    }

    /// An item is no longer needed where it was.
    pub(crate) fn sub(&mut self, number: u32, bytes: u64) {
        if let Some(segment) = self.find(number) {
            segment.items -= 1;
            segment.bytes -= bytes;
        }
    }

    fn find(&mut self, number: u32) -> Option<&mut LiveSegment> {
        // Nearly everything happens in the newest segment.
        if self.segments.back().is_some_and(|last| last.number == number) {
            return self.segments.back_mut();
        }
        let at = self.segments.partition_point(|segment| segment.number < number);
        self.segments.get_mut(at).filter(|segment| segment.number == number)
    }
}
