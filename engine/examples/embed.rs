//! A store in this process, without a server: `cargo run -p skep-engine --example embed`.

#![allow(clippy::print_stdout)] // an example shows what it does

use skep_engine::{Engine, EngineConfig, Error, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let engine = Engine::open(EngineConfig::new(dir.path()))?;

    engine.put("city:1", "Bern").wait()?;
    println!("city:1 is {:?}", engine.get("city:1").wait()?);

    // A condition is decided when the write is applied, so it holds against every other client.
    let swapped = engine.compare_and_put("city:1", Some("Bern".into()), "Basel").wait()?;
    println!("Bern became Basel: {swapped}");

    // All or none. Any number of commands may be under way; a ticket is waited for, polled as a future,
    // or given a callback.
    let batch = engine.batch(vec![
        Write::Put { key: "city:2".into(), value: "Genf".into() },
        Write::Put { key: "city:3".into(), value: "Chur".into() },
        Write::Delete { key: "city:1".into() },
    ]);
    let visits = engine.increment("visits", 1);
    batch.wait()?;
    println!("visits: {}", visits.wait()?);

    for (key, value) in engine.scan("city:", Some("city;".into()), 10).wait()? {
        println!("{} = {}", key.escape_ascii(), value.escape_ascii());
    }
    let refused = engine.increment("city:2", 1).wait();
    assert_eq!(refused, Err(Error::NotAnInteger));

    engine.close();
    Ok(())
}
