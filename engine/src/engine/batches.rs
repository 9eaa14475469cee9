//! Cuts many writes into batches that regions take.

use std::collections::BTreeMap;

use super::Engine;
use crate::command_bytes::{FIXED_BYTES_MAX, write_bytes};
use crate::{Command, Error, Write, limits};

impl Engine {
    /// Batches of these writes: each of one region, as far as this store knows, and none larger than a command may be;
    /// those of one region in the order of their writes. An error if one of the writes is impossible; then nothing of
    /// it needs to be begun.
    pub fn batches(&self, writes: impl IntoIterator<Item = Write>) -> Result<Vec<Command>, Error> {
        let table = self.inner.router.table();
        let bytes_max = self.inner.router.command_bytes_max();
        let mut regions = BTreeMap::<_, Vec<(usize, Vec<Write>)>>::new();
        for write in writes {
            limits::check_write(&write)?;
            let bytes = write_bytes(&write);
            let alone = FIXED_BYTES_MAX + bytes;
            if alone > bytes_max {
                return Err(Error::BatchTooLarge { bytes: alone, bytes_max });
            }
            let batches = regions.entry(table.region_of(write.key()).id).or_default();
            match batches.last_mut() {
                Some((filled, writes)) if *filled + bytes <= bytes_max => {
                    *filled += bytes;
                    writes.push(write);
                }
                Some(_) | None => batches.push((alone, vec![write])),
            }
        }
        let batches = regions.into_values().flatten();
        Ok(batches.map(|(_, writes)| Command::Batch { writes }).collect())
    }
}
