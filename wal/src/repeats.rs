//! Hard states of the last frame, to be written a second time by the next: the loss of one frame takes no vote with it.

use crate::batch::Batch;
use crate::format::{Before, Kind, RecordHead, Records};

/// What the next frame will say about the last one, and repeat of it.
#[derive(Default, Debug)]
pub(crate) struct Repeats {
    pub(crate) batch: Batch,
    pub(crate) before: Before,
}

impl Repeats {
    /// A frame with these records of its own, of so many bytes, is now the last one.
    pub(crate) fn follow(&mut self, records: Records<'_>, length: u32) {
        self.follow_each(records.each(), length);
    }

    /// The same, for records that were read.
    pub(crate) fn follow_each<'a>(
        &mut self,
        records: impl Iterator<Item = (&'a RecordHead, &'a [u8])>,
        length: u32,
    ) {
        self.batch.clear();
        self.before = Before { length, is_plain: true };
        for (head, body) in records {
            match head.kind {
                Kind::HardState => self.batch.copy(0, head, body),
                Kind::State => self.before.is_plain = false,
                Kind::Remove => {
                    self.before.is_plain = false;
                    self.batch.forget(head.stream);
                }
                Kind::Entries | Kind::Carried | Kind::Truncate | Kind::Compact | Kind::Restart => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{StateName, StreamId};

    fn repeats(fill: impl FnOnce(&mut Batch)) -> (Vec<u64>, bool) {
        let (mut batch, mut repeats) = (Batch::new(), Repeats::default());
        fill(&mut batch);
        repeats.follow(batch.records(), 88);
        (repeats.batch.heads.iter().map(|head| head.stream).collect(), repeats.before.is_plain)
    }

    /// Hard states are repeated, nothing else; what was removed in the same frame is not.
    #[test]
    fn what_is_repeated() {
        let (one, two) = (StreamId(1), StreamId(2));
        assert_eq!(repeats(|batch| batch.truncate(one, 3)), (vec![], true));
        let both = repeats(|batch| {
            batch.entries(one, 1, 1, [b"x".as_slice()]);
            batch.hard_state(one, b"a");
            batch.hard_state(two, b"b");
        });
        assert_eq!(both, (vec![1, 2], true));
        let removed = repeats(|batch| {
            batch.hard_state(one, b"a");
            batch.hard_state(two, b"b");
            batch.remove(one);
            batch.state(two, StateName(1), b"s");
        });
        assert_eq!(removed, (vec![2], false));
    }
}
