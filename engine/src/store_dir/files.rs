//! Small files that are replaced as a whole and durably, in directories that are nobody else's business.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock};
use rustix::io::Errno;

use super::{DirectoryError, Problem};

/// Makes a directory for the owner alone, and those above it as usual, and makes its name durable.
pub(crate) fn make_directory(path: &Path) -> Result<(), DirectoryError> {
    let failed = |error| DirectoryError::io(path, &error);
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = above(path) {
        fs::create_dir_all(above).map_err(failed)?;
    }
    DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
    above(path).map_or(Ok(()), sync_directory).map_err(failed)
}

/// Makes a directory, in place of one that stands there.
pub(crate) fn make_empty_directory(path: &Path) -> Result<(), DirectoryError> {
    if path.is_dir() {
        fs::remove_dir_all(path).map_err(|error| DirectoryError::io(path, &error))?;
    }
    make_directory(path)
}

/// The directory that `path` stands in.
fn above(path: &Path) -> Option<&Path> {
    match path.parent() {
        Some(above) if above.as_os_str().is_empty() => Some(Path::new(".")),
        above => above,
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Replaces a file by `bytes`: afterwards, whatever happens, it holds these or what it held before.
///
/// What it held before stays beside it, and is written over the next time: that needs no room on the disk, so a store whose
/// disk is full can still be started.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DirectoryError> {
    let write = || {
        let beside = unfinished(path);
        let mut file = open_own(&mut OpenOptions::new(), &beside)?;
        file.write_all(bytes)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_all()?;
        put_in_place(&beside, path)?;
        above(path).map_or(Ok(()), sync_directory)
    };
    write().map_err(|error| DirectoryError::io(path, &error))
}

/// Exchanges two files, or renames the first where there is no second, or where file systems cannot exchange.
fn put_in_place(new: &Path, path: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, new, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(new, path),
        Err(error) => Err(error.into()),
    }
}

/// Where [`replace`] writes before it puts that in place.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Reads a whole file, if it is there. One beyond `bytes_max` is read that far.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, DirectoryError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DirectoryError::io(path, &error)),
    };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, bytes_max), &mut bytes)
        .map_err(|error| DirectoryError::io(path, &error))?;
    Ok(Some(bytes))
}

/// Locks a directory through a file in it, until the returned handle is dropped or the process ends.
pub(crate) fn lock(directory: &Path, lock: &Path) -> Result<File, DirectoryError> {
    let failed = |error: io::Error| DirectoryError::io(directory, &error);
    let file = open_own(&mut OpenOptions::new(), lock).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(DirectoryError::new(directory, Problem::InUse)),
        Err(error) => Err(failed(error.into())),
    }
}

/// Whether nobody holds the lock of a directory. Makes nothing.
pub(crate) fn check_unlocked(directory: &Path, lock: &Path) -> Result<(), DirectoryError> {
    if lock.exists() { self::lock(directory, lock).map(drop) } else { Ok(()) }
}

fn open_own(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.write(true).create(true).mode(0o600).open(path)
}

/// The names in a directory; `None` if there is no such directory.
pub(crate) fn names(path: &Path) -> Result<Option<Vec<String>>, DirectoryError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotADirectory => DirectoryError::new(path, Problem::NotADirectory),
        _ => DirectoryError::io(path, &error),
    };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect::<io::Result<Vec<String>>>().map(Some).map_err(failed)
}
