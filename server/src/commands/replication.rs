//! ROLE, WAIT, CLUSTER, and how fresh the answers to reads are.

use bytes::Bytes;

use super::errors::{self, NOT_AN_INTEGER};
use super::{Context, Outcome};
use crate::clients::Consistency;
use crate::resp::{Reply, parse_integer};

/// Redis' own words: clients that could use a cluster go on without one.
const NO_CLUSTER: &str = "ERR This instance has cluster support disabled";

pub(super) fn role(_: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    Reply::Array(vec![Reply::constant("master"), Reply::Integer(0), Reply::Array(Vec::new())]).into()
}

/// A write is answered once a majority has it on disk. So when this is answered, behind the answers of all writes before
/// it, so many others have them.
pub(super) fn wait(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let (Some(_), Some(timeout)) = (parse_integer(&arguments[1]), parse_integer(&arguments[2])) else {
        return Reply::error(NOT_AN_INTEGER).into();
    };
    if timeout < 0 {
        return Reply::error("ERR timeout is negative").into();
    }
    let voters = context.engine.region_at(b"").membership.voters.len();
    Reply::Integer(voters as i64 / 2).into()
}

pub(super) fn cluster(_: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    Reply::error(NO_CLUSTER).into()
}

pub(super) fn readonly(context: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    context.session.consistency = Consistency::Stale;
    Reply::OK.into()
}

pub(super) fn readwrite(context: &mut Context<'_>, _: &[Bytes]) -> Outcome {
    context.session.consistency = Consistency::Linearizable;
    Reply::OK.into()
}

pub(super) fn consistency(context: &mut Context<'_>, arguments: &[Bytes]) -> Outcome {
    let wanted = match arguments {
        [_] => None,
        [_, word] if word.eq_ignore_ascii_case(b"linearizable") => Some(Consistency::Linearizable),
        [_, word] if word.eq_ignore_ascii_case(b"stale") => Some(Consistency::Stale),
        [_, _] => return Reply::error("ERR consistency is linearizable or stale").into(),
        _ => return errors::wrong_arity("consistency").into(),
    };
    let Some(wanted) = wanted else {
        return Reply::constant(match context.session.consistency {
            Consistency::Linearizable => "linearizable",
            Consistency::Stale => "stale",
        })
        .into();
    };
    context.session.consistency = wanted;
    Reply::OK.into()
}
