//! `skep status`: asks a running server how it is.

use clap::Args;

use super::{Failure, http, say};
use crate::status::Status;

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    /// The admin address of the server.
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "HOST:PORT")]
    admin: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs) -> Result<(), Failure> {
    let status: Status = http::get(&args.admin, "/api/v1/status")?;
    if args.json {
        let text =
            serde_json::to_string_pretty(&status).map_err(|error| Failure::not_done(error.to_string()))?;
        say(&text);
    } else {
        say(status.to_text().trim_end());
    }
    Ok(())
}
