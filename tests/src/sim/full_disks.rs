//! Disks that are filled up on purpose, and what clients are told then.

use skep_raftstore::transport::memory::Link;

use super::settings::Plan;
use super::world::World;

/// What clients were told after disks had filled up.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Told {
    /// Commands that were answered.
    pub answered: usize,
    /// Writes that were refused for want of space.
    pub refused: usize,
    /// Commands that timed out.
    pub timed_out: u64,
}

/// The disks of some of three stores fill up while clients write to all of them; after a minute there is room again. What
/// clients were told in the last half of the minute, and in the half after it.
pub fn full_disks(seed: u64, stores: &[usize]) -> (Told, Told) {
    let mut world = World::new(seed, &Plan::still(), false);
    // Nothing makes room.
    world.settings.checkpoint_log_bytes = u64::MAX;
    world.settings.think_ticks = 1;
    // Frames that are lost are another matter: then nobody knows whether a write that is sent again was taken the first time.
    world.network.set_every_link(Link { delay_ticks: 0..=2, ..Link::default() });
    world.settings.request_timeout_ticks = 500;
    world.pass(400);
    for &at in stores {
        world.limit_disk(at, Some(3 * world.settings.segment_bytes));
    }
    world.pass(3000);
    let full = told_while(&mut world, 3000);
    for &at in stores {
        world.limit_disk(at, None);
    }
    world.pass(800);
    (full, told_while(&mut world, 1500))
}

fn told_while(world: &mut World, ticks: u64) -> Told {
    let before = world.clients.told();
    world.pass(ticks);
    let after = world.clients.told();
    Told {
        answered: after.answered - before.answered,
        refused: after.refused - before.refused,
        timed_out: after.timed_out - before.timed_out,
    }
}
