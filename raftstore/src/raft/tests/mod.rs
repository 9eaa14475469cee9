//! Stories and random schedules.

mod disk;
mod garbage;
mod group;
mod ledger;
mod mutants;
mod random;
mod scripts;
mod twins;
mod unborn;
