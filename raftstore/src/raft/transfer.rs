//! Handing leadership to another voter (3.10).

use super::core::Raft;
use super::effects::Effects;
use super::message::Body;
use super::mutant::Mutant;
use super::types::{ReplicaId, Tick};

/// A transfer under way. Nothing is proposed meanwhile, so that the target catches up.
#[derive(Debug)]
pub(super) struct Transfer {
    to: ReplicaId,
    /// When the leader goes on by itself.
    pub(super) give_up_at: Tick,
    /// Whether the target was told to campaign.
    asked: bool,
}

impl Raft {
    /// Asking again for the same target does not prolong it, another target replaces it, and who cannot lead is no target.
    pub(super) fn start_transfer(&mut self, now: Tick, to: ReplicaId) {
        let give_up_at = now.after(self.config.election_ticks_max());
        let membership = self.membership();
        let is_target = membership.voters.contains(&to) && !membership.is_witness(to) && to != self.config.id;
        let Ok(leading) = self.leading_mut() else { return };
        if is_target && leading.transfer.as_ref().is_none_or(|transfer| transfer.to != to) {
            leading.transfer = Some(Transfer { to, give_up_at, asked: false });
        }
    }

    /// Tells the target to campaign as soon as it has everything.
    pub(super) fn flush_transfer(&mut self, fx: &mut Effects) {
        let (last, is_hasty) = (self.log.last().index, self.build.is(Mutant::HandsOverTooSoon));
        let Ok(leading) = self.leading_mut() else { return };
        let Some(to) =
            leading.transfer.as_ref().filter(|transfer| !transfer.asked).map(|transfer| transfer.to)
        else {
            return;
        };
        if leading.progress(to).is_none_or(|target| target.matched() < last && !is_hasty) {
            return;
        }
        if let Some(transfer) = &mut leading.transfer {
            transfer.asked = true;
        }
        leading.lease.end();
        self.say(to, Body::TimeoutNow, fx);
    }

    pub(super) fn give_up_late_transfer(&mut self, now: Tick) {
        let is_stubborn = self.build.is(Mutant::HandsOverForEver);
        if let Ok(leading) = self.leading_mut()
            && !is_stubborn
        {
            leading.transfer.take_if(|transfer| now >= transfer.give_up_at);
        }
    }
}
