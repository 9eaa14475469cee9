//! Stories and random schedules.

mod disk;
mod garbage;
mod group;
mod leases;
mod ledger;
mod mutants;
mod pauses;
mod random;
mod ranks;
mod scripts;
mod snapshots;
mod twins;
mod unborn;
