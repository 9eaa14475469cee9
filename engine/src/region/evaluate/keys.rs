//! Commands about many keys of a region.

use std::ops::ControlFlow;

use bytes::Bytes;
use skep_raftstore::machine::{Fatal, Stamp};

use super::expiry::{count_expired, next_expiry};
use super::{Scene, is_alive};
use crate::ScanShape;
use crate::descriptor::RegionDescriptor;
use crate::limits::{ANY_KEY_MAX, SCAN_BYTES_MAX};
use crate::machine::{KeyMachine, Octets, Order};
use crate::reply_bytes::{self, PairsWriter};

/// How much of a scan is wanted, and how.
#[derive(Clone, Copy)]
pub(super) struct Page {
    pub(super) limit: u32,
    pub(super) shape: ScanShape,
}

/// Of all of these keys of the region, those that have not expired.
pub(super) fn count<M: KeyMachine>(data: &M, scene: Scene<'_>, all: u64) -> Result<Bytes, Fatal> {
    if next_expiry(data, scene.now)?.is_some_and(|at| !is_alive(Some(at), scene.asked)) {
        return Ok(reply_bytes::behind());
    }
    Ok(reply_bytes::integer((all - count_expired(data, scene.now)?) as i64))
}

/// The `seed`-th of the first keys, counted round and round.
pub(super) fn any<M: KeyMachine>(data: &M, scene: Scene<'_>, seed: u64) -> Result<Bytes, Fatal> {
    let mut keys_left = match data.count().min(ANY_KEY_MAX) {
        0 => return Ok(reply_bytes::value(None)),
        keys => seed % keys,
    };
    // The key itself, or if it has expired the last before it, or the first behind it.
    let mut found: Option<Octets> = None;
    data.scan((&[], None), Order::Rising, &mut |key, _, expires| {
        if is_alive(expires, scene.now.max(scene.asked)) {
            found = Some(key.into());
        }
        if keys_left == 0 && found.is_some() {
            return ControlFlow::Break(());
        }
        keys_left = keys_left.saturating_sub(1);
        ControlFlow::Continue(())
    })?;
    Ok(reply_bytes::value(found.as_deref()))
}

/// Deletes all; where the next region starts.
pub(super) fn clear<M: KeyMachine>(data: &mut M, region: &RegionDescriptor) -> Result<Bytes, Fatal> {
    data.clear()?;
    Ok(PairsWriter::new().finish(region.end.as_deref()))
}

pub(super) fn scan<M: KeyMachine>(
    data: &M,
    scene: Scene<'_>,
    (start, end): (&[u8], Option<&[u8]>),
    page: Page,
) -> Result<Bytes, Fatal> {
    let beyond = scene.region.end.as_deref().filter(|beyond| end.is_none_or(|end| *beyond < end));
    if page.shape.falling {
        return match beyond {
            Some(beyond) => Ok(PairsWriter::new().finish(Some(beyond))),
            None => filled(data, scene, (start, end), page, None),
        };
    }
    filled(data, scene, (start, end), page, beyond)
}

fn filled<M: KeyMachine>(
    data: &M,
    scene: Scene<'_>,
    range: (&[u8], Option<&[u8]>),
    page: Page,
    beyond: Option<&[u8]>,
) -> Result<Bytes, Fatal> {
    let mut pairs = PairsWriter::new();
    let mut resume: Option<Octets> = None;
    let mut is_behind = false;
    let mut visit = |key: &[u8], value: &[u8], expires: Option<Stamp>| {
        if !is_alive(expires, scene.now) {
            return ControlFlow::Continue(());
        }
        let value = if page.shape.keys_only { &[] } else { value };
        let full = pairs.bytes() + key.len() + value.len() > SCAN_BYTES_MAX && pairs.count() > 0;
        if full || pairs.count() >= page.limit {
            resume = Some(if page.shape.falling { after(key) } else { key.into() });
            return ControlFlow::Break(());
        }
        is_behind = !is_alive(expires, scene.asked);
        if is_behind {
            return ControlFlow::Break(());
        }
        pairs.push(key, value);
        ControlFlow::Continue(())
    };
    let order = if page.shape.falling { Order::Falling } else { Order::Rising };
    data.scan(range, order, &mut visit)?;
    if is_behind {
        return Ok(reply_bytes::behind());
    }
    Ok(pairs.finish(resume.as_deref().or(beyond)))
}

/// What follows a key directly.
fn after(key: &[u8]) -> Octets {
    Octets::joined(key, &[0])
}
