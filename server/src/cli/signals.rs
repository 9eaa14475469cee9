//! Being asked to stop: politely once, at once the second time.

use std::io::{self, Write};

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
            let _ = writeln!(io::stderr(), "skep: stopped at once");
            std::process::exit(130);
        });
    }
}
