//! `skep config`: a file to begin with, and whether a file is right.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{Failure, say};
use crate::config::table::Key;
use crate::config::{ServeConfig, default_file};

#[derive(Args, Debug)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print a configuration with every key, its default and the reason for it.
    Default,
    /// Say whether a configuration is right. Touches nothing.
    Check {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

pub(super) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    match &args.what {
        What::Default => say(default_file().trim_end()),
        What::Check { file } => {
            read(Some(file), &[])?;
            say(&format!("{} is right", file.display()));
        }
    }
    Ok(())
}

/// What a file and flags say.
pub(super) fn read(file: Option<&Path>, flags: &[(&'static Key, String)]) -> Result<ServeConfig, Failure> {
    let text = match file {
        Some(file) => std::fs::read_to_string(file).map_err(|error| {
            Failure::not_begun(format!("the configuration {} cannot be read: {error}", file.display()))
        })?,
        None => String::new(),
    };
    ServeConfig::read(&text, flags).map_err(|error| {
        let place = file.filter(|_| error.line.is_some()).map(|file| format!("{}, ", file.display()));
        Failure::not_begun(format!("{}{error}", place.unwrap_or_default()))
    })
}
