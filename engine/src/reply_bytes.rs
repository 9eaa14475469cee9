//! The bytes of a reply: what a region's machine says about one command. They live in snapshots and on the wire.
//!
//! Little-endian; `string` is a length (u32) and that many bytes.
//!
//! | kind (u8) | reply | fields |
//! |---|---|---|
//! | 1 | done | |
//! | 2 | refused: the condition did not hold | |
//! | 3 | integer | i64 |
//! | 4 | a value | all that follows |
//! | 5 | no value | |
//! | 6 | pairs | count: u32, so many of: key: string, value: string; is there a key to go on from: u8 (0, 1), that key: string |
//! | 7 | what several commands answer | count: u32, so many replies: string |
//! | 32 | regions: a split was done, and these came of it | count: u16, so many descriptors: string |
//! | 33 | keys at which a region could be split | count: u16, so many: string |
//! | 64 | stale: another region has this key | count: u16, so many descriptors: string |
//! | 65 | not an integer | |
//! | 66 | overflow | |
//! | 67 | the value would be too large | bytes: u64 |
//! | 68 | its number is below what its store still waits for | |
//! | 69 | of an earlier life of its store | |
//! | 70 | so old that its reply was forgotten | |
//! | 71 | damaged: cannot be decoded | |
//! | 72 | the machine failed | why, in UTF-8: all that follows |
//! | 73 | not a number with a fraction | |
//! | 74 | the sum is no finite number | |
//! | 75 | carried out, but the answer would be too large | |
//! | 76 | behind: the region's time must move on before this query can be answered | |

use bytes::Bytes;

use crate::Answer;
use crate::descriptor::RegionDescriptor;
use crate::error::Error;
use crate::layout::{Reader, Unreadable, put_string};
use crate::limits::{BOUND_BYTES_MAX, COMMAND_BYTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

const DONE: u8 = 1;
const REFUSED: u8 = 2;
const INTEGER: u8 = 3;
const VALUE: u8 = 4;
const NO_VALUE: u8 = 5;
const PAIRS: u8 = 6;
const REGIONS: u8 = 32;
const KEYS: u8 = 33;
const SEVERAL: u8 = 7;
const STALE: u8 = 64;
const NOT_AN_INTEGER: u8 = 65;
const OVERFLOW: u8 = 66;
const VALUE_TOO_LARGE: u8 = 67;
const ANSWERED: u8 = 68;
const EARLIER_LIFE: u8 = 69;
const FORGOTTEN: u8 = 70;
const DAMAGED: u8 = 71;
const FAILED: u8 = 72;
const NOT_A_FLOAT: u8 = 73;
const NOT_FINITE: u8 = 74;
const ANSWER_TOO_LARGE: u8 = 75;
const BEHIND: u8 = 76;

/// Bytes of the smallest pair: two lengths.
const PAIR_BYTES_MIN: usize = 8;

/// Bytes of the smallest reply among several: its length and its kind.
const REPLY_BYTES_MIN: usize = 5;

/// What a region's machine says about a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    /// It was carried out.
    Answer(Answer),
    /// A split was done; this is what came of it.
    Regions(Vec<RegionDescriptor>),
    /// A region could be split here.
    Keys(Vec<Bytes>),
    /// Its key lies elsewhere: in one of these, perhaps.
    Stale(Vec<RegionDescriptor>),
    /// It was not carried out.
    Rejected(Rejection),
    /// A value may have expired by the time of whoever asks, and not by that of the region.
    Behind,
    /// The data could not be read.
    Failed(String),
}

/// Why a command was not carried out, or is not answered. The same on every replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rejection {
    NotAnInteger,
    Overflow,
    /// The value would have so many bytes.
    ValueTooLarge(u64),
    /// The store that sent it said that it has its answer.
    Answered,
    /// The store that sent it has been started again since.
    EarlierLife,
    /// It was carried out or not so long ago that nobody knows.
    Forgotten,
    /// It is no command.
    Damaged,
    NotAFloat,
    NotFinite,
    AnswerTooLarge,
}

impl From<Rejection> for Error {
    fn from(why: Rejection) -> Error {
        match why {
            Rejection::NotAnInteger => Error::NotAnInteger,
            Rejection::Overflow => Error::Overflow,
            Rejection::ValueTooLarge(bytes) => Error::ValueTooLarge { bytes: bytes as usize },
            Rejection::Answered | Rejection::EarlierLife | Rejection::Forgotten => Error::OutcomeUnknown,
            Rejection::Damaged => Error::Internal("a command arrived damaged".into()),
            Rejection::NotAFloat => Error::NotAFloat,
            Rejection::NotFinite => Error::NotFinite,
            Rejection::AnswerTooLarge => Error::AnswerTooLarge,
        }
    }
}

pub(crate) fn done() -> Bytes {
    Bytes::from_static(&[DONE])
}

pub(crate) fn refused() -> Bytes {
    Bytes::from_static(&[REFUSED])
}

pub(crate) fn integer(number: i64) -> Bytes {
    match number {
        // The answers of most deletes.
        0 => Bytes::from_static(&[INTEGER, 0, 0, 0, 0, 0, 0, 0, 0]),
        1 => Bytes::from_static(&[INTEGER, 1, 0, 0, 0, 0, 0, 0, 0]),
        _ => with_number(INTEGER, number.to_le_bytes()),
    }
}

pub(crate) fn value(value: Option<&[u8]>) -> Bytes {
    let Some(value) = value else { return Bytes::from_static(&[NO_VALUE]) };
    let mut out = Vec::with_capacity(1 + value.len());
    out.push(VALUE);
    out.extend_from_slice(value);
    Bytes::from(out)
}

pub(crate) fn several(replies: &[Bytes]) -> Bytes {
    let bytes = replies.iter().map(|reply| 4 + reply.len()).sum::<usize>();
    let mut out = Vec::with_capacity(5 + bytes);
    out.push(SEVERAL);
    out.extend_from_slice(&(replies.len() as u32).to_le_bytes());
    replies.iter().for_each(|reply| put_string(&mut out, reply));
    Bytes::from(out)
}

pub(crate) fn behind() -> Bytes {
    Bytes::from_static(&[BEHIND])
}

/// Pairs on their way into a reply.
pub(crate) struct PairsWriter {
    out: Vec<u8>,
    count: u32,
}

impl PairsWriter {
    pub(crate) fn new() -> PairsWriter {
        PairsWriter { out: vec![PAIRS, 0, 0, 0, 0], count: 0 }
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn bytes(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        put_string(&mut self.out, key);
        put_string(&mut self.out, value);
        self.count += 1;
    }

    /// The reply. `resume` is the key to go on from.
    pub(crate) fn finish(mut self, resume: Option<&[u8]>) -> Bytes {
        self.out[1..5].copy_from_slice(&self.count.to_le_bytes());
        self.out.push(resume.is_some().into());
        if let Some(resume) = resume {
            put_string(&mut self.out, resume);
        }
        Bytes::from(self.out)
    }
}

pub(crate) fn stale(regions: &[&RegionDescriptor]) -> Bytes {
    let mut out = vec![STALE];
    out.extend_from_slice(&(regions.len() as u16).to_le_bytes());
    regions.iter().for_each(|region| put_string(&mut out, &region.encode()));
    Bytes::from(out)
}

pub(crate) fn regions(regions: &[RegionDescriptor]) -> Bytes {
    let mut out = vec![REGIONS];
    out.extend_from_slice(&(regions.len() as u16).to_le_bytes());
    regions.iter().for_each(|region| put_string(&mut out, &region.encode()));
    Bytes::from(out)
}

pub(crate) fn keys<K: AsRef<[u8]>>(keys: &[K]) -> Bytes {
    let mut out = vec![KEYS];
    out.extend_from_slice(&(keys.len() as u16).to_le_bytes());
    keys.iter().for_each(|key| put_string(&mut out, key.as_ref()));
    Bytes::from(out)
}

pub(crate) fn rejected(why: Rejection) -> Bytes {
    Bytes::from_static(match why {
        Rejection::NotAnInteger => &[NOT_AN_INTEGER],
        Rejection::Overflow => &[OVERFLOW],
        Rejection::ValueTooLarge(bytes) => return with_number(VALUE_TOO_LARGE, bytes.to_le_bytes()),
        Rejection::Answered => &[ANSWERED],
        Rejection::EarlierLife => &[EARLIER_LIFE],
        Rejection::Forgotten => &[FORGOTTEN],
        Rejection::Damaged => &[DAMAGED],
        Rejection::NotAFloat => &[NOT_A_FLOAT],
        Rejection::NotFinite => &[NOT_FINITE],
        Rejection::AnswerTooLarge => &[ANSWER_TOO_LARGE],
    })
}

pub(crate) fn failed(why: &str) -> Bytes {
    Bytes::from([&[FAILED], why.as_bytes()].concat())
}

fn with_number(kind: u8, number: [u8; 8]) -> Bytes {
    let mut out = [kind; 9];
    out[1..].copy_from_slice(&number);
    Bytes::copy_from_slice(&out)
}

/// Reads a reply. Values are slices of `bytes`.
pub(crate) fn decode(bytes: &Bytes) -> Result<Reply, Unreadable> {
    let mut from = Reader::new(bytes);
    let reply = match from.u8()? {
        DONE => Reply::Answer(Answer::Done),
        REFUSED => Reply::Answer(Answer::Refused),
        INTEGER => Reply::Answer(Answer::Integer(from.i64()?)),
        VALUE => return Ok(Reply::Answer(Answer::Value(Some(bytes.slice(1..))))),
        NO_VALUE => Reply::Answer(Answer::Value(None)),
        PAIRS => decode_pairs(bytes, &mut from)?,
        REGIONS => Reply::Regions(decode_regions(&mut from)?),
        KEYS => Reply::Keys(decode_keys(bytes, &mut from)?),
        SEVERAL => decode_several(bytes, &mut from)?,
        STALE => Reply::Stale(decode_regions(&mut from)?),
        NOT_AN_INTEGER => Reply::Rejected(Rejection::NotAnInteger),
        OVERFLOW => Reply::Rejected(Rejection::Overflow),
        VALUE_TOO_LARGE => Reply::Rejected(Rejection::ValueTooLarge(from.u64()?)),
        ANSWERED => Reply::Rejected(Rejection::Answered),
        EARLIER_LIFE => Reply::Rejected(Rejection::EarlierLife),
        FORGOTTEN => Reply::Rejected(Rejection::Forgotten),
        DAMAGED => Reply::Rejected(Rejection::Damaged),
        NOT_A_FLOAT => Reply::Rejected(Rejection::NotAFloat),
        NOT_FINITE => Reply::Rejected(Rejection::NotFinite),
        ANSWER_TOO_LARGE => Reply::Rejected(Rejection::AnswerTooLarge),
        BEHIND => Reply::Behind,
        FAILED => return Ok(Reply::Failed(String::from_utf8_lossy(from.rest()).into_owned())),
        0 => return Err(Unreadable::Damaged("a reply of kind zero")),
        newer => return Err(Unreadable::Newer("reply", newer.into())),
    };
    from.end()?;
    Ok(reply)
}

fn decode_pairs(bytes: &Bytes, from: &mut Reader<'_>) -> Result<Reply, Unreadable> {
    let count = from.u32()? as usize;
    if count > from.left() / PAIR_BYTES_MIN {
        return Err(Unreadable::Damaged("an impossible number of pairs"));
    }
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let (key, value) = (from.string(KEY_BYTES_MAX)?, from.string(VALUE_BYTES_MAX)?);
        pairs.push((bytes.slice_ref(key), bytes.slice_ref(value)));
    }
    let more = from.flag("rest of a scan")?;
    let resume = if more { Some(bytes.slice_ref(from.string(BOUND_BYTES_MAX)?)) } else { None };
    Ok(Reply::Answer(Answer::Pairs { pairs, resume }))
}

fn decode_keys(bytes: &Bytes, from: &mut Reader<'_>) -> Result<Vec<Bytes>, Unreadable> {
    let count = from.u16()?;
    (0..count).map(|_| from.string(KEY_BYTES_MAX).map(|key| bytes.slice_ref(key))).collect()
}

/// Each of them is an answer or a rejection, and not of several itself: nothing is decoded deeper than once.
fn decode_several(bytes: &Bytes, from: &mut Reader<'_>) -> Result<Reply, Unreadable> {
    let count = from.u32()? as usize;
    if count > from.left() / REPLY_BYTES_MIN {
        return Err(Unreadable::Damaged("an impossible number of replies"));
    }
    let mut answers = Vec::with_capacity(count);
    for _ in 0..count {
        let reply = from.string(COMMAND_BYTES_MAX)?;
        if reply.first() == Some(&SEVERAL) {
            return Err(Unreadable::Damaged("several replies within several"));
        }
        answers.push(match decode(&bytes.slice_ref(reply))? {
            Reply::Answer(answer) => Ok(answer),
            Reply::Rejected(why) => Err(why.into()),
            Reply::Stale(_) | Reply::Behind | Reply::Failed(_) | Reply::Regions(_) | Reply::Keys(_) => {
                return Err(Unreadable::Damaged("a reply that cannot be one of several"));
            }
        });
    }
    Ok(Reply::Answer(Answer::Several(answers)))
}

fn decode_regions(from: &mut Reader<'_>) -> Result<Vec<RegionDescriptor>, Unreadable> {
    let count = from.u16()?;
    let mut regions = Vec::new();
    for _ in 0..count {
        regions.push(RegionDescriptor::decode(from.string(from.left())?)?);
    }
    Ok(regions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use skep_raftstore::ids::{Epoch, RegionId};

    use super::*;

    fn check_golden(reply: Reply, written: Bytes, golden: &'static [u8]) {
        assert_eq!(written, golden, "{reply:?}");
        assert_eq!(decode(&written), Ok(reply));
    }

    #[test]
    fn golden_bytes_of_answers() {
        check_golden(Reply::Answer(Answer::Done), done(), b"\x01");
        check_golden(Reply::Answer(Answer::Refused), refused(), b"\x02");
        let golden: [&[u8]; 4] = [
            b"\x03\0\0\0\0\0\0\0\0",
            b"\x03\x01\0\0\0\0\0\0\0",
            b"\x03\x02\0\0\0\0\0\0\0",
            b"\x03\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        for (number, golden) in [0, 1, 2, -1].into_iter().zip(golden) {
            check_golden(Reply::Answer(Answer::Integer(number)), integer(number), golden);
        }
        check_golden(Reply::Answer(Answer::Value(Some("vw".into()))), value(Some(b"vw")), b"\x04vw");
        check_golden(Reply::Answer(Answer::Value(Some("".into()))), value(Some(b"")), b"\x04");
        check_golden(Reply::Answer(Answer::Value(None)), value(None), b"\x05");
        let mut some = PairsWriter::new();
        some.push(b"k", b"vw");
        check_golden(
            Reply::Answer(Answer::Pairs { pairs: vec![("k".into(), "vw".into())], resume: Some("l".into()) }),
            some.finish(Some(b"l")),
            b"\x06\x01\0\0\0\x01\0\0\0k\x02\0\0\0vw\x01\x01\0\0\0l",
        );
        check_golden(
            Reply::Answer(Answer::Several(vec![
                Ok(Answer::Done),
                Ok(Answer::Value(Some("v".into()))),
                Err(Error::Overflow),
            ])),
            several(&[done(), value(Some(b"v")), rejected(Rejection::Overflow)]),
            b"\x07\x03\0\0\0\x01\0\0\0\x01\x02\0\0\0\x04v\x01\0\0\0\x42",
        );
    }

    #[test]
    fn golden_bytes_of_rejections() {
        let all: [(Rejection, &[u8]); 10] = [
            (Rejection::NotAnInteger, b"\x41"),
            (Rejection::Overflow, b"\x42"),
            (Rejection::ValueTooLarge(258), b"\x43\x02\x01\0\0\0\0\0\0"),
            (Rejection::Answered, b"\x44"),
            (Rejection::EarlierLife, b"\x45"),
            (Rejection::Forgotten, b"\x46"),
            (Rejection::Damaged, b"\x47"),
            (Rejection::NotAFloat, b"\x49"),
            (Rejection::NotFinite, b"\x4a"),
            (Rejection::AnswerTooLarge, b"\x4b"),
        ];
        for (why, golden) in all {
            check_golden(Reply::Rejected(why), rejected(why), golden);
        }
        check_golden(Reply::Behind, behind(), b"\x4c");
        check_golden(Reply::Failed("why".into()), failed("why"), b"\x48why");
        check_golden(Reply::Keys(vec!["k".into()]), keys(&["k"]), b"\x21\x01\0\x01\0\0\0k");
        let region = RegionDescriptor {
            id: RegionId(1),
            start: Bytes::new(),
            end: None,
            epoch: Epoch { version: 1, membership: 1 },
            membership: skep_raftstore::raft::Membership { number: 1, ..Default::default() },
        };
        let written = regions(std::slice::from_ref(&region));
        assert_eq!(written[..7], *b"\x20\x01\0\x24\0\0\0");
        assert_eq!(decode(&written), Ok(Reply::Regions(vec![region.clone()])));
        let written = stale(&[&region]);
        assert_eq!(written[..7], *b"\x40\x01\0\x24\0\0\0");
        assert_eq!(decode(&written), Ok(Reply::Stale(vec![region])));
    }

    #[test]
    fn refused_by_name() {
        assert_eq!(decode(&Bytes::new()), Err(Unreadable::Damaged("ends too early")));
        assert_eq!(decode(&Bytes::from_static(&[0])), Err(Unreadable::Damaged("a reply of kind zero")));
        assert_eq!(decode(&Bytes::from_static(&[8])), Err(Unreadable::Newer("reply", 8)));
        assert_eq!(decode(&Bytes::from_static(&[1, 1])), Err(Unreadable::Damaged("goes on too long")));
        let too_many = Bytes::from_static(b"\x06\xff\xff\xff\xff");
        assert_eq!(decode(&too_many), Err(Unreadable::Damaged("an impossible number of pairs")));
        let too_many = Bytes::from_static(b"\x07\xff\xff\xff\xff");
        assert_eq!(decode(&too_many), Err(Unreadable::Damaged("an impossible number of replies")));
        let deep = several(&[several(&[done()])]);
        assert_eq!(decode(&deep), Err(Unreadable::Damaged("several replies within several")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&Bytes::from(bytes));
        }
    }
}
