//! What a store does about what it heard of the others, decided without a socket or a file.
//!
//! The order of founding, and why no two clusters come of it, is in docs/PROTOCOL.md, "Who are you?".

use skep_raftstore::codec::{Introduction, Stage};
use skep_raftstore::ids::ClusterId;

use super::founding::{Founder, Founding};

/// What was heard from one of the listed addresses in a round.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) address: String,
    /// Who is there, or why that is not known.
    pub(super) says: Result<Introduction, String>,
}

/// What a store that is outside of any cluster does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Nothing, and why.
    Wait(String),
    /// It promises, durably, to found with these.
    Promise(Founding),
    /// It is a member from now on: all have promised, or one of the founders is a member already.
    Found(Founding),
    /// It belongs to this cluster from now on, and has no part in it yet.
    Join(ClusterId, Founding),
}

/// Why a store must not begin, if there is a reason. It has not touched its directory.
pub(super) fn refusal(own: &Introduction, heard: &[Heard]) -> Option<String> {
    met(heard).find_map(|(address, other)| {
        let (us, them) = (own.speaker.identity(), other.speaker.identity());
        if us.store.0 != 0 && us.store == them.store {
            let store = us.store;
            return Some(if us.uuid == them.uuid {
                format!("the directory is a copy of the one that {address} runs from: stop one of the two stores")
            } else {
                format!("{address} is another store with the same id {store}: choose a new directory for one of them")
            });
        }
        let clusters = (us.cluster, them.cluster);
        match (is_outside(own), is_outside(other)) {
            (false, false) if clusters.0 != clusters.1 => Some(format!(
                "the directory belongs to cluster {}, but {address} to cluster {}: choose another directory, or other addresses",
                clusters.0, clusters.1
            )),
            // Its cluster knows where the others are: addresses may change one store at a time.
            (false, _) => None,
            (true, _) => disagreement(own, address, other),
        }
    })
}

/// What a store outside of any cluster does next. `promise` is its own, in force since before the round began.
pub(super) fn step(own: &Introduction, promise: Option<&Founding>, heard: &[Heard]) -> Step {
    let members: Vec<_> = met(heard).filter(|(_, other)| !is_outside(other)).collect();
    if !members.is_empty() {
        return beside(own, promise, &members);
    }
    let missing = heard.iter().filter_map(|heard| Some((&heard.address, heard.says.as_ref().err()?)));
    let missing: Vec<String> = missing.map(|(address, why)| format!("{address} ({why})")).collect();
    if !missing.is_empty() {
        return Step::Wait(format!("waiting for {}", missing.join(" and ")));
    }
    if let Some(why) = met(heard).find_map(|(address, other)| disagreement(own, address, other)) {
        return Step::Wait(why);
    }
    let mut founders = vec![name(own)];
    founders.extend(met(heard).map(|(_, other)| name(other)));
    if founders.iter().any(|(store, _)| store.0 == 0) {
        return Step::Wait("waiting for a store that is starting".into());
    }
    let founding = Founding::new(own.plan, own.regions, founders);
    if let Some(pair) = founding.founders().windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let store = pair[0].0;
        return Step::Wait(format!(
            "two of the addresses lead to a store with the id {store}: each needs a directory of its own"
        ));
    }
    let is_promised_by_all = met(heard).all(|(_, other)| other.founders() == founding.founders());
    match promise {
        Some(promise) if *promise == founding && is_promised_by_all => Step::Found(founding),
        Some(promise) if *promise == founding => {
            Step::Wait("the stores are agreeing to found a cluster".into())
        }
        Some(_) | None => Step::Promise(founding),
    }
}

/// There is a cluster already.
fn beside(own: &Introduction, promise: Option<&Founding>, members: &[(&str, &Introduction)]) -> Step {
    let (first, member) = members[0];
    let cluster = member.speaker.identity().cluster;
    if let Some((other, stranger)) =
        members.iter().find(|(_, other)| other.speaker.identity().cluster != cluster)
    {
        let theirs = stranger.speaker.identity().cluster;
        return Step::Wait(format!(
            "{first} belongs to cluster {cluster}, but {other} to cluster {theirs}: correct the list"
        ));
    }
    if member.plan != own.plan {
        return Step::Wait(format!(
            "{first} plans clusters in another way: start the version of Skep that it runs"
        ));
    }
    let founding = Founding::new(member.plan, member.regions, member.founders());
    if founding.cluster() != cluster {
        return Step::Wait(format!(
            "what {first} says about its cluster does not fit together: start the version of Skep that it runs"
        ));
    }
    let (store, uuid) = name(own);
    match founding.founders().iter().find(|(founder, _)| *founder == store) {
        Some((_, known)) if *known != uuid => Step::Wait(format!(
            "the cluster at {first} has another store with our id {store}: remove our directory, so that it gets a new one"
        )),
        // Whoever promised something else afterwards may be counted on there.
        Some(_) if promise.is_some_and(|promise| *promise != founding) => Step::Wait(format!(
            "{first} founded a cluster with us that we have given up since: remove our directory, so that we can join as a new store"
        )),
        Some(_) => Step::Found(founding),
        None => Step::Join(cluster, founding),
    }
}

/// How what `address` was told differs from what we were.
fn disagreement(own: &Introduction, address: &str, other: &Introduction) -> Option<String> {
    if own.listed != other.listed {
        let only = |one: &Introduction, two: &Introduction| {
            let missing: Vec<&str> =
                one.listed.iter().filter(|listed| !two.listed.contains(listed)).map(String::as_str).collect();
            missing.join(" and ")
        };
        let (ours, theirs) = (only(own, other), only(other, own));
        let ours = if ours.is_empty() { String::new() } else { format!("; it does not have {ours}") };
        let theirs = if theirs.is_empty() { String::new() } else { format!("; only it has {theirs}") };
        return Some(format!(
            "{address} was given another list of stores{ours}{theirs}: give every store the same list"
        ));
    }
    if is_outside(other) && own.regions != other.regions {
        let (ours, theirs) = (own.regions, other.regions);
        return Some(format!(
            "{address} was told to make {theirs} regions, this store {ours}: tell every store the same"
        ));
    }
    (own.plan != other.plan).then(|| {
        format!("{address} plans clusters in another way: start the same version of Skep everywhere")
    })
}

fn met(heard: &[Heard]) -> impl Iterator<Item = (&str, &Introduction)> {
    heard.iter().filter_map(|heard| Some((heard.address.as_str(), heard.says.as_ref().ok()?)))
}

fn name(who: &Introduction) -> Founder {
    let identity = who.speaker.identity();
    (identity.store, identity.uuid)
}

/// Whether it belongs to no cluster. A stage that is not known is of a later release, and belongs to one.
pub(super) fn is_outside(who: &Introduction) -> bool {
    who.stage() == Some(Stage::Outside)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
