//! One store's way to the regions: which one has a key, and what is done when that changes under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use skep_raftstore::ids::RegionId;
use skep_raftstore::machine::Stamp;
use skep_raftstore::store::{Request, Submitter};

use crate::directory::{Directory, Table};
use crate::{Answer, Command, Error, clock};
use crossing::Crossing;
pub(crate) use route::Answered;

mod crossing;
mod dividing;
pub(crate) mod route;

/// See the page of this file.
pub(crate) struct Router {
    directory: Directory,
    crossing: Crossing,
    /// How many commands were given.
    given: AtomicU64,
    /// How long a command may take, if that is limited here.
    timeout: Option<Duration>,
    command_bytes_max: usize,
    /// Where commands go; set before the first is given.
    store: OnceLock<Submitter>,
}

impl Router {
    /// One that knows of no region, and of no store.
    pub(crate) fn new(timeout: Option<Duration>, command_bytes_max: usize) -> Arc<Router> {
        Arc::new(Router {
            directory: Directory::default(),
            crossing: Crossing::default(),
            given: AtomicU64::new(0),
            timeout,
            command_bytes_max,
            store: OnceLock::new(),
        })
    }

    /// From here on commands go to this store.
    pub(crate) fn set_store(&self, store: Submitter) {
        // The first stays; there is one.
        let _ = self.store.set(store);
    }

    /// The routes as they are now.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.directory.table()
    }

    /// The largest command that may be given, in bytes.
    pub(crate) fn command_bytes_max(&self) -> usize {
        self.command_bytes_max
    }

    /// Carries out `command` and tells `reply`.
    pub(crate) fn execute(
        self: &Arc<Self>,
        command: &Command,
        reply: impl FnOnce(Result<Answer, Error>) + Send + 'static,
    ) {
        match self.routed(command) {
            Ok(route) => route::submit(self, route, |(answer, _)| reply(answer)),
            Err(error) => reply(Err(error)),
        }
    }

    /// The same; a batch whose keys lie in several regions is carried out in pieces.
    pub(crate) fn execute_divided(
        self: &Arc<Self>,
        command: &Command,
        reply: impl FnOnce(Result<Answer, Error>) + Send + 'static,
    ) {
        match self.checked(command) {
            Ok(()) => route::submit_divisible(self, self.asked(), command, |(answer, _)| reply(answer)),
            Err(error) => reply(Err(error)),
        }
    }

    /// The same; `reply` is also told which region it was that answered.
    pub(crate) fn execute_knowing(
        self: &Arc<Self>,
        command: &Command,
        reply: impl for<'a> FnOnce(Answered<'a>) + Send + 'static,
    ) {
        match self.routed(command) {
            Ok(route) => route::submit(self, route, reply),
            Err(error) => reply((Err(error), None)),
        }
    }

    /// Asks this store's own replica.
    pub(crate) fn execute_here(
        self: &Arc<Self>,
        query: Command,
        reply: impl FnOnce(Result<Answer, Error>) + Send + 'static,
    ) {
        match self.routed_here(&query) {
            Ok(route) => route::submit_here(self, route, query, reply),
            Err(error) => reply(Err(error)),
        }
    }

    /// The time by which a query is judged, beside the region's own: none where there is no clock.
    fn asked(&self) -> Stamp {
        self.timeout.map_or(Stamp(0), |_| clock::now())
    }

    fn next_given(&self) -> u64 {
        self.given.fetch_add(1, Ordering::Relaxed)
    }

    fn submit(&self, region: RegionId, request: Request) {
        match self.store.get() {
            Some(store) => store.submit(region, request),
            None => (request.reply)(Err(skep_raftstore::store::SubmitError::NoRegion)),
        }
    }
}
