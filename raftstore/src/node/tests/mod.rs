//! Stories about nodes driven by hand: what is promised, and the defects of `raft-io` that do not exist here.

mod behaviour;
mod cluster;
mod defects_cost;
mod defects_disk;
mod defects_later;
mod defects_seed;
mod logs_agree;
mod membership;
mod power_loss;
mod snapshots;
mod watched;
mod witnesses;
