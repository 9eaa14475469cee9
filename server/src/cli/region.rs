//! `skep region`: shows the regions of a running cluster, splits one, has one led elsewhere.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, http, say};
use crate::admin::{SplitRequest, TransferRequest};
use crate::key_text;
use crate::regions::{RegionState, to_table};

#[derive(Args, Debug)]
pub(super) struct RegionArgs {
    #[command(subcommand)]
    what: What,
    /// The admin address of a server of the cluster.
    #[arg(long, global = true, default_value = "127.0.0.1:7070", value_name = "HOST:PORT")]
    admin: String,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// Keys are text in which \xNN stands for a byte, as the lists show them.
#[derive(Subcommand, Debug)]
enum What {
    /// All regions: their ranges, who leads them, how large they are.
    Ls,
    /// One region and its replicas.
    Show {
        /// Its id, or a key that lies in it.
        #[arg(value_name = "ID|KEY")]
        name_or_key: String,
    },
    /// Cut the region that has KEY in two, so that a new one begins with it. Writes go on meanwhile.
    Split {
        /// The first key of the new region.
        key: String,
    },
    /// Have another store lead a region, and wait until it does.
    TransferLeader {
        /// The id of the region.
        #[arg(value_name = "ID")]
        region: String,
        /// The id of the store that shall lead it.
        store: String,
    },
}

pub(super) fn run(args: &RegionArgs) -> Result<(), Failure> {
    let admin = args.admin.as_str();
    match &args.what {
        What::Ls => {
            let regions: Vec<RegionState> = http::get(admin, "/api/v1/regions")?;
            show(args, &regions, || to_table(&regions))
        }
        What::Show { name_or_key } => {
            let path = format!("/api/v1/regions/{}", http::in_path(name_or_key));
            let region: RegionState = http::get(admin, &path)?;
            show(args, &region, || region.to_text())
        }
        What::Split { key } => {
            key_text::unescape(key).map_err(|error| Failure::not_begun(error.to_string()))?;
            let request = SplitRequest { key: key.clone() };
            let regions: Vec<RegionState> = http::post(admin, "/api/v1/regions/split", &request)?;
            show(args, &regions, || to_table(&regions))
        }
        What::TransferLeader { region, store } => {
            let request = TransferRequest { region: region.clone(), store: store.clone() };
            let done: TransferRequest = http::post(admin, "/api/v1/regions/transfer-leader", &request)?;
            show(args, &done, || format!("{store} leads {region}"))
        }
    }
}

fn show(args: &RegionArgs, what: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    if args.json {
        let json =
            serde_json::to_string_pretty(what).map_err(|error| Failure::not_done(error.to_string()))?;
        say(&json);
    } else {
        say(text().trim_end());
    }
    Ok(())
}
