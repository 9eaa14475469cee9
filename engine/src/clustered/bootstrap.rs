//! From a directory to a member of a cluster: promises, founds, follows or joins, and opens the store.
//!
//! What is decided, and the order that keeps two clusters from coming of it, is in `judge.rs`. Here every decision is made
//! durable before it is spoken: the file `founding` before the promise, the cluster in `identity` before the store opens. A
//! process that ends in between takes the same step again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_raftstore::codec::{Introduction, Stage};

use super::founding::Founding;
use super::judge::{self, Heard, Step};
use super::watch::Watch;
use super::{Doorman, Phase, Shared, introduction, others, round};
use crate::Error;
use crate::assemble::{Assembled, Origin, assemble};
use crate::engine::Engine;
use crate::store_dir::{Found, NO_CLUSTER, StoreDir};

/// How long between two rounds of questions. Founding takes two or three of them.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// How long a new cluster's store waits to be connected before it asks to lead: earlier, nobody would answer.
const CONNECT: Duration = Duration::from_millis(500);

/// A store that is not open.
pub(super) struct Bootstrap {
    shared: Arc<Shared>,
    dir: StoreDir,
    doorman: Doorman,
    /// With whom it promised to found; in a member, with whom it has.
    promise: Option<Founding>,
}

/// What the store's thread does.
pub(super) enum Next {
    /// It is outside of any cluster.
    Outside(Bootstrap),
    /// It is open.
    Watch(Watch),
}

impl Bootstrap {
    pub(super) fn new(
        shared: Arc<Shared>,
        dir: StoreDir,
        doorman: Doorman,
        promise: Option<Founding>,
    ) -> Bootstrap {
        Bootstrap { shared, dir, doorman, promise }
    }

    /// What the directory says: a founder's store is opened at once.
    pub(super) fn begin(self, heard: &[Heard]) -> Result<Next, Error> {
        self.doorman.says(self.introduction());
        if self.dir.identity().cluster == NO_CLUSTER {
            return Ok(Next::Outside(self));
        }
        self.open(heard).map(Next::Watch)
    }

    /// One round while the store is outside of any cluster.
    fn look_around(mut self) -> Result<Next, Error> {
        let own = self.introduction();
        let heard = round::ask_all(&own, &others(&self.shared.config));
        match judge::step(&own, self.promise.as_ref(), &heard) {
            Step::Wait(why) => self.shared.set_phase(Phase::Forming(why)),
            Step::Promise(founding) => self.promise(founding)?,
            Step::Found(founding) => {
                if self.promise.as_ref() != Some(&founding) {
                    self.promise(founding.clone())?;
                }
                self.dir.set_cluster(founding.cluster())?;
                return self.open(&heard).map(Next::Watch);
            }
            Step::Join(cluster, founding) => {
                founding.write(self.dir.path())?;
                self.promise = Some(founding);
                self.dir.set_cluster(cluster)?;
                self.shared.tell(format!(
                    "the other stores have cluster {cluster} already: joining it as a new store"
                ));
                return self.open(&heard).map(Next::Watch);
            }
        }
        self.shared.pause(ROUND_PAUSE);
        Ok(Next::Outside(self))
    }

    fn promise(&mut self, founding: Founding) -> Result<(), Error> {
        founding.write(self.dir.path())?;
        self.promise = Some(founding);
        self.doorman.says(self.introduction());
        Ok(())
    }

    /// What the store says of itself now.
    fn introduction(&self) -> Introduction {
        let mut own = introduction(&self.shared.config, &Found::Store(*self.dir.identity()));
        if let Some(promise) = &self.promise {
            own.set_founders(promise.founders());
        }
        own
    }

    /// Opens the store. A founder's regions are made if that was not finished; one that joins has none, and knows those that
    /// the founders made: whoever has them now says what became of them.
    fn open(self, heard: &[Heard]) -> Result<Watch, Error> {
        let mut own = self.introduction();
        let Bootstrap { shared, dir, doorman, promise } = self;
        let is_new = !dir.identity().is_born;
        let store = dir.identity().store;
        let listener = doorman
            .hand_over()
            .map_err(|error| Error::Open(format!("it cannot listen for other stores: {error}")))?;
        let is_founder = promise
            .as_ref()
            .is_some_and(|founding| founding.founders().contains(&(store, dir.identity().uuid)));
        let origin = match &promise {
            Some(founding) if is_founder => Origin::births(founding.births(store)),
            Some(founding) => Origin { births: Vec::new(), known: founding.descriptors() },
            None => Origin::default(),
        };
        own.set_stage(if is_founder { Stage::Member } else { Stage::Joining });
        if let Some(founding) = &promise {
            // What the cluster was made with, whatever the configuration says by now.
            (own.regions, own.plan) = (founding.regions, founding.plan);
        }
        let settings = shared.config.settings();
        let assembled = assemble(dir, &settings, listener, origin)?;
        assembled.transport.introduce(own.clone());
        let mut watch = Watch::new(Arc::clone(&shared), own, promise, Arc::clone(&assembled.transport));
        watch.meet(heard);
        if is_new && is_founder {
            connect(&shared, &assembled, &mut watch);
        }
        let engine = Engine::start(assembled, &settings, is_new)?;
        let _ = shared.engine.set(engine); // nobody else sets it
        watch.settle();
        Ok(watch)
    }
}

/// The others found the cluster at the same time: they are looked for until they are here.
fn connect(shared: &Shared, assembled: &Assembled, watch: &mut Watch) {
    let deadline = Instant::now() + CONNECT;
    let is_connected = || {
        let peers = assembled.transport.peer_states();
        peers.len() + 1 >= shared.config.stores.len() && peers.iter().all(|peer| peer.up)
    };
    while !is_connected() && !shared.is_stopping() && Instant::now() < deadline {
        watch.look();
        shared.pause(Duration::from_millis(20));
    }
}

impl Next {
    /// The body of the store's thread.
    pub(super) fn run(self) {
        let shared = match &self {
            Next::Outside(bootstrap) => Arc::clone(&bootstrap.shared),
            Next::Watch(watch) => watch.shared(),
        };
        let mut next = self;
        while !shared.is_stopping() {
            let step = match next {
                Next::Outside(bootstrap) => bootstrap.look_around(),
                Next::Watch(watch) => return watch.run(),
            };
            next = match step {
                Ok(next) => next,
                Err(error) => return shared.set_phase(Phase::Failed(error.to_string())),
            };
        }
    }
}
