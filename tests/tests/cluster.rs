//! Three processes are one cluster: whoever is killed, frozen, away or started in whatever order, nothing is lost or stale.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use skep_tests::cluster::{Place, Store, Written, key, write_until};
use skep_tests::history::History;
use skep_tests::server::run;
use skep_tests::tools::Over;

/// On a real disk.
const ABOVE: &str = env!("CARGO_TARGET_TMPDIR");

/// One at a time: they measure pauses, and a machine of two cores has no room for the others' loads.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Small segments, so that nine logs do not fill the disk.
const SMALL: [&str; 2] = ["--wal-segment-bytes", "4MiB"];

#[test]
fn stores_found_one_cluster_in_every_order_and_stop_when_asked() {
    let _alone = alone();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let place = Place::new(ABOVE, 3, &SMALL);
        let mut stores: Vec<(usize, Store)> = order
            .iter()
            .map(|at| {
                thread::sleep(Duration::from_millis(100));
                (*at, place.start(*at))
            })
            .collect();
        stores.iter().for_each(|(_, store)| store.waits_until_healthy());
        stores.sort_by_key(|(at, _)| *at);
        let set = redis::cmd("SET").arg("a").arg("1").exec(&mut stores[0].1.connect(Duration::from_secs(20)));
        set.expect("it is written");
        for (_, store) in &stores {
            let got: String = redis::cmd("GET")
                .arg("a")
                .query(&mut store.connect(Duration::from_secs(20)))
                .expect("it is read");
            assert_eq!(got, "1");
        }
        for (at, store) in stores {
            assert_eq!(store.terminate().code(), Some(0));
            let said = fs::read_to_string(place.log(at)).expect("what it said");
            assert!(said.contains("stopped; all data is on disk"), "{said}");
        }
    }
}

#[test]
fn mistakes_are_refused_with_exit_code_2_and_nothing_is_touched() {
    let _alone = alone();
    let place = Place::new(ABOVE, 3, &SMALL);
    let (one, _two) = (place.start(0), place.start(1));
    one.waits_until("it waits", |status| status["verdict"].to_string().contains(place.address(2)));

    // Clients wait, and are told.
    let mut early = TcpStream::connect(&one.redis).expect("the store takes connections");
    early.write_all(b"PING\r\n").expect("sent");
    let mut told = String::new();
    early.read_to_string(&mut told).expect("an answer");
    assert!(told.starts_with("-LOADING ") && told.ends_with("\r\n") && told.lines().count() == 1, "{told}");

    let other = [place.address(0), place.address(2), "127.0.0.1:1"];
    let (status, _, complaint) = run(&mut place.command(2, &other));
    assert_eq!(status.code(), Some(2), "{complaint}");
    let expected = format!(
        "was given another list of stores; it does not have 127.0.0.1:1; only it has {}",
        place.address(1)
    );
    assert!(complaint.contains(&expected), "{complaint}");
    assert!(!place.data(2).exists());

    let wide = ["--client-listen", "0.0.0.0:0"];
    let all = [0, 1, 2].map(|at| place.address(at));
    let mut command = place.command(2, &all);
    let (status, _, complaint) =
        run(command.arg("--client-password").arg("").args(["--config", "/nonexistent"]));
    assert!(status.code() == Some(2) && complaint.contains("cannot be read"), "{complaint}");
    let mut command = Command::new(skep_tests::server::binary());
    command.arg("serve").args(["--store-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).args(wide);
    let (status, _, complaint) = run(&mut command);
    assert!(
        status.code() == Some(2) && complaint.contains("without a password: set client.password"),
        "{complaint}"
    );
}

/// Two clients write through the two stores that stay, while the third is killed in the middle.
#[test]
fn any_store_may_be_killed_and_writes_go_on_within_three_seconds() {
    let _alone = alone();
    let place = Place::new(ABOVE, 3, &SMALL);
    let mut stores: Vec<Option<Store>> = place.start_all().into_iter().map(Some).collect();
    for victim in 0..3 {
        let killed = stores[victim].take().expect("it runs");
        let stop = AtomicBool::new(false);
        let (one, two) = ((victim + 1) % 3, (victim + 2) % 3);
        let written: Vec<Written> = thread::scope(|scope| {
            let over = Over(&stop);
            let (stop, stores) = (&stop, &stores);
            let write = move |at: usize| {
                let store = stores[at].as_ref().expect("it runs");
                write_until(store, &format!("{victim}-{at}"), || stop.load(Ordering::Relaxed))
            };
            let writers = [one, two].map(|at| scope.spawn(move || write(at)));
            thread::sleep(Duration::from_secs(1));
            killed.kill();
            thread::sleep(Duration::from_secs(6));
            drop(over);
            writers.map(|writer| writer.join().expect("no error")).into()
        });
        let pause = written.iter().map(|written| written.longest_pause).max().expect("two writers");
        println!("store {victim} killed: writes stopped for {} ms", pause.as_millis());
        assert!(pause <= Duration::from_secs(3), "writes stopped for {pause:?}");

        let back = place.start(victim);
        back.waits_until_healthy();
        let mut connection = back.connect(Duration::from_secs(20));
        for (key, number) in written.iter().flat_map(|written| &written.acknowledged) {
            let got: Option<u64> = redis::cmd("GET").arg(key).query(&mut connection).expect("it is read");
            assert_eq!(got, Some(*number), "{key}");
        }
        assert!(written.iter().all(|written| written.acknowledged.len() == 64));
        stores[victim] = Some(back);
        stores.iter().flatten().for_each(Store::waits_until_healthy);
    }
}

/// The log's directory is taken away under a store that runs: it says so and ends, the others go on, and with its directory
/// put back it is one of them again.
#[test]
fn a_store_whose_log_fails_ends_with_exit_code_3_and_the_others_go_on() {
    let _alone = alone();
    let place = Place::new(ABOVE, 3, &["--wal-segment-bytes", "256KiB"]);
    let mut stores = place.start_all();
    let (log, away) = (place.data(2).join("wal"), place.data(2).join("away"));
    fs::rename(&log, &away).expect("it is renamed");

    let begun = Instant::now();
    let mut connection = stores[0].connect(Duration::from_secs(20));
    let mut written = 0_u64;
    while !stores[2].has_ended() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it goes on without its log");
        let value = vec![b'v'; 64 << 10];
        redis::cmd("SET")
            .arg(key("log", written))
            .arg(value)
            .exec(&mut connection)
            .expect("the others go on");
        written += 1;
    }
    assert_eq!(stores.pop().expect("the third").ended().code(), Some(3));
    let said = fs::read_to_string(place.log(2)).expect("what it said");
    assert!(
        said.lines()
            .any(|line| line.starts_with("skep: the store has failed: ") && line.contains("segment-")),
        "{said}"
    );
    println!("{written} writes, then: {}", said.lines().last().unwrap_or_default());

    redis::cmd("SET").arg("after").arg("it").exec(&mut connection).expect("the others go on");
    fs::rename(&away, &log).expect("it is renamed");
    let back = place.start(2);
    back.waits_until_healthy();
    let got: String =
        redis::cmd("GET").arg("after").query(&mut back.connect(Duration::from_secs(20))).expect("it is read");
    assert_eq!(got, "it");
}

/// A store's directory is deleted: what is started in its place is another store, takes part after a while, and holds
/// everything; then it can be relied on: another one is lost, and nothing is missing.
#[test]
fn a_store_that_was_wiped_is_replaced_by_a_new_one_that_can_be_relied_on() {
    let _alone = alone();
    let more = ["--wal-segment-bytes", "4MiB", "--cluster-replace-after", "2s"];
    let place = Place::new(ABOVE, 3, &more);
    let mut stores = place.start_all();
    let names = |store: &Store| -> Vec<String> {
        let status = store.status().expect("it runs");
        let stores = status["store_list"].as_array().expect("a list").iter();
        stores.map(|store| store["id"].to_string()).collect()
    };
    let before = names(&stores[0]);
    let mut connection = stores[0].connect(Duration::from_secs(20));
    for number in 0..256_u64 {
        redis::cmd("SET").arg(key("wipe", number)).arg(number).exec(&mut connection).expect("it is written");
    }

    stores.remove(1).kill();
    fs::remove_dir_all(place.data(1)).expect("it is wiped");
    let new = place.start(1);
    for store in [&stores[0], &stores[1], &new] {
        store.waits_until("it takes part under a new name, and the old one is gone", |status| {
            let stores = status["store_list"].as_array().map(Vec::as_slice).unwrap_or_default();
            let (old, new): (Vec<_>, Vec<_>) =
                stores.iter().partition(|store| before.contains(&store["id"].to_string()));
            status["stores_losable"] == 1 && (old.len(), new.len()) == (2, 1)
        });
    }

    // Store 0 is lost: the new one and store 2 have everything, and take more.
    stores.remove(0).kill();
    let mut connection = new.connect(Duration::from_secs(20));
    for number in 192..256_u64 {
        let got: Option<u64> =
            redis::cmd("GET").arg(key("wipe", number)).query(&mut connection).expect("it is read");
        assert_eq!(got, Some(number));
    }
    redis::cmd("SET").arg("after").arg("it").exec(&mut connection).expect("it is written");
}

/// The frozen store believes that it leads. What clients are answered, by it and by the others, before and after it goes on,
/// could have come from one copy of each key.
#[test]
fn a_leader_that_was_frozen_for_ten_seconds_answers_nothing_stale() {
    let _alone = alone();
    const KEYS: u64 = 64;
    let place = Place::new(ABOVE, 3, &SMALL);
    let stores = place.start_all();
    let leads = |status: &serde_json::Value| {
        status["store_list"]
            .as_array()
            .is_some_and(|list| list.iter().all(|store| store["leaders"].as_u64() > Some(0)))
    };
    stores[0].waits_until("all stores lead", leads);
    let (history, stop) = (&History::default(), &AtomicBool::new(false));
    let stores = &stores;

    // While it is frozen it is asked all the same, by many who wait.
    let ask = move |client: usize, at: usize, patience: Duration| {
        let mut connection = stores[at].connect(Duration::from_secs(60));
        let until = Instant::now() + patience;
        let mut asked = 0_u64;
        for number in (client as u64 * 7..).take_while(|_| Instant::now() < until) {
            asked += u64::from(history.get(client, &mut connection, &key("frozen", number % KEYS)));
            // Few enough to be checked.
            thread::sleep(Duration::from_millis(5));
        }
        asked
    };
    // An error means that nobody knows whether it was written.
    let write = move |client: usize, at: usize| {
        let mut connection = stores[at].connect(Duration::from_secs(30));
        let mut written = 0_u64;
        for number in (1_u64..).take_while(|_| !stop.load(Ordering::Relaxed)) {
            let (key, value) = (key("frozen", number % KEYS), format!("{client}-{number}"));
            written += u64::from(history.set(client, &mut connection, &key, &value));
            thread::sleep(Duration::from_millis(2));
        }
        written
    };
    let (answers, written): (u64, u64) = thread::scope(|scope| {
        let over = Over(stop);
        let writers = [(0, 1), (1, 0)].map(|(client, at)| scope.spawn(move || write(client, at)));
        thread::sleep(Duration::from_secs(1));
        let early = [(2, 0), (3, 0), (4, 0), (5, 0), (6, 2)];
        let early = early.map(|(client, at)| scope.spawn(move || ask(client, at, Duration::from_secs(16))));
        thread::sleep(Duration::from_secs(1));
        stores[0].freeze();
        thread::sleep(Duration::from_secs(5));
        // These are asked in the middle, when others have been elected.
        let late = [(7, 0), (8, 0), (9, 0), (10, 0), (11, 2)];
        let late = late.map(|(client, at)| scope.spawn(move || ask(client, at, Duration::from_secs(9))));
        thread::sleep(Duration::from_secs(5));
        stores[0].thaw();
        let answers = early.into_iter().chain(late).map(|asker| asker.join().expect("no panic")).sum();
        drop(over);
        (answers, writers.map(|writer| writer.join().expect("no panic")).iter().sum())
    });
    assert!(answers > 500 && written > 100, "{answers} reads, {written} writes");
    let keys = history.check();
    println!("{answers} reads and {written} writes of {keys} keys are linearizable");
}

#[test]
fn redis_benchmark_goes_to_its_end_while_regions_split_and_a_store_is_killed_and_comes_back() {
    let _alone = alone();
    if Command::new("redis-benchmark").arg("--version").stdout(Stdio::null()).status().is_err() {
        let is_required = std::env::var("SKEP_TEST_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
        assert!(!is_required, "redis-benchmark is missing (Debian: redis-tools)");
        return eprintln!("skipped: redis-benchmark is missing (Debian: redis-tools)");
    }
    let place = Place::new(ABOVE, 3, &SMALL);
    let mut stores = place.start_all();
    let (_, port) = stores[0].redis.rsplit_once(':').expect("an address has a port");
    let port = port.to_owned();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let benchmark = scope.spawn(|| {
            let _over = Over(&is_done);
            let mut command = Command::new("redis-benchmark");
            command.args([
                "-p",
                &port,
                "-t",
                "ping,set,get,incr,mset",
                "-n",
                "20000",
                "-r",
                "10000",
                "-c",
                "20",
                "-P",
                "4",
                "-q",
            ]);
            run(&mut command)
        });
        // In the middle of what is written, at another key each time.
        let admin = stores[0].admin.clone();
        let splits = scope.spawn(|| {
            let (admin, mut split) = (admin, 0);
            while !is_done.load(Ordering::Relaxed) {
                let key = format!("key:{:012}", (split * 3_877 + 1_000) % 10_000);
                let mut command = Command::new(skep_tests::server::binary());
                let (status, _, complaint) = run(command.args(["region", "split", &key, "--admin", &admin]));
                // With one of three stores lost there is a moment without a leader; then it is tried again.
                split += u64::from(status.success());
                assert!(status.success() || status.code() == Some(1), "{complaint}");
                thread::sleep(Duration::from_millis(300));
            }
            split
        });
        let mut killed = 0;
        while !is_done.load(Ordering::Relaxed) || killed == 0 {
            stores.remove(1).kill();
            thread::sleep(Duration::from_millis(700));
            stores.insert(1, place.start(1));
            stores[1].waits_until_healthy();
            killed += 1;
        }
        let (status, out, complaint) = benchmark.join().expect("no panic");
        assert!(
            status.success() && complaint.is_empty() && !out.to_lowercase().contains("err"),
            "{out}{complaint}"
        );
        let split = splits.join().expect("no panic");
        assert!(split > 0, "no region was split");
        println!(
            "regions were split {split} times and store 1 was killed {killed} times during\n{}",
            out.replace('\r', "\n")
        );
    });
}

/// How much is written while a store is away: enough that the log alone cannot bring it back. By hand, in MiB:
/// `SKEP_TEST_AWAY_MIB=2048 cargo test --release -p skep-tests --test cluster away -- --nocapture`.
fn away_mib() -> u64 {
    std::env::var("SKEP_TEST_AWAY_MIB").map_or(256, |mib| mib.parse().expect("a number"))
}

#[test]
fn a_store_that_was_away_while_much_was_written_catches_up_in_bounded_memory() {
    let _alone = alone();
    const VALUE_BYTES: usize = 64 << 10;
    const KEYS: u64 = 512;
    let place = Place::new(ABOVE, 3, &[]);
    let mut stores = place.start_all();
    stores.pop().expect("three").kill();
    let value = |number: u64| format!("{number}:{}", "v".repeat(VALUE_BYTES));
    let name = |number: u64| key("away", number % KEYS) + &format!(":{}", number % KEYS);
    let writes = away_mib() * (1 << 20) / VALUE_BYTES as u64;
    let mut connection = stores[0].connect(Duration::from_secs(30));
    for some in (0..writes).collect::<Vec<u64>>().chunks(16) {
        let mut pipe = redis::pipe();
        for number in some {
            pipe.cmd("SET").arg(name(*number)).arg(value(*number)).ignore();
        }
        pipe.query::<()>(&mut connection).expect("written");
    }
    let begun = Instant::now();
    let back = place.start(2);
    back.waits_until_healthy();
    // From now on every answer needs the store that was away.
    stores.remove(0).kill();
    let mut connection = back.connect(Duration::from_secs(60));
    for number in writes - KEYS.min(writes)..writes {
        let got: Option<String> = loop {
            match redis::cmd("GET").arg(name(number)).query(&mut connection) {
                Ok(got) => break got,
                Err(_) if begun.elapsed() < Duration::from_secs(60) => {}
                Err(error) => panic!("{}: {error}", name(number)),
            }
        };
        assert!(got == Some(value(number)), "{} is not what was acknowledged", name(number));
    }
    let (peak, other) = (back.peak_mib(), stores[0].peak_mib());
    println!(
        "{} MiB were written while it was away; it answers for all of them after {} ms, having held {peak} MiB at most (the other: {other} MiB)",
        away_mib(),
        begun.elapsed().as_millis()
    );
    // The data (32 MiB), a log of it under way to a follower, and room for what waits: it does not grow with what was written.
    assert!(peak < 512 && other < 768, "{peak} MiB, {other} MiB");
}
