//! Every key of the configuration, once: its kind, its default, what it is, and why the default is what it is.
//!
//! The parser, the flags of `skep serve`, `skep config default` and docs/CONFIG.md are made from this table.

/// What may stand behind a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// A list of texts.
    Texts,
    /// Bytes: a number, or one with a unit.
    Size,
    /// A number with a unit.
    Duration,
    /// A whole number.
    Number,
    /// True or false.
    Flag,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Section and name, with a dot between them.
    pub name: &'static str,
    /// What may stand behind it.
    pub kind: Kind,
    /// Its default, as TOML.
    pub default: &'static str,
    /// What it is, with its unit.
    pub about: &'static str,
    /// Why the default is what it is, or when to change it.
    pub reason: &'static str,
}

/// What the keys of one section have in common, in the order in which they are printed.
pub const SECTIONS: [(&str, &str); 7] = [
    ("store", "This store: its data, and where other stores reach it."),
    ("cluster", "The cluster: the same in the configuration of every store of it."),
    ("client", "Redis clients."),
    ("admin", "Probes, `skep status` and the other commands that ask a running server."),
    ("memory", "What the data of the store takes of the memory of the machine."),
    ("wal", "The log that all regions of the store share."),
    ("log", "What the server says on standard error."),
];

macro_rules! keys {
    ($($name:literal $kind:ident $default:literal $about:literal $reason:literal;)*) => {
        /// See the page of this file. In the order in which they are printed.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name, kind: Kind::$kind, default: $default, about: $about, reason: $reason,
        }),*];
    };
}

keys! {
    "store.data" Text r#""./skep-data""#
        "Where the data is: a directory of this store alone. Made if it does not exist."
        "Put it on a disk that keeps what it has synced. Whoever loses it starts a new one, as a new store.";
    "store.listen" Text r#""127.0.0.1:7101""#
        "Where other stores connect."
        "Loopback, because stores do not authenticate each other: elsewhere it belongs on a network of its own.";
    "store.advertise" Text r#""""#
        "How other stores reach that address, as it stands in cluster.stores; empty: as it stands in store.listen."
        "Set it where a store listens on 0.0.0.0, or is reached by a name.";
    "store.workers" Number "1"
        "Threads that drive regions, 1 to 64."
        "One keeps a disk busy; more help when it is the limit, and cost switches when it is not.";
    "store.apply_threads" Number "1"
        "Threads that carry out what is committed, 1 to 64."
        "What is in memory does not block, so that one thread does it for all regions.";
    "cluster.stores" Texts r#"["127.0.0.1:7101"]"#
        "The addresses of all stores, this one's among them, in any order; at most 9. A new cluster is founded once all of them run."
        "One store alone, to try. Three survive the loss of one, five of two; an even number survives no more than the odd one below it.";
    "cluster.regions" Number "16"
        "Into how many regions a new cluster is cut, 1 to 100000. An existing one keeps its own."
        "Enough for the work to be spread over the stores; idle regions cost little.";
    "cluster.split_bytes" Size r#""64MiB""#
        "A region whose keys and values take more than this is split: 1KiB to 1TiB."
        "A region of this size is moved to another store in about a second.";
    "cluster.replace_after" Duration r#""30s""#
        "How long a store whose address has a new directory must have been away before the new one takes its place."
        "Long enough to put a directory back that was moved away by mistake.";
    "cluster.election_min" Duration r#""1s""#
        "The shortest silence of a leader after which a replica asks for an election."
        "Four heartbeats: a pause of a disk or a garbage collection in the network is no reason to change leaders.";
    "cluster.election_max" Duration r#""2s""#
        "The longest such silence; every replica draws its own between the two."
        "Far enough from the shortest that two replicas rarely ask at once. The loss of a store stops writes for about this long.";
    "cluster.heartbeat" Duration r#""250ms""#
        "How often a leader that has nothing to say says so."
        "At most half of cluster.election_min, so that one lost message does not cost an election.";
    "client.listen" Text r#""127.0.0.1:6379""#
        "Where Redis clients connect. Port 0: any free one."
        "Loopback: an address elsewhere needs client.password, or client.insecure.";
    "client.password" Text r#""""#
        "What clients must give (AUTH, or HELLO with AUTH), at most 512 bytes; empty: nothing."
        "It crosses the network as it is, for want of TLS: keep clients and stores on a network of your own.";
    "client.insecure" Flag "false"
        "Whether clients may connect from elsewhere without a password."
        "Whoever reaches the port may read, change and delete everything.";
    "client.request_timeout" Duration r#""5s""#
        "How long a command may wait for a leader before its client is told."
        "Longer than an election, shorter than the patience of most clients.";
    "client.allow_flush" Flag "false"
        "Whether FLUSHALL and FLUSHDB delete all keys; otherwise they are refused."
        "Nobody deletes everything by mistake.";
    "admin.listen" Text r#""127.0.0.1:7070""#
        "Where probes and `skep status` connect, over HTTP. Port 0: any free one."
        "Loopback, because nobody is asked for a password there.";
    "memory.limit" Size "0"
        "Bytes that keys, values and what each pair costs beside may take. Beyond, writes that add to them are refused; reads and deletes go on. 0: no limit."
        "Give all stores the same; half of what the machine has leaves room for what the log maps and what is under way.";
    "wal.segment_bytes" Size r#""64MiB""#
        "Bytes of a segment of the log: a multiple of 4KiB, 128KiB to 1GiB. A command takes half of one at most."
        "Large enough that changing segments costs nothing, small enough that a few are no waste of disk.";
    "log.level" Text r#""warn""#
        "How much is said: error, warn, info, debug or trace; also by part, such as warn,skep_server=debug."
        "Nothing while all is well.";
    "log.format" Text r#""text""#
        "text for people, json for machines: one object a line."
        "Most often a person reads it.";
}

impl Key {
    /// The section, and the name in it.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }

    /// The flag that overrides it, without its dashes.
    pub fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
