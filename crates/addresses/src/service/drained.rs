//! That this machine is drained outlives its program: a file in the state directory, there as long as the order stands.
//!
//! Read once at the start. Written whole beside itself and renamed, with the data on disk before the name is, by a thread of its
//! own: nothing here may wait for a disk. A file that cannot be understood was still put there by an order, so the machine is
//! drained: it then holds nothing that another can, which does no harm, while a machine under repair that takes part does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::kernel::capabilities::drop_to_files;

/// The file in the state directory.
const FILE: &str = "drained";
/// Most bytes of it that are read; it has some fifty.
const FILE_MAX: u64 = 4_096;

/// What stands in the file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// Always true: it says what the file is about to whoever reads it.
    drained: bool,
    /// When that was ordered, in milliseconds since 1970.
    since_ms: u64,
}

/// What was found at the start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The machine takes part.
    Nothing,
    /// It is drained, since then in milliseconds since 1970.
    Since(u64),
    /// It is taken as drained, for this cannot be understood.
    Unclear(String),
}

/// Keeps it.
pub(super) struct Keeper {
    /// What is to be written; without it nothing can be.
    orders: Option<Sender<bool>>,
    /// What became of it.
    pub(super) outcomes: UnboundedReceiver<Result<(), String>>,
    /// What was ordered last.
    drained: bool,
}

impl Keeper {
    /// With a state directory or without one; what stands in it, and whether it can be written.
    pub(super) fn open(folder: Option<&Path>) -> (Self, Found, Result<(), String>) {
        let (tell, outcomes) = unbounded_channel();
        let Some(folder) = folder else {
            let keeper = Self { orders: None, outcomes, drained: false };
            return (keeper, Found::Nothing, Err("there is no state directory".into()));
        };
        let found = read(folder);
        let (orders, ordered) = channel();
        let path = folder.to_owned();
        let thread = std::thread::Builder::new().name("addresses-state".into());
        let begun = thread.spawn(move || work(&path, &ordered, &tell)).map_err(|e| e.to_string());
        let able = begun.map(drop).and_then(|()| {
            let tried = beside(folder, b"").and_then(fs::remove_file);
            tried.map_err(|error| format!("{} cannot be written: {error}", folder.display()))
        });
        let drained = found != Found::Nothing;
        (Self { orders: Some(orders), outcomes, drained }, found, able)
    }

    /// Says how it is now; what is new is written.
    pub(super) fn note(&mut self, drained: bool) {
        if self.drained == drained {
            return;
        }
        self.drained = drained;
        if let Some(orders) = &self.orders {
            // Its thread ends only when this does.
            let _ = orders.send(drained);
        }
    }
}

/// Writes what is ordered, of several the last.
fn work(folder: &Path, ordered: &Receiver<bool>, tell: &UnboundedSender<Result<(), String>>) {
    if let Err(error) = drop_to_files() {
        tracing::warn!(%error, "the thread that writes down a drain keeps more power than it needs");
    }
    while let Ok(mut drained) = ordered.recv() {
        while let Ok(newer) = ordered.try_recv() {
            drained = newer;
        }
        let path = folder.join(FILE);
        let done = if drained { write(folder, now_ms()) } else { remove(folder) };
        let done = done.map_err(|error| format!("{}: {error}", path.display()));
        if tell.send(done).is_err() {
            return;
        }
    }
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn read(folder: &Path) -> Found {
    let path = folder.join(FILE);
    let unclear = |why: String| Found::Unclear(format!("{}: {why}", path.display()));
    // Without waiting for the other end of a pipe, and not by way of a link to somewhere else.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Nothing,
        Err(error) => return unclear(error.to_string()),
    };
    if !file.metadata().is_ok_and(|of| of.is_file()) {
        return unclear("it is no file".into());
    }
    let mut text = Vec::new();
    if let Err(error) = file.take(FILE_MAX + 1).read_to_end(&mut text) {
        return unclear(error.to_string());
    }
    if text.len() as u64 > FILE_MAX {
        return unclear(format!("it is longer than {FILE_MAX} bytes"));
    }
    match serde_json::from_slice::<Record>(&text) {
        Ok(Record { drained: true, since_ms }) => Found::Since(since_ms),
        Ok(_) => unclear("it says neither that it is drained nor is it away".into()),
        Err(error) => unclear(error.to_string()),
    }
}

/// A new file with these bytes on the disk, not under its name yet.
fn beside(folder: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let new = folder.join(format!(".{FILE}.{:016x}", crypto::seed()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    if let Err(error) = written {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    Ok(new)
}

fn write(folder: &Path, since_ms: u64) -> io::Result<()> {
    let mut text = serde_json::to_vec(&Record { drained: true, since_ms })?;
    text.push(b'\n');
    let new = beside(folder, &text)?;
    if let Err(error) = fs::rename(&new, folder.join(FILE)) {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Opens it, has these orders carried out one after the other, and gives what became of each.
    fn ordered(folder: &Path, orders: &[bool]) -> Vec<Result<(), String>> {
        let (mut keeper, ..) = Keeper::open(Some(folder));
        let one = |drained: &bool| {
            keeper.note(*drained);
            keeper.outcomes.blocking_recv().unwrap()
        };
        orders.iter().map(one).collect()
    }

    #[test]
    fn an_order_is_found_at_the_next_start_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let before = now_ms();
        let (_, found, able) = Keeper::open(Some(folder.path()));
        assert_eq!((found, able), (Found::Nothing, Ok(())));
        assert_eq!(ordered(folder.path(), &[true]), [Ok(())]);
        let (mut keeper, found, _) = Keeper::open(Some(folder.path()));
        assert!(
            matches!(found, Found::Since(at) if (before..=now_ms()).contains(&at)),
            "{found:?}"
        );
        // What stands there is not written anew: it would be another time.
        keeper.note(true);
        assert_eq!(ordered(folder.path(), &[false]), [Ok(())]);
        assert_eq!(Keeper::open(Some(folder.path())).1, Found::Nothing);
        assert!(keeper.outcomes.try_recv().is_err());
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_understood_is_taken_as_an_order() {
        for content in [
            &b""[..],
            b"{}",
            b"\xff\xfe\x00",
            b"{\"drained\":false,\"since_ms\":1}",
            b"{\"drained\":true,\"since_ms\":-1}",
            b"{\"drained\":true,\"since_ms\":1,\"more\":2}",
            b"{\"drained\":true,\"since_ms\":1}{",
            &[b'['; 5_000],
        ] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(FILE), content).unwrap();
            let found = read(folder.path());
            assert!(matches!(&found, Found::Unclear(why) if why.contains(FILE)), "{found:?}");
            // Taking it back works all the same.
            assert_eq!(ordered(folder.path(), &[false]), [Ok(())]);
            assert_eq!(read(folder.path()), Found::Nothing);
        }
    }

    #[test]
    fn what_is_no_file_is_not_followed_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(folder.path().join("else"), b"{\"drained\":true,\"since_ms\":1}").unwrap();
        symlink(folder.path().join("else"), &path).unwrap();
        assert!(matches!(read(folder.path()), Found::Unclear(_)));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(read(folder.path()), Found::Unclear(_)));
        // It cannot be replaced, which is told.
        let done = ordered(folder.path(), &[false]);
        assert!(matches!(&done[0], Err(why) if why.contains(FILE)), "{done:?}");
        fs::remove_dir(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        assert!(matches!(read(folder.path()), Found::Unclear(_)));
    }

    #[test]
    fn without_a_folder_that_can_be_written_nothing_is_kept_and_it_says_why() {
        let (mut keeper, found, able) = Keeper::open(None);
        assert_eq!((found, able), (Found::Nothing, Err("there is no state directory".into())));
        keeper.note(true);
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let (_, found, able) = Keeper::open(Some(&missing));
        assert_eq!(found, Found::Nothing);
        assert!(able.unwrap_err().contains("missing cannot be written"));
        assert!(ordered(&missing, &[true])[0].is_err());
    }
}
