//! A directory of the operating system behind the disk seam.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, FlockOperation, OFlags};

use crate::disk::{Disk, DiskFile, Reached};
use crate::map::Mapping;

/// Zeros are written in pieces of this size, and the page cache then holds the file in folios of it: the larger, the
/// cheaper a write into them. What reaches the device are the blocks that were written, however large their folio.
const PREWRITE_BYTES: usize = 64 * 1024;

/// What direct reads must be aligned to: no device in use has larger logical blocks.
const DIRECT_ALIGN: u64 = 4096;

/// What is in the log is for its owner alone.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// The file whose lock says that a process owns the directory.
const LOCK_NAME: &str = "LOCK";

/// A directory that this process has locked for itself.
pub struct RealDisk {
    directory: PathBuf,
    handle: File,
    _lock: File,
}

impl RealDisk {
    /// Opens a directory, creating it if it is missing. `ResourceBusy` when another process has it.
    pub fn open(directory: impl AsRef<Path>) -> io::Result<RealDisk> {
        let directory = directory.as_ref().to_path_buf();
        create_directory(&directory)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(FILE_MODE);
        let lock = options.open(directory.join(LOCK_NAME))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            let why = format!("{} is in use by another process", directory.display());
            if error == rustix::io::Errno::WOULDBLOCK {
                io::Error::new(io::ErrorKind::ResourceBusy, why)
            } else {
                error.into()
            }
        })?;
        let handle = File::open(&directory)?;
        Ok(RealDisk { directory, handle, _lock: lock })
    }

    fn file(&self, name: &str, options: &OpenOptions) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.directory.join(name);
        let file = options.open(&path)?;
        Ok(Arc::new(RealFile { file, path }))
    }
}

/// Creates the directory and makes each new name on the way to it durable.
fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_directory(parent)?;
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

impl Disk for RealDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.file(name, OpenOptions::new().read(true).write(true))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.file(name, OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && name != LOCK_NAME
                && entry.file_type()?.is_file()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.directory.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn random(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

struct RealFile {
    file: File,
    path: PathBuf,
}

impl RealFile {
    /// Reads whole aligned blocks with `O_DIRECT` into an aligned part of a scratch buffer.
    fn read_blocks(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let flags = OFlags::DIRECT.bits() as i32;
        let direct = OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        let start = offset / DIRECT_ALIGN * DIRECT_ALIGN;
        let end = (offset + buffer.len() as u64).next_multiple_of(DIRECT_ALIGN);
        let blocks = (end - start) as usize;
        let mut scratch = vec![0u8; blocks + DIRECT_ALIGN as usize];
        let aligned = scratch.as_ptr().align_offset(DIRECT_ALIGN as usize);
        let block_bytes = &mut scratch[aligned..aligned + blocks];
        let read = read_full(&direct, start, block_bytes)?;
        let skip = (offset - start) as usize;
        let useful = read.saturating_sub(skip).min(buffer.len());
        buffer[..useful].copy_from_slice(&block_bytes[skip..skip + useful]);
        Ok(useful)
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        read_full(&self.file, offset, buffer)
    }

    fn read_direct(&self, offset: u64, buffer: &mut [u8]) -> io::Result<(usize, Reached)> {
        match self.read_blocks(offset, buffer) {
            Ok(read) => Ok((read, Reached::Medium)),
            // Some file systems (tmpfs before 6.6, some network ones) refuse O_DIRECT with EINVAL. Dropping
            // the cache first is the best that is left: clean pages go, dirty ones stay.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?;
                Ok((read_full(&self.file, offset, buffer)?, Reached::Cache))
            }
            Err(error) => Err(error),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn prewrite(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            // Where the file system cannot allocate ahead, the zeros below do it.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
        let zeros = [0u8; PREWRITE_BYTES];
        let mut offset = 0;
        while offset < bytes {
            let piece = (bytes - offset).min(PREWRITE_BYTES as u64);
            self.file.write_all_at(&zeros[..piece as usize], offset)?;
            offset += piece;
        }
        Ok(())
    }

    fn map(&self, bytes: u64) -> io::Result<Option<Arc<Mapping>>> {
        Ok(Some(Arc::new(Mapping::new(&self.file, bytes)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A second owner of the same directory is refused while the first lives.
    #[test]
    fn one_owner_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = RealDisk::open(directory.path().join("a/b")).unwrap();
        let second = RealDisk::open(directory.path().join("a/b"));
        assert_eq!(second.err().unwrap().kind(), io::ErrorKind::ResourceBusy);
        drop(first);
        RealDisk::open(directory.path().join("a/b")).unwrap();
    }

    /// Nobody but the owner can read a log, in whatever directories it had to be made.
    #[test]
    fn files_are_for_their_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        let disk = RealDisk::open(&path).unwrap();
        disk.create("f").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&directory.path().join("a"))), (0o700, 0o700));
        assert_eq!((mode(&path.join("f")), mode(&path.join(LOCK_NAME))), (0o600, 0o600));
    }

    /// Direct reads return what was written, for any offset and length.
    #[test]
    fn direct_reads_are_not_aligned_for_the_caller() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(directory.path()).unwrap();
        let file = disk.create("f").unwrap();
        file.prewrite(12_288).unwrap();
        file.write_at(5000, b"honey").unwrap();
        file.sync().unwrap();
        let mut buffer = [0; 5];
        assert_eq!(file.read_direct(5000, &mut buffer).unwrap().0, 5);
        assert_eq!(&buffer, b"honey");
        let mut beyond = [0; 100];
        assert_eq!(file.read_direct(12_280, &mut beyond).unwrap().0, 8);
        assert_eq!(disk.list().unwrap(), ["f"]);
    }
}
