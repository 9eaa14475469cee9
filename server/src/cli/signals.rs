//! Being asked to stop: politely once, at once the second time.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C and SIGTERM.
pub(super) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Listens from here on. Must be called in a runtime.
    pub(super) fn listen() -> io::Result<StopSignals> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(StopSignals { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// For code that looks from time to time: becomes true when somebody asks; the second time the process ends.
    pub(super) fn as_flag() -> io::Result<Arc<AtomicBool>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let mut signals = {
            let _inside = runtime.enter();
            StopSignals::listen()?
        };
        let flag = Arc::new(AtomicBool::new(false));
        let is_asked = Arc::clone(&flag);
        let wait = move || {
            runtime.block_on(signals.asked());
            is_asked.store(true, Ordering::Relaxed);
            runtime.block_on(signals.asked());
            exit_at_once();
        };
        std::thread::Builder::new().name("skep-signals".into()).spawn(wait)?;
        Ok(flag)
    }

    /// Returns when somebody asks.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Ends the process when somebody asks again. What was acknowledged is durable, so nothing is lost by it.
    pub(super) fn exit_at_once_when_asked_again(mut self) {
        tokio::spawn(async move {
            self.asked().await;
            exit_at_once();
        });
    }
}

fn exit_at_once() -> ! {
    let _ = writeln!(io::stderr(), "skep: stopped at once");
    std::process::exit(130);
}
