//! Wrong builds of the log behind a switch, to prove that the tests notice them. Without the feature `mutants` there is
//! only the right one.

/// One thing that is done wrong.
#[cfg_attr(not(feature = "mutants"), allow(unreachable_pub))]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// A sync does nothing and reports success.
    SkipSync,
    /// The durable position moves before the sync has succeeded.
    SyncToldEarly,
    /// The durable position moves over what was appended while the sync ran.
    SyncToldTooFar,
    /// Of the segments that were written since the last sync only the newest is synced.
    SyncNewestOnly,
    /// After a failed sync the next one may succeed.
    SyncAgain,
    /// A frame calls everything before it durable.
    WatermarkTooFar,
    /// Hard states are not repeated in the next frame.
    NoRepeats,
    /// On a full disk, entries may take the last prepared file.
    NoReserve,
    /// The name of a new file is not made durable.
    NamesNotSynced,
    /// Recovery takes a frame above the proven position whose bodies are not whole.
    TornFrameKept,
    /// Recovery takes a whole frame behind a hole for the proof that the hole was durable.
    LaterFrameProves,
    /// Recovery takes every hole for a torn tail.
    DamageIsTorn,
    /// Recovery leaves out a hole and marks nobody.
    HoleMarksNobody,
    /// Recovery believes the page cache about what was not synced.
    ReadFromCache,
    /// Recovery builds on headers and names that only the page cache may hold.
    GroundNotSynced,
    /// The rewritten tail is not synced before the header that makes it count.
    TailNotSynced,
    /// A group of segments counts although a header is missing.
    GroupNotWhole,
    /// A frame may have another segment's salt and number.
    SaltUnchecked,
    /// A frame may have another position than its place says.
    PlaceUnchecked,
    /// Recovery does not check the bodies of records.
    BodiesUnchecked,
    /// A segment is recycled before what freed it is durable.
    RecycledEarly,
    /// A segment is recycled while somebody holds slices of it.
    RecycledWhileRead,
    /// What is carried forward cuts off what came after it.
    CarriedReplaces,
    /// What is carried forward is written although it was replaced meanwhile.
    CarriedStale,
    /// Entries read from a file are not checked.
    ReadUnchecked,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// All of them.
    pub const ALL: &[Mutant] = &[
        Mutant::SkipSync,
        Mutant::SyncToldEarly,
        Mutant::SyncToldTooFar,
        Mutant::SyncNewestOnly,
        Mutant::SyncAgain,
        Mutant::WatermarkTooFar,
        Mutant::NoRepeats,
        Mutant::NoReserve,
        Mutant::NamesNotSynced,
        Mutant::TornFrameKept,
        Mutant::LaterFrameProves,
        Mutant::DamageIsTorn,
        Mutant::HoleMarksNobody,
        Mutant::ReadFromCache,
        Mutant::GroundNotSynced,
        Mutant::TailNotSynced,
        Mutant::GroupNotWhole,
        Mutant::SaltUnchecked,
        Mutant::PlaceUnchecked,
        Mutant::BodiesUnchecked,
        Mutant::RecycledEarly,
        Mutant::RecycledWhileRead,
        Mutant::CarriedReplaces,
        Mutant::CarriedStale,
        Mutant::ReadUnchecked,
    ];
}

/// Which build of the log runs: the right one, unless a test asked for another.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Build {
    #[cfg(feature = "mutants")]
    mutant: Option<Mutant>,
}

impl Build {
    #[cfg(feature = "mutants")]
    pub(crate) fn wrong(mutant: Option<Mutant>) -> Build {
        Build { mutant }
    }

    /// Whether this is the build that does it wrong in this way.
    pub(crate) fn is(self, mutant: Mutant) -> bool {
        #[cfg(feature = "mutants")]
        return self.mutant == Some(mutant);
        #[cfg(not(feature = "mutants"))]
        {
            let _ = mutant;
            false
        }
    }
}
