//! Of those who can lead, the one of the lowest rank does; the others, if it cannot.

use super::group::{Found, Group};
use crate::raft::{Event, Role};

const SIZE: u64 = 5;

/// A group that has no leader, in which one is preferred. Each number of lives draws other timeouts.
fn group(preferred: u64, lives: u64) -> Group {
    let mut group = Group::new(vec![Some(Found::default()); SIZE as usize]);
    group.preferred = Some(preferred);
    for _ in 0..lives {
        (1..=SIZE).for_each(|id| group.restart(id));
    }
    group
}

/// Who leads in the end, after so many ticks at most.
fn first_leader(group: &mut Group, ticks: u64) -> Option<u64> {
    for _ in 0..ticks {
        group.now = group.now.after(1);
        for id in (1..=SIZE).filter(|id| group.is_up(*id)).collect::<Vec<_>>() {
            if group.raft(id).deadline() <= group.now {
                group.step(id, Event::Timeout);
            }
        }
        while !group.network.is_empty() {
            let packet = group.network.remove(0);
            if group.is_up(packet.route().1) {
                group.deliver(packet);
            }
            (1..=SIZE).for_each(|id| while group.is_up(id) && group.persist(id).is_some() {});
        }
        (1..=SIZE).for_each(|id| while group.is_up(id) && group.persist(id).is_some() {});
        let leads = |id: &u64| group.is_up(*id) && group.raft(*id).role() == Role::Leader;
        if let Some(leader) = (1..=SIZE).find(leads) {
            return Some(leader);
        }
    }
    None
}

#[test]
fn who_is_preferred_leads_if_it_can() {
    for lives in 1..100 {
        let preferred = 1 + lives % SIZE;
        assert_eq!(first_leader(&mut group(preferred, lives), 30), Some(preferred));
    }
}

#[test]
fn without_it_another_one_leads() {
    for lives in 1..100 {
        let preferred = 1 + lives % SIZE;
        let mut group = group(preferred, lives);
        group.crash(preferred);
        assert!(first_leader(&mut group, 200).is_some_and(|leader| leader != preferred));
    }
}

#[test]
fn a_log_that_is_behind_is_not_helped_by_its_rank() {
    let mut group =
        Group::new([1, 1, 2, 2, 2].map(|term| Some(Found { terms: vec![term], ..Found::default() })).into());
    group.preferred = Some(1);
    (1..=SIZE).for_each(|id| group.restart(id));
    assert!(first_leader(&mut group, 200).is_some_and(|leader| leader > 2));
}
