//! Every image that a crash can leave, for scripts that leave few enough: of all sectors dirtied since the last sync
//! every combination of their versions, and of all changes of names.
//!
//! A script is a line of steps. `e1.300` appends 300 bytes to stream 1, `o1.300` overwrites its last entry, `h1` a hard
//! state, `n1.200` a named state, `t1` truncates its last entry, `c1` compacts it, `r1` restarts it, `x1` removes it; `+`
//! puts several into one batch. `sync`, `maintain`, and `open` (the process ends, the next one opens the log).

use crate::twin::{Raw, Twin};
use crate::world::{Chance, World, tiny};

/// What `images` is used for at most: 2^12 combinations, if no sector was written twice.
const UNDECIDED_MAX: u64 = 12;

const SCRIPTS: [&str; 24] = [
    // Frames that nobody synced, one sector, several, side by side.
    "e1.100",
    "e1.100 sync e1.100",
    "e1.100 sync e1.1500 e2.1500 e3.1500",
    "e1.100 e2.100 e3.100 e4.100 sync e1.60 e2.60 e3.60 e1.60 e2.60",
    "e1.1000 sync e1.2000+e2.1000+h1",
    "h1 sync h1 h2 h1+e1.900",
    "sync sync e1.10 sync e1.3000 h1 h2 h3",
    // A frame that shares its first sector with the one before it.
    "e1.100 sync maintain e1.100 e1.100 e1.100 e1.1500 h1",
    // Entries are replaced, cut, forgotten.
    "e1.100 e1.100 e1.100 sync o1.200 o1.1200 o1.1500",
    "e1.100 e1.100 e1.100 sync t1 t1 e1.900",
    "e1.100 e1.100 e1.100+e2.50 sync c1 e1.700 c2 h2",
    "e1.100+e2.200+h1 sync x1 e1.300 x2",
    "e1.100+n1.300 sync n1.800 r1 e1.600",
    "n1.2000 sync n1.1000+n2.1000+n3.600 n1.2000",
    // The log rolls over into the next segment, synced before or not.
    "e1.2300 e1.2300 e1.2300 e1.2300 sync e1.2300 e2.200 e3.200",
    "e1.2300 e1.2300 e1.2300 e1.2300 e1.2000 sync e1.2300 e1.100",
    // A recycled segment is written over.
    "e1.2300 e1.2300 e1.2300 e1.2300 e1.2300 sync c1 sync maintain maintain e2.2300 e2.2300 e2.2300 sync e2.2300 e2.900",
    "e1.2300 e1.2300 e1.2300 e1.2300 e1.2300 c1 sync maintain e2.2300 e2.2300 e2.2300 e2.2300 sync maintain c2 sync \
     maintain e2.1000 e1.1000",
    // Idle streams are carried forward, and the power goes before that is durable.
    "e4.100+h4 e5.100 sync e1.2300 e1.2300 e1.2300 e1.2300 e1.2300 e1.2300 e1.2300 c1 sync maintain e1.900 e2.2300",
    // The process ends, and what it had not synced is found in the page cache.
    "e1.100 sync e1.1800 open e1.100 e2.900",
    "e1.2300 sync e1.2300 open e1.900 e1.400",
    "e1.100 open open e1.100 open h1+e1.1200",
    // At rest: the end is proven, and the next batch comes.
    "e1.500 sync maintain e1.100 sync maintain o1.1900",
    "e1.100+e2.100+e3.100+e4.100+e5.100 sync maintain maintain c1+c2+c3+c4+c5 e1.10+e2.10+e3.10+e4.10+e5.1000",
];

fn raw(word: &str) -> Raw {
    let (name, length) = word.split_once('.').unwrap_or((word, "0"));
    let stream: u8 = name[1..].parse().unwrap();
    // `Twin::add` counts streams from one, and takes payloads eight times shorter than its number says.
    let kind = |kind, a, b| Raw { kind, stream: stream - 1, a, b };
    let length: u16 = length.parse().unwrap();
    match &name[..1] {
        "e" => kind(0, 64 + stream, length.div_ceil(5) * 8 / 5 * 5 + 4),
        "o" => kind(7, 0, length.div_ceil(5) * 8 / 5 * 5 + 4),
        "h" => kind(8, stream, 20),
        "n" => kind(10, stream, length),
        "t" => kind(11, 0, 0),
        "c" => kind(12, 1, 0),
        "r" => kind(14, 1, 70),
        "x" => kind(15, 0, 0),
        other => panic!("no step {other}"),
    }
}

fn play(script: &str, mut after_each: impl FnMut(&World)) -> World {
    let mut world = World::new(tiny());
    for step in script.split_whitespace() {
        match step {
            "sync" => world.sync().unwrap(),
            "maintain" => drop(world.wal.maintain().unwrap()),
            "open" => {
                world.disk.restart();
                world = World::check(world.disk, &world.config, &world.history[world.history.len() - 1..]);
            }
            batch => world.append(&batch.split('+').map(raw).collect::<Vec<_>>()).unwrap(),
        }
        after_each(&world);
    }
    world
}

/// Looks at every image that a crash at this point can leave, if they are few enough; says how many there were.
fn look_at_all(world: &World) -> u64 {
    if world.disk.undecided() > UNDECIDED_MAX {
        return 0;
    }
    let mut images = 0;
    for image in world.disk.images() {
        images += 1;
        let mut again = World::check(image, &world.config, &world.history);
        if images % 4 == 0 {
            again.append(&[raw("e1.700"), raw("h3")]).unwrap();
            again.crash(&mut Chance(images), images % 2);
        }
    }
    images
}

/// Nothing acknowledged is lost in any image, and the log opens on every one. Where it was cut, it goes on: a batch is
/// appended to what was recovered, the power goes again, and the recovered part is still there.
#[test]
fn no_image_of_any_script_loses_what_was_acknowledged() {
    let mut images = 0;
    for script in SCRIPTS {
        let world = play(script, |world| images += look_at_all(world));
        let undecided = world.disk.undecided();
        assert!((1..=UNDECIDED_MAX).contains(&undecided), "{script}: {undecided} sectors and names");
    }
    println!("{images} images of {} scripts", SCRIPTS.len());
    assert!(images > 10_000, "{images}");
}

/// The model does lose things: some image of an unsynced batch holds it, some does not.
#[test]
fn images_differ() {
    let world = play("e1.100 sync e1.900", |_| {});
    let found: Vec<Twin> = world
        .disk
        .images()
        .map(|image| World::check(image, &world.config, &world.history).history.remove(0))
        .collect();
    assert!(found.contains(&world.history[0]) && found.contains(&world.history[1]));
    assert!(found.len() >= 4);
}
