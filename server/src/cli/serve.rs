//! `skep serve`: one store of a cluster, served to Redis clients.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args};
use skep_engine::ClusteredStore;

use super::front::{self, Bound, Front};
use super::{Failure, LogArgs, say};
use crate::config::ServeConfig;
use crate::config::table::{KEYS, Key};
use crate::{Hosted, Server, ServerConfig};

/// How often it is looked whether the store is open.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A file and the keys that flags override: one flag for each key of the table.
#[derive(Debug, Default)]
pub(super) struct ServeArgs {
    config: Option<PathBuf>,
    flags: Vec<(&'static Key, String)>,
}

/// Those of the log are flags of every command.
fn overridable() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.parts().0 != "log")
}

impl Args for ServeArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("The configuration; without one, every key has its default");
        let command = command.arg(file).next_help_heading("Instead of what the file says");
        overridable().fold(command, |command, key| {
            let flag = Arg::new(key.name).long(key.flag()).value_name(crate::config::value_name(key.kind));
            command.arg(flag.help(format!("{} [default: {}]", key.about.trim_end_matches('.'), key.default)))
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        ServeArgs::augment_args(command)
    }
}

impl clap::FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ServeArgs, clap::Error> {
        let given = |key: &&Key| matches.value_source(key.name) == Some(ValueSource::CommandLine);
        let text = |key: &'static Key| Some((key, matches.get_one::<String>(key.name)?.clone()));
        let flags = overridable().filter(given).filter_map(text).collect();
        Ok(ServeArgs { config: matches.get_one::<PathBuf>("config").cloned(), flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = ServeArgs::from_arg_matches(matches)?;
        Ok(())
    }
}

pub(super) fn run(args: &ServeArgs, log: &LogArgs) -> Result<(), Failure> {
    let config = super::config::read(args.config.as_deref(), &args.flags)?;
    log.start(&config.log)?;
    // All addresses first: whoever cannot be reached should not have touched the data.
    let store = front::bind(&config.store_listen, "store.listen")?;
    front::check_differs(&config.client_listen, store.address, "client.listen and store.listen")?;
    let listen = front::bind(&config.client_listen, "client.listen")?;
    for taken in [&store, &listen] {
        front::check_differs(
            &config.admin_listen,
            taken.address,
            "admin.listen, client.listen and store.listen",
        )?;
    }
    let admin = front::bind(&config.admin_listen, "admin.listen")?;
    check_addresses(&config, &store, &listen, &admin)?;
    let runtime = front::runtime()?;
    let server_config = ServerConfig {
        listen: listen.address,
        data: config.store.dir.clone(),
        request_timeout: config.store.request_timeout,
        password: config.password,
        allow_flush: config.allow_flush,
    };
    let (data, store_address) = (config.store.dir.clone(), store.address);
    let opened = ClusteredStore::start(config.store, store.listener);
    let opened = opened.map_err(|error| Failure::not_begun(error.to_string()))?;
    let server = Arc::new(Server::new(Arc::new(opened), server_config));
    say(&format!(
        "data    {}\nstore   {store_address}\nredis   {}\nadmin   http://{}",
        data.display(),
        listen.address,
        admin.address
    ));
    runtime.spawn(announce_open(Arc::clone(&server)));
    Front { server, listen, admin }.serve(runtime, std::future::ready(()))
}

fn check_addresses(
    config: &ServeConfig,
    store: &Bound,
    listen: &Bound,
    admin: &Bound,
) -> Result<(), Failure> {
    let is_allowed = config.password.is_some() || config.is_insecure;
    front::check_exposure(listen.address, is_allowed, "set client.password, or client.insecure = true")?;
    for (what, address) in
        [("other stores", store.address), ("whoever asks how the server is", admin.address)]
    {
        if !address.ip().is_loopback() {
            tracing::warn!(
                "{address} is open to others, and {what} are not authenticated there: keep it on a network of its own"
            );
        }
    }
    Ok(())
}

/// Tells the user when the store is open, and what it is waiting for until then.
async fn announce_open(server: Arc<Server>) {
    let mut said = String::new();
    loop {
        let waits_for = server.hosted().waits_for();
        match (server.hosted(), waits_for) {
            (Hosted::One(store), None) if !store.engines().is_empty() => {
                let engine = &store.engines()[0];
                let (store, cluster, regions) =
                    (engine.store_id(), engine.cluster_id(), engine.regions().len());
                return say(&format!("open    store {store} of cluster {cluster}, {regions} regions"));
            }
            (_, Some(why)) if why != said => {
                say(&why);
                said = why;
            }
            (_, _) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
