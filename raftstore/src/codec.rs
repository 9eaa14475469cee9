//! Control packets: the rare and small payloads that go through `bincode`, which only this module knows.
//!
//! ```text
//! packet := magic u32 | version u8 | kind u8 | length u16 | crc32 u32 | payload
//! ```
//!
//! The twelve bytes in front are laid out by hand, little-endian, so that a packet of another protocol, of a
//! newer version or of an absurd length is refused before `bincode` sees any of it. The payload is `bincode`
//! with fixed-width little-endian numbers, limited to [`PAYLOAD_BYTES_MAX`]. Nothing on disk is written with
//! it.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bincode::{Decode, Encode};

use crate::ids::{ClusterId, Life, StoreId};
use crate::transport::Identity;
use crate::wire::WireError;
use crate::wire::frame;

/// What a control packet starts with: "SKPC".
pub const MAGIC: u32 = u32::from_le_bytes(*b"SKPC");
/// The version of the packets. Any other is refused by name. (1 did not say to whom it spoke.)
pub const VERSION: u8 = 2;
/// Magic, version, kind, length, checksum.
pub const HEADER_BYTES: usize = 12;
/// The longest payload. A handshake takes about 60 bytes and a sentence.
pub const PAYLOAD_BYTES_MAX: usize = 4096;
/// The longest reason of a refusal; what is longer is cut.
pub const REASON_BYTES_MAX: usize = 1024;
/// Stores that an introduction can list. With the longest addresses it still fits a payload.
pub const LISTED_MAX: usize = 9;
/// Bytes of an address in an introduction.
pub const ADDRESS_BYTES_MAX: usize = 255;

// Three times numbers and lengths, and the list, its founders and the own address at their longest.
const _: () =
    assert!(256 + (LISTED_MAX + 1) * (8 + ADDRESS_BYTES_MAX) + LISTED_MAX * 20 <= PAYLOAD_BYTES_MAX);

/// What a connection will carry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Purpose {
    /// Urgent and bulk frames.
    Messages = 1,
    /// Pieces of snapshots.
    Snapshots = 2,
}

/// A payload that can stand in a packet.
pub trait Control: Encode + Decode<()> {
    /// The packet's kind. Zero is none.
    const KIND: u8;
    /// What to call it in a refusal.
    const NAME: &'static str;
}

/// Who is speaking, and how.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Speaker {
    cluster: u64,
    store: u32,
    uuid: [u8; 16],
    life: u64,
    /// The newest version of frames that the speaker knows.
    pub frame_version: u8,
}

/// The first packet on a connection, from the one who dialed.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Hello {
    /// Who dialed.
    pub speaker: Speaker,
    purpose: u8,
    to: u32,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct HelloReply {
    /// Who answered.
    pub speaker: Speaker,
    /// Why frames will not be taken, in words; `None` if they will.
    pub refusal: Option<String>,
}

/// How far a store is on its way into a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Stage {
    /// It belongs to none.
    Outside = 1,
    /// It founded its cluster, or has replicas in it.
    Member = 2,
    /// It belongs to a cluster that others founded, and has no replicas yet.
    Joining = 3,
}

/// What a store says of itself to whoever asks at its address, in a cluster or not. Nothing follows from it but whom to
/// greet: what counts is the handshake.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Introduction {
    /// Who it is. Cluster zero: none. Store zero: it has no directory yet.
    pub speaker: Speaker,
    stage: u8,
    /// Where others reach it.
    pub address: String,
    /// The addresses of all stores, as it was told, sorted.
    pub listed: Vec<String>,
    /// Into how many regions it was told to cut a new cluster.
    pub regions: u32,
    /// The version of what a new cluster is planned by.
    pub plan: u32,
    founders: Vec<(u32, [u8; 16])>,
}

/// "Who are you?", by one who says who he is.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Question(pub Introduction);

/// The answer to a [`Question`].
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Answer(pub Introduction);

impl Introduction {
    /// Of a store that knows no cluster, and was told nothing.
    pub fn new(identity: Identity) -> Introduction {
        Introduction {
            speaker: Speaker::new(identity),
            stage: Stage::Outside as u8,
            address: String::new(),
            listed: Vec::new(),
            regions: 0,
            plan: 0,
            founders: Vec::new(),
        }
    }

    /// How far it is, if this release knows that.
    pub fn stage(&self) -> Option<Stage> {
        [Stage::Outside, Stage::Member, Stage::Joining].into_iter().find(|stage| *stage as u8 == self.stage)
    }

    /// Says how far it is.
    pub fn set_stage(&mut self, stage: Stage) {
        self.stage = stage as u8;
    }

    /// With whom it founded its cluster, or, outside of one, has promised to: ids and uuids, sorted. Empty: with nobody yet.
    pub fn founders(&self) -> Vec<(StoreId, [u8; 16])> {
        self.founders.iter().map(|(store, uuid)| (StoreId(*store), *uuid)).collect()
    }

    /// Says with whom.
    pub fn set_founders(&mut self, founders: &[(StoreId, [u8; 16])]) {
        self.founders = founders.iter().map(|(store, uuid)| (store.0, *uuid)).collect();
    }
}

impl Speaker {
    /// One of `identity` and this release.
    pub fn new(identity: Identity) -> Speaker {
        Speaker {
            cluster: identity.cluster.0,
            store: identity.store.0,
            uuid: identity.uuid,
            life: identity.life.0,
            frame_version: frame::VERSION,
        }
    }

    /// Who it claims to be.
    pub fn identity(&self) -> Identity {
        Identity {
            cluster: ClusterId(self.cluster),
            store: StoreId(self.store),
            uuid: self.uuid,
            life: Life(self.life),
        }
    }
}

impl Hello {
    /// A greeting to `to`.
    pub fn new(identity: Identity, to: StoreId, purpose: Purpose) -> Hello {
        Hello { speaker: Speaker::new(identity), purpose: purpose as u8, to: to.0 }
    }

    /// Whom the dialer looks for at this address.
    pub fn to(&self) -> StoreId {
        StoreId(self.to)
    }

    /// What the connection is for, if this release knows it.
    pub fn purpose(&self) -> Option<Purpose> {
        [Purpose::Messages, Purpose::Snapshots].into_iter().find(|purpose| *purpose as u8 == self.purpose)
    }
}

impl HelloReply {
    /// A welcome, or a refusal.
    pub fn new(identity: Identity, refusal: Option<String>) -> HelloReply {
        let refusal = refusal.map(|mut reason| {
            reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
            reason
        });
        HelloReply { speaker: Speaker::new(identity), refusal }
    }
}

impl Control for Hello {
    const KIND: u8 = 1;
    const NAME: &'static str = "a hello";
}

impl Control for HelloReply {
    const KIND: u8 = 2;
    const NAME: &'static str = "a hello's reply";
}

impl Control for Question {
    const KIND: u8 = 3;
    const NAME: &'static str = "a question who we are";
}

impl Control for Answer {
    const KIND: u8 = 4;
    const NAME: &'static str = "an introduction";
}

/// Whether a whole packet is one of this kind.
pub fn is<C: Control>(packet: &[u8]) -> bool {
    packet.get(5) == Some(&C::KIND)
}

/// The packet that carries `control`.
pub fn encode<C: Control>(control: &C) -> Result<Vec<u8>, WireError> {
    let payload =
        bincode::encode_to_vec(control, config()).map_err(|_| WireError::Value { what: C::NAME })?;
    check_length(payload.len())?;
    let mut packet = Vec::with_capacity(HEADER_BYTES + payload.len());
    packet.extend_from_slice(&MAGIC.to_le_bytes());
    packet.extend_from_slice(&[VERSION, C::KIND]);
    packet.extend_from_slice(&(payload.len() as u16).to_le_bytes());
    packet.extend_from_slice(&crc32fast::hash(&payload).to_le_bytes());
    packet.extend_from_slice(&payload);
    Ok(packet)
}

/// How long the packet is that starts with `header`, header included. Nothing else of it is trusted yet.
pub fn packet_length(header: &[u8; HEADER_BYTES]) -> Result<usize, WireError> {
    let magic = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    if magic != MAGIC {
        return Err(WireError::Foreign { magic });
    }
    if header[4] > VERSION {
        return Err(WireError::Newer { what: "a handshake", found: header[4], known: VERSION });
    }
    if header[4] < VERSION {
        return Err(WireError::Older { what: "a handshake", found: header[4], known: VERSION });
    }
    let payload_bytes = usize::from(u16::from_le_bytes([header[6], header[7]]));
    check_length(payload_bytes)?;
    Ok(HEADER_BYTES + payload_bytes)
}

/// The payload of a whole packet.
pub fn decode<C: Control>(packet: &[u8]) -> Result<C, WireError> {
    let header = packet.first_chunk().ok_or(WireError::Truncated { what: "a packet's header" })?;
    let length = packet_length(header)?;
    if packet.len() < length {
        return Err(WireError::Truncated { what: C::NAME });
    }
    if packet.len() > length {
        return Err(WireError::Trailing { what: C::NAME, bytes: packet.len() - length });
    }
    if header[5] != C::KIND {
        return Err(WireError::UnknownKind { what: "a packet", kind: header[5] });
    }
    let payload = &packet[HEADER_BYTES..];
    let carried = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    let computed = crc32fast::hash(payload);
    if carried != computed {
        return Err(WireError::Checksum { carried, computed });
    }
    let (control, used) =
        bincode::decode_from_slice(payload, config()).map_err(|_| WireError::Value { what: C::NAME })?;
    match payload.len() - used {
        0 => Ok(control),
        bytes => Err(WireError::Trailing { what: C::NAME, bytes }),
    }
}

fn config() -> Configuration<LittleEndian, Fixint, Limit<PAYLOAD_BYTES_MAX>> {
    bincode::config::standard().with_fixed_int_encoding().with_limit()
}

fn check_length(payload_bytes: usize) -> Result<(), WireError> {
    if payload_bytes <= PAYLOAD_BYTES_MAX {
        return Ok(());
    }
    let (bytes, bytes_max) = (payload_bytes as u64, PAYLOAD_BYTES_MAX as u64);
    Err(WireError::Length { what: "a packet's payload", bytes, bytes_max })
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
