//! Stories and random schedules.

mod disk;
mod garbage;
mod group;
mod ledger;
mod random;
mod scripts;
mod twins;
