use skep_wal::*;
use std::sync::Arc;
use std::time::Instant;
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let _ = std::fs::remove_dir_all(&dir);
    let disk = Arc::new(RealDisk::open(&dir).unwrap());
    let t = Instant::now();
    let (wal, _) = Wal::open(disk, WalConfig { prepared_segments: 10, ..Default::default() }).unwrap();
    wal.maintain().unwrap();
    println!("open+prepare {:?}", t.elapsed());
    for (per, runs) in [(1u64, 10000u64), (8, 1000)] {
        let payload = vec![7u8; 128];
        let mut b = Batch::new();
        let streams = 10000u64;
        let mut next = vec![1u64; streams as usize];
        if per == 8 {
            for s in 0..streams {
                b.remove(StreamId(s));
            }
            wal.append(&mut b).unwrap();
        }
        let (mut tb, mut ta) = (0u128, 0u128);
        let mut n = 0u64;
        for r in 0..runs {
            let t = Instant::now();
            for k in 0..64 {
                let s = (r * 64 + k) % streams;
                b.entries(StreamId(s), next[s as usize], 1, (0..per).map(|_| &payload[..]));
                next[s as usize] += per;
                n += per;
            }
            tb += t.elapsed().as_nanos();
            let t = Instant::now();
            wal.append(&mut b).unwrap();
            ta += t.elapsed().as_nanos();
            if r % 2000 == 1999 {
                wal.maintain().unwrap();
            }
        }
        println!(
            "per {per}: batch {} ns/entry, append {} ns/entry, {n} entries",
            tb / n as u128,
            ta / n as u128
        );
        let t = Instant::now();
        wal.sync().unwrap();
        println!("sync {:?}", t.elapsed());
        let mut out = Vec::new();
        let t = Instant::now();
        let mut c = 0;
        for s in 0..1000u64 {
            out.clear();
            wal.read(StreamId(s), 1, next[s as usize] - 1, usize::MAX, &mut out).unwrap();
            c += out.len();
        }
        println!("read {} ns/entry over {c}", t.elapsed().as_nanos() / c as u128);
    }
    // synced
    let payload = vec![7u8; 128];
    let mut b = Batch::new();
    let t = Instant::now();
    let base = 1u64 << 20;
    for r in 0..2000u64 {
        for k in 0..64 {
            b.entries(StreamId(base + k), r + 1, 1, [&payload[..]]);
        }
        wal.append(&mut b).unwrap();
        wal.sync().unwrap();
    }
    println!("2000 syncs of 64: {:?} each", t.elapsed() / 2000);
    println!("{:?}", wal.usage());
    drop(wal);
    let t = Instant::now();
    let (w, r) = Wal::open(Arc::new(RealDisk::open(&dir).unwrap()), Default::default()).unwrap();
    println!("reopen {:?} {:?} streams {}", t.elapsed(), r, w.streams().len());
}
