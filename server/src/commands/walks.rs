//! The commands that walk through the keys of all regions: SCAN, KEYS, RANDOMKEY, KV.RANGE, FLUSHALL.
//!
//! Each region's part is linearizable; together they are not a snapshot.

use std::sync::Arc;

use bytes::Bytes;
use skep_engine::{Answer, Command, Error, ScanShape};

use super::errors::{self, NOT_AN_INTEGER, SYNTAX, reply_to};
use super::{Context, Outcome, Step, Walk, Work, glob, unexpected};
use crate::limits::ANSWER_BYTES_MAX;
use crate::resp::{Reply, parse_integer};
use crate::server::Server;

const NOT_A_CURSOR: &str = "ERR invalid cursor";
const NO_FLUSH: &str = "ERR FLUSHALL and FLUSHDB are switched off here: skep dev --allow-flush, or client.allow_flush = true for skep serve";

/// How many keys SCAN looks at unless it is told.
const COUNT: u32 = 10;
/// How many keys are asked of a region at once where all are wanted.
const PAGE: u32 = u32::MAX;

/// A range of keys: from the first one on, before the second one if there is one.
type Range = (Bytes, Option<Bytes>);

/// A walk in the order of keys, from region to region. `take` is given the pairs of each page.
struct Rising<T> {
    end: Option<Bytes>,
    shape: ScanShape,
    take: T,
}

/// What a page's receiver says.
enum Verdict {
    /// It wants up to so many pairs more.
    More(u32),
    Enough(Reply),
}

/// Receives pairs, and the key to go on from if there is more.
trait Receiver: Send + 'static {
    fn page(&mut self, pairs: Vec<(Bytes, Bytes)>, resume: Option<&Bytes>) -> Verdict;
}

impl<T: Receiver> Walk for Rising<T> {
    fn next(&mut self, answer: Result<Answer, Error>) -> Step {
        let (pairs, resume) = match pairs_of(answer) {
            Ok(page) => page,
            Err(error) => return Step::Reply(error),
        };
        match (self.take.page(pairs, resume.as_ref()), resume) {
            (Verdict::Enough(reply), _) => Step::Reply(reply),
            (Verdict::More(limit), Some(start)) => {
                Step::Ask(Command::Scan { start, end: self.end.clone(), limit, shape: self.shape })
            }
            // Receivers that see the end answer.
            (Verdict::More(_), None) => Step::Reply(unexpected(&Answer::Done)),
        }
    }
}

fn rising<T: Receiver>((start, end): Range, limit: u32, shape: ScanShape, take: T) -> Outcome {
    let first = Command::Scan { start, end: end.clone(), limit, shape };
    Outcome::Work(Work::Walk(first, Box::new(Rising { end, shape, take })))
}

type Page = (Vec<(Bytes, Bytes)>, Option<Bytes>);

fn pairs_of(answer: Result<Answer, Error>) -> Result<Page, Reply> {
    match answer {
        Ok(Answer::Pairs { pairs, resume }) => Ok((pairs, resume)),
        Ok(other) => Err(unexpected(&other)),
        Err(error) => Err(reply_to(&error, false)),
    }
}

const KEYS: ScanShape = ScanShape { keys_only: true, falling: false };

pub(super) fn scan(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    scan_command(context.server, arguments).unwrap_or_else(Outcome::Reply)
}

fn scan_command(server: &Arc<Server>, arguments: &[Bytes]) -> Result<Outcome, Reply> {
    let cursor = std::str::from_utf8(&arguments[1]).ok().and_then(|text| text.parse::<u64>().ok());
    let cursor = cursor.ok_or_else(|| Reply::error(NOT_A_CURSOR))?;
    let options = scan_options(&arguments[2..]).map_err(Reply::error)?;
    let (mut start, end) = glob::range(options.pattern.as_deref().unwrap_or(b"*"));
    if cursor != 0 {
        start = server.cursors.key(cursor).ok_or_else(|| Reply::error(NOT_A_CURSOR))?.max(start);
    }
    let limit = options.count;
    Ok(rising((start, end), limit, KEYS, OnePage { server: Arc::clone(server), cursor, options }))
}

struct ScanOptions {
    pattern: Option<Bytes>,
    count: u32,
    /// Whether keys of the type that is asked for exist here.
    is_wanted: bool,
}

fn scan_options(words: &[Bytes]) -> Result<ScanOptions, &'static str> {
    let mut options = ScanOptions { pattern: None, count: COUNT, is_wanted: true };
    let (pairs, rest) = words.as_chunks::<2>();
    for [word, value] in pairs {
        match &word.to_ascii_uppercase()[..] {
            b"MATCH" => options.pattern = Some(value.clone()),
            b"COUNT" => match parse_integer(value).ok_or(NOT_AN_INTEGER)? {
                count @ 1.. => options.count = u32::try_from(count).unwrap_or(u32::MAX),
                _ => return Err(SYNTAX),
            },
            b"TYPE" => options.is_wanted = value.eq_ignore_ascii_case(b"string"),
            _ => return Err(SYNTAX),
        }
    }
    if rest.is_empty() { Ok(options) } else { Err(SYNTAX) }
}

/// SCAN: one page, and where the next one begins.
struct OnePage {
    server: Arc<Server>,
    cursor: u64,
    options: ScanOptions,
}

impl Receiver for OnePage {
    fn page(&mut self, pairs: Vec<(Bytes, Bytes)>, resume: Option<&Bytes>) -> Verdict {
        let next = resume.map_or(0, |key| self.server.cursors.give(key.clone(), self.cursor));
        let is_wanted = |key: &Bytes| {
            self.options.is_wanted
                && self.options.pattern.as_ref().is_none_or(|pattern| glob::matches_key(pattern, key))
        };
        let keys = pairs.into_iter().map(|(key, _)| key).filter(is_wanted);
        let keys = Reply::Array(keys.map(Reply::Bulk).collect());
        Verdict::Enough(Reply::Array(vec![Reply::text(next.to_string()), keys]))
    }
}

pub(super) fn keys(_: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let pattern = arguments[1].clone();
    rising(glob::range(&pattern), PAGE, KEYS, AllKeys { pattern, found: Found::default() })
}

/// Replies that are gathered, up to a limit.
#[derive(Default)]
struct Found {
    replies: Vec<Reply>,
    bytes: usize,
}

impl Found {
    /// False if there is no more room.
    fn push(&mut self, reply: Reply) -> bool {
        self.bytes += size_of::<Reply>() + reply.bytes();
        self.replies.push(reply);
        self.bytes <= ANSWER_BYTES_MAX
    }

    fn reply(&mut self) -> Reply {
        Reply::Array(std::mem::take(&mut self.replies))
    }
}

struct AllKeys {
    pattern: Bytes,
    found: Found,
}

impl Receiver for AllKeys {
    fn page(&mut self, pairs: Vec<(Bytes, Bytes)>, resume: Option<&Bytes>) -> Verdict {
        for (key, _) in pairs {
            // Copied: a slice would keep the whole page, whatever does not match in it.
            if glob::matches_key(&self.pattern, &key)
                && !self.found.push(Reply::Bulk(Bytes::copy_from_slice(&key)))
            {
                return Verdict::Enough(errors::too_many_values());
            }
        }
        match resume {
            Some(_) => Verdict::More(PAGE),
            None => Verdict::Enough(self.found.reply()),
        }
    }
}

/// `KV.RANGE start end [REV] [LIMIT n] [KEYSONLY]`. An empty end is no bound.
pub(super) fn kv_range(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let options = match range_options(&arguments[3..]) {
        Ok(options) => options,
        Err(error) => return Reply::error(error).into(),
    };
    let end = Some(arguments[2].clone()).filter(|end| !end.is_empty());
    let range = (arguments[1].clone(), end);
    if options.limit == 0 {
        return Reply::Array(Vec::new()).into();
    }
    let ScanShape { keys_only, falling } = options.shape;
    let take = Pairs { keys_only, left: options.limit, found: Found::default() };
    if falling {
        return fall(context, range, take);
    }
    rising(range, options.limit, options.shape, take)
}

struct RangeOptions {
    limit: u32,
    shape: ScanShape,
}

fn range_options(mut words: &[Bytes]) -> Result<RangeOptions, &'static str> {
    let mut options = RangeOptions { limit: u32::MAX, shape: ScanShape::default() };
    while let Some((word, rest)) = words.split_first() {
        match (&word.to_ascii_uppercase()[..], rest) {
            (b"REV", _) => (options.shape.falling, words) = (true, rest),
            (b"KEYSONLY", _) => (options.shape.keys_only, words) = (true, rest),
            (b"LIMIT", [limit, rest @ ..]) => {
                let limit = parse_integer(limit).and_then(|limit| u64::try_from(limit).ok());
                options.limit = u32::try_from(limit.ok_or(NOT_AN_INTEGER)?).unwrap_or(u32::MAX);
                words = rest;
            }
            _ => return Err(SYNTAX),
        }
    }
    Ok(options)
}

struct Pairs {
    keys_only: bool,
    left: u32,
    found: Found,
}

impl Receiver for Pairs {
    fn page(&mut self, pairs: Vec<(Bytes, Bytes)>, resume: Option<&Bytes>) -> Verdict {
        for (key, value) in pairs {
            let key = Reply::Bulk(key);
            let pair = if self.keys_only { key } else { Reply::Array(vec![key, Reply::Bulk(value)]) };
            self.left = self.left.saturating_sub(1);
            if !self.found.push(pair) {
                return Verdict::Enough(errors::too_many_values());
            }
        }
        match resume {
            Some(_) if self.left > 0 => Verdict::More(self.left),
            Some(_) | None => Verdict::Enough(self.found.reply()),
        }
    }
}

/// A walk against the order of keys.
struct Falling {
    /// What is still to be shown; the last one first.
    ranges: Vec<Range>,
    take: Pairs,
}

fn fall(context: &Context<'_>, (start, end): Range, take: Pairs) -> Outcome {
    // As the regions lie now, so that none is asked for what another has; where they have moved, they say so.
    let regions = context.engine.regions().into_iter();
    let mut ranges: Vec<Range> = regions
        .map(|region| (region.start.max(start.clone()), earlier(region.end, end.clone())))
        .filter(|(start, end)| end.as_ref().is_none_or(|end| start < end))
        .collect();
    let limit = take.left;
    let Some(last) = ranges.pop() else { return Reply::Array(Vec::new()).into() };
    let first = falling_scan(&last, limit, take.keys_only);
    ranges.push(last);
    Outcome::Work(Work::Walk(first, Box::new(Falling { ranges, take })))
}

fn earlier(a: Option<Bytes>, b: Option<Bytes>) -> Option<Bytes> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (end, None) | (None, end) => end,
    }
}

fn falling_scan((start, end): &Range, limit: u32, keys_only: bool) -> Command {
    let shape = ScanShape { keys_only, falling: true };
    Command::Scan { start: start.clone(), end: end.clone(), limit, shape }
}

impl Walk for Falling {
    fn next(&mut self, answer: Result<Answer, Error>) -> Step {
        let (pairs, resume) = match pairs_of(answer) {
            Ok(page) => page,
            Err(error) => return Step::Reply(error),
        };
        let asked = self.ranges.pop();
        match (asked, resume) {
            (Some((start, _)), Some(end)) if !pairs.is_empty() => self.ranges.push((start, Some(end))),
            // The region ends before the range does: the part beyond comes first.
            (Some((start, end)), Some(cut)) => {
                self.ranges.extend([(start, Some(cut.clone())), (cut, end)]);
            }
            (_, None) | (None, _) => {}
        }
        let next = self.ranges.last().map(|(start, _)| start.clone());
        match (self.take.page(pairs, next.as_ref()), self.ranges.last()) {
            (Verdict::More(limit), Some(range)) => Step::Ask(falling_scan(range, limit, self.take.keys_only)),
            (Verdict::Enough(reply), _) => Step::Reply(reply),
            (Verdict::More(_), None) => Step::Reply(self.take.found.reply()),
        }
    }
}

/// Regions, each asked once for any of its keys until one has some.
struct AnyKey {
    /// The first keys of those that were not asked yet.
    left: Vec<Bytes>,
    seed: u64,
}

pub(super) fn randomkey(context: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    let seed = context.server.chance();
    let mut left: Vec<Bytes> = context.engine.regions().into_iter().map(|region| region.start).collect();
    let regions = left.len();
    left.rotate_left(seed as usize % regions.max(1));
    let mut walk = AnyKey { left, seed: seed >> 16 };
    match walk.ask() {
        Step::Ask(first) => Outcome::Work(Work::Walk(first, Box::new(walk))),
        Step::Reply(reply) => reply.into(),
    }
}

impl AnyKey {
    fn ask(&mut self) -> Step {
        match self.left.pop() {
            Some(key) => Step::Ask(Command::AnyKey { key, seed: self.seed }),
            None => Step::Reply(Reply::Null),
        }
    }
}

impl Walk for AnyKey {
    fn next(&mut self, answer: Result<Answer, Error>) -> Step {
        match answer {
            Ok(Answer::Value(None)) => self.ask(),
            Ok(Answer::Value(Some(key))) => Step::Reply(Reply::Bulk(key)),
            Ok(other) => Step::Reply(unexpected(&other)),
            Err(error) => Step::Reply(reply_to(&error, false)),
        }
    }
}

/// Every region from the first to the last, as they lie when each is reached.
struct Flush;

pub(super) fn flush(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let is_known = |word: &Bytes| word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async");
    if arguments.len() > 2 || !arguments[1..].iter().all(is_known) {
        return Reply::error(SYNTAX).into();
    }
    if !context.server.allow_flush {
        return Reply::error(NO_FLUSH).into();
    }
    Outcome::Work(Work::Walk(Command::Clear { key: Bytes::new() }, Box::new(Flush)))
}

impl Walk for Flush {
    fn next(&mut self, answer: Result<Answer, Error>) -> Step {
        match answer {
            Ok(Answer::Pairs { resume: Some(key), .. }) => Step::Ask(Command::Clear { key }),
            Ok(Answer::Pairs { resume: None, .. }) => Step::Reply(Reply::OK),
            Ok(other) => Step::Reply(unexpected(&other)),
            Err(error) => Step::Reply(reply_to(&error, true)),
        }
    }
}
