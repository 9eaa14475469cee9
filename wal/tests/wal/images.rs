//! A hundred thousand images that crashes leave, drawn at random, over random scripts of everything the log can do.
//!
//! `SKEP_WAL_IMAGES=1000000 SKEP_WAL_SEED=77 cargo test -p skep-wal images` looks at others, and at more.

use std::sync::Arc;

use crate::twin::Twin;
use crate::world::{Chance, World, tiny};
use skep_wal::{Wal, WalConfig};

/// Images that every test run looks at.
const IMAGES: u64 = 100_000;

const STEPS_PER_SCRIPT: u64 = 40;

/// How many images are drawn at one point of a script.
const IMAGES_PER_STEP: u64 = 6;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

fn config(chance: &mut Chance, base: WalConfig) -> WalConfig {
    WalConfig {
        align_after_sync: chance.of(4) != 0,
        prepared_segments: chance.of(2) as usize,
        slack_segments: chance.of(2) as usize,
        open_threads: 1 + usize::from(chance.of(8) == 0),
        ..base
    }
}

/// One script; says how many images were looked at.
pub(crate) fn script(seed: u64, base: WalConfig) -> u64 {
    let mut chance = Chance(seed);
    let mut world = World::new(config(&mut chance, base));
    let mut images = 0;
    for _ in 0..STEPS_PER_SCRIPT {
        match chance.of(16) {
            0..=8 => {
                let records: Vec<_> = (0..=chance.of(3)).map(|_| chance.raw()).collect();
                world.append(&records).unwrap();
            }
            9..=11 => world.sync().unwrap(),
            12 | 13 => drop(world.wal.maintain().unwrap()),
            14 => world = sync_fails(world, &mut chance),
            _ => (world, _) = world.crash(&mut chance, 0),
        }
        for _ in 0..IMAGES_PER_STEP {
            images += crashes(&world, &mut chance);
        }
    }
    images
}

/// The power goes, perhaps again while the log is opened; the log goes on, and the power goes once more.
fn crashes(world: &World, chance: &mut Chance) -> u64 {
    let again = if chance.of(3) == 0 { 1 + chance.of(2) } else { 0 };
    let (mut recovered, images) = world.crash(chance, again);
    if chance.of(3) != 0 {
        return images;
    }
    let records = [chance.raw(), chance.raw()];
    recovered.append(&records).unwrap();
    if chance.of(2) == 0 {
        recovered.sync().unwrap();
        recovered.append(&[chance.raw()]).unwrap();
    }
    images + recovered.crash(chance, 0).1
}

/// A sync fails, and the pages that it should have written are clean, written or not. The log refuses all work; the next
/// process takes from the disk what is really there.
fn sync_fails(world: World, chance: &mut Chance) -> World {
    let disk = world.disk.clone();
    disk.fail_sync_in_part(0, chance.of(u64::MAX));
    let failed = world.wal.sync().is_err();
    disk.fail_sync(u64::MAX, false);
    let history: Vec<Twin> =
        if failed { world.history.clone() } else { world.history[world.history.len() - 1..].to_vec() };
    assert!(!failed || world.wal.sync().is_err() && world.wal.maintain().is_err());
    let config = world.config.clone();
    drop(world);
    disk.restart();
    World::check(disk, &config, &history)
}

/// Nothing acknowledged is lost, the log always opens and calls nothing damaged, and goes on from there.
#[test]
fn no_random_image_loses_what_was_acknowledged() {
    let (wanted, first) = (setting("SKEP_WAL_IMAGES", IMAGES), setting("SKEP_WAL_SEED", 1));
    let threads = 2;
    let parts: Vec<_> = (0..threads)
        .map(|part| {
            std::thread::spawn(move || {
                let (mut images, mut seed) = (0, first + part);
                while images < wanted.div_ceil(threads) {
                    let told = std::panic::catch_unwind(|| script(seed, tiny()));
                    images += told.unwrap_or_else(|panic| {
                        eprintln!("seed {seed}: SKEP_WAL_IMAGES=1 SKEP_WAL_SEED={seed} shows it again");
                        std::panic::resume_unwind(panic)
                    });
                    seed += threads;
                }
                images
            })
        })
        .collect();
    let images: u64 = parts.into_iter().map(|part| part.join().unwrap()).sum();
    println!("{images} images");
    assert!(images >= wanted);
}

/// A disk whose names are only in the cache loses whole files, and the log opens all the same.
#[test]
fn a_crash_before_anything_was_synced_leaves_an_empty_log() {
    for changes in 0..40 {
        let disk = skep_wal::MemDisk::new(1);
        disk.stop_after(changes);
        let _ = Wal::open(Arc::new(disk.clone()), tiny());
        for image in disk.images() {
            World::check(image, &tiny(), &[Twin::default()]);
        }
    }
}
