//! Why bytes were not taken for what they claim to be.

use std::fmt;

/// Why bytes were refused. Nothing of them was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WireError {
    /// They do not start with the magic number: whoever sent them speaks something else.
    Foreign {
        /// What they start with.
        magic: u32,
    },
    /// They were written by a newer release. Upgrade this one.
    Newer {
        /// What kind of bytes.
        what: &'static str,
        /// Their version.
        found: u8,
        /// The newest version known here.
        known: u8,
    },
    /// They were written by an older release, and nobody here reads them any more. Upgrade the one that sent them.
    Older {
        /// What kind of bytes.
        what: &'static str,
        /// Their version.
        found: u8,
        /// The oldest version known here.
        known: u8,
    },
    /// They claim a length that is out of bounds.
    Length {
        /// What kind of bytes.
        what: &'static str,
        /// The length that they claim, or have.
        bytes: u64,
        /// The longest that is taken.
        bytes_max: u64,
    },
    /// Their checksum does not hold: they were altered on the way.
    Checksum {
        /// The checksum that they carry.
        carried: u32,
        /// The checksum that they have.
        computed: u32,
    },
    /// They end in the middle of something.
    Truncated {
        /// Of what.
        what: &'static str,
    },
    /// They say of what kind they are, and there is no such kind.
    UnknownKind {
        /// The kind of what.
        what: &'static str,
        /// The kind.
        kind: u8,
    },
    /// A value that has no meaning where it stands.
    Value {
        /// Of what.
        what: &'static str,
    },
    /// More bytes than belong there.
    Trailing {
        /// After what.
        what: &'static str,
        /// How many.
        bytes: usize,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            WireError::Foreign { magic } => write!(f, "not of this protocol: starts with {magic:#010x}"),
            WireError::Newer { what, found, known } => {
                write!(
                    f,
                    "{what} of version {found}, but this release knows versions up to {known}: upgrade it"
                )
            }
            WireError::Older { what, found, known } => {
                write!(
                    f,
                    "{what} of version {found}, but this release knows versions from {known} on: upgrade whoever sent it"
                )
            }
            WireError::Length { what, bytes, bytes_max } => {
                write!(f, "{what} of {bytes} bytes, where at most {bytes_max} are taken")
            }
            WireError::Checksum { carried, computed } => {
                write!(f, "checksum {carried:#010x} does not hold: the bytes have {computed:#010x}")
            }
            WireError::Truncated { what } => write!(f, "ends in the middle of {what}"),
            WireError::UnknownKind { what, kind } => write!(f, "unknown kind {kind} of {what}"),
            WireError::Value { what } => write!(f, "impossible value of {what}"),
            WireError::Trailing { what, bytes } => write!(f, "{bytes} bytes too many after {what}"),
        }
    }
}

impl std::error::Error for WireError {}
