//! Whether a folder may be emptied: its place does not say that it is none of a cache, and its mark says that it is one.
//!
//! The mark is the file of the Cache Directory Tagging Specification, which programs for backups know as well. An empty folder
//! is marked when it is first used; one that holds anything, and is not marked, holds what somebody may want back.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

/// The file that marks a cache. It stays when everything else is removed.
pub(super) const TAG: &CStr = c"CACHEDIR.TAG";
/// What it begins with.
const SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
/// What people who find it read.
const TEXT: &str = "
# Everything beside this file is a cache: purged removes it whenever it joins its group. Without this file it refuses to.
# See https://bford.info/cachedir/
";

/// Folders that are no caches.
const NEVER: [&str; 12] = [
    "/",
    "/dev",
    "/dev/shm",
    "/home",
    "/lost+found",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/tmp",
];
/// Neither are these, nor what is directly in them: `/var/lib` and `/var/cache` belong to many programs.
const SHARED: [&str; 4] = ["/home", "/usr", "/usr/local", "/var"];
/// Nor these, nor anything beneath.
const SYSTEM: [&str; 10] =
    ["/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys"];

/// Whether a folder, without links in its path, is none of a cache by its place, whatever its mark says. `home` is that of who
/// runs this program, `working` the directory it was started in.
pub(super) fn is_never(path: &Path, home: Option<&Path>, working: Option<&Path>) -> bool {
    let shared = |shared: &&str| {
        let shared = Path::new(shared);
        path == shared || path.parent() == Some(shared)
    };
    NEVER.iter().any(|never| path == Path::new(never))
        || SHARED.iter().any(shared)
        || SYSTEM.iter().any(|system| path.starts_with(system))
        || home.is_some_and(|home| home.starts_with(path))
        || working.is_some_and(|working| working.starts_with(path) && working != path)
}

/// Whether the folder has the mark: a file, no link, that begins as it must.
pub(super) fn is_marked(folder: BorrowedFd<'_>) -> Result<bool, Errno> {
    // Whatever has that name, opening it must not wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let tag = match openat(folder, TAG, flags, Mode::empty()) {
        Ok(tag) => tag,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    if FileType::from_raw_mode(fstat(&tag)?.st_mode) != FileType::RegularFile {
        return Ok(false);
    }
    let (mut begin, mut count) = ([0; SIGNATURE.len()], 0);
    while count < begin.len() {
        match rustix::io::read(&tag, &mut begin[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(begin == SIGNATURE)
}

/// Whether nothing is in the folder.
pub(super) fn is_empty(folder: BorrowedFd<'_>) -> Result<bool, Errno> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Marks the folder. What has the mark's name and is none stays as it is.
pub(super) fn mark(folder: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let tag: OwnedFd = openat(folder.as_fd(), TAG, flags, Mode::from_raw_mode(0o644))?;
    io::Write::write_all(&mut std::fs::File::from(tag), &[SIGNATURE, TEXT.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn never(path: &str) -> bool {
        is_never(Path::new(path), Some(Path::new("/people/ann")), Some(Path::new("/project/main")))
    }

    #[test]
    fn places_that_belong_to_many_are_never_caches() {
        for path in [
            "/",
            "/etc",
            "/etc/ssl",
            "/usr",
            "/usr/lib",
            "/usr/local/bin",
            "/lib/x86_64-linux-gnu",
            "/var",
            "/var/lib",
            "/var/cache",
            "/var/www",
            "/tmp",
            "/var/tmp",
            "/root",
            "/srv",
            "/opt",
            "/home",
            "/people/ann",
            "/home",
            "/proc/self",
            "/project",
        ] {
            assert!(never(path), "{path}");
        }
        for path in [
            "/var/cache/site",
            "/srv/cache",
            "/cache",
            "/tmp/cache",
            "/people/ann/cache",
            "/dev/shm/cache",
            "/project/main",
            "/project/main/cache",
            "/project/other",
            "/etcetera",
        ] {
            assert!(!never(path), "{path}");
        }
    }

    #[test]
    fn a_mark_is_a_file_that_begins_as_it_must() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::File::open(folder.path()).unwrap();
        let root = root.as_fd();
        let tag = folder.path().join("CACHEDIR.TAG");
        assert!(is_empty(root).unwrap() && !is_marked(root).unwrap());
        mark(root).unwrap();
        assert!(!is_empty(root).unwrap() && is_marked(root).unwrap());
        assert!(mark(root).is_err(), "what is there is not written over");
        fs::rename(&tag, folder.path().join("other")).unwrap();
        symlink("other", &tag).unwrap();
        assert!(!is_marked(root).unwrap());
        fs::remove_file(&tag).unwrap();
        for text in ["", "Signature: 8a477f597d28d172789f06886806bc5", "x"] {
            fs::write(&tag, text).unwrap();
            assert!(!is_marked(root).unwrap(), "{text}");
        }
        fs::remove_file(&tag).unwrap();
        fs::create_dir(&tag).unwrap();
        assert!(!is_marked(root).unwrap());
    }
}
