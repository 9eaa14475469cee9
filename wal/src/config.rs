//! Every limit of the log, with its unit and its reason.

use crate::error::WalError;
use crate::mutant::Build;

/// Longest hard state, in bytes: it is rewritten with every vote, so it stays small.
pub const HARD_STATE_BYTES_MAX: usize = 64;

/// Longest named state, in bytes.
pub const STATE_BYTES_MAX: usize = 64 * 1024;

/// The page that a segment's header has to itself, and the unit frames are aligned to after a sync.
pub const PAGE_BYTES: u64 = 4096;

/// Segments are at least this long: smaller ones hold no frame worth its header page.
pub const SEGMENT_BYTES_MIN: u64 = 16 * 1024;

/// Segments are at most this long: a place inside one is 32 bits in the index.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// How a log is shaped. Every field has a default that suits a server.
#[derive(Clone, Debug)]
pub struct WalConfig {
    /// Length of a segment file, and so (less its header page) of the largest batch. Large segments make
    /// rolling over rare; small ones make space come back sooner.
    pub segment_bytes: u64,
    /// How many prepared files `maintain` keeps ahead of the one being written. With none left, `append`
    /// prepares one itself, which is slow.
    pub prepared_segments: usize,
    /// How many prepared files only batches without entries may begin: on a full disk, hard states are still written,
    /// and what makes room (compaction, removal, carrying forward) goes on.
    pub reserve_segments: usize,
    /// How many recycled files are kept for reuse beyond those; more are deleted.
    pub spare_segments_max: usize,
    /// How many of the newest segments are read through a mapping. Older ones are read with checked reads.
    pub hot_segments: usize,
    /// The log may take twice what is live and this many segments more before idle streams are carried
    /// forward.
    pub slack_segments: usize,
    /// A stream whose entries in old segments are at most this many bytes is carried forward; a larger one is
    /// reported by `oldest` for its owner to compact.
    pub carry_entry_bytes_max: u64,
    /// How much one carrying frame holds: it bounds how long `append` may wait for `maintain`.
    pub carry_frame_bytes: u64,
    /// Whether the first frame after a sync starts on a page of its own, so that a page under write-back is
    /// not dirtied again.
    pub align_after_sync: bool,
    /// How many threads check segments while the log is opened: 0 for one per core, at most four. With 1 the caller does it alone, and in the same order every time.
    pub open_threads: usize,
    /// A wrong build of the log, for tests that must notice it.
    #[cfg(feature = "mutants")]
    pub mutant: Option<crate::mutant::Mutant>,
}

impl Default for WalConfig {
    fn default() -> WalConfig {
        WalConfig {
            segment_bytes: 64 << 20,
            prepared_segments: 1,
            reserve_segments: 1,
            spare_segments_max: 2,
            hot_segments: 4,
            slack_segments: 4,
            carry_entry_bytes_max: 64 << 10,
            carry_frame_bytes: 64 << 10,
            align_after_sync: true,
            open_threads: 0,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }
}

impl WalConfig {
    /// Small segments and no threads, for tests and simulations.
    pub fn small() -> WalConfig {
        WalConfig {
            segment_bytes: 128 << 10,
            carry_frame_bytes: 8 << 10,
            open_threads: 1,
            ..WalConfig::default()
        }
    }

    /// Which build of the log runs.
    pub(crate) fn build(&self) -> Build {
        #[cfg(feature = "mutants")]
        return Build::wrong(self.mutant);
        #[cfg(not(feature = "mutants"))]
        Build::default()
    }

    /// The largest frame: all of a segment but its header page.
    pub fn frame_bytes_max(&self) -> u64 {
        self.segment_bytes - PAGE_BYTES
    }

    pub(crate) fn check(&self) -> Result<(), WalError> {
        let fits = (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes);
        if fits && self.segment_bytes.is_multiple_of(PAGE_BYTES) {
            return Ok(());
        }
        let reason = format!(
            "segment_bytes is {}; it must be a multiple of {PAGE_BYTES} from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}",
            self.segment_bytes
        );
        let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, reason);
        Err(WalError::io("checking", "the configuration", source))
    }
}
