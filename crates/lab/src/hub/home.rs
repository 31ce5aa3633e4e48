//! The namespaces of one machine or host.
//!
//! The hub steps into them for one action and back. It has one thread, so nobody sees it away.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Namespaces one can move into. On loopback there are none, and entering does nothing.
#[derive(Debug)]
pub(super) struct Home {
    spaces: Vec<(LinkNameSpaceType, File)>,
}

impl Home {
    pub(super) fn current() -> Result<Self, String> {
        let open = |name: &str, kind| {
            let path = format!("/proc/self/ns/{name}");
            File::open(&path).map(|file| (kind, file)).map_err(|e| format!("{path}: {e}"))
        };
        Ok(Self {
            spaces: vec![
                open("net", LinkNameSpaceType::Network)?,
                open("uts", LinkNameSpaceType::HostNameAndNISDomainName)?,
                // Last: it changes what paths mean.
                open("mnt", LinkNameSpaceType::Mount)?,
            ],
        })
    }

    /// Where there are no namespaces.
    pub(super) fn nowhere() -> Self {
        Self { spaces: Vec::new() }
    }

    /// The network, for handing an interface to it.
    pub(super) fn network(&self) -> Option<BorrowedFd<'_>> {
        self.spaces.first().map(|(_, file)| file.as_fd())
    }

    /// Does something in this network and comes back to the one it started from.
    pub(super) fn inside<T>(
        &self,
        here: &Home,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        let away = |e: std::io::Error| format!("moving between namespaces: {e}");
        self.enter_network().map_err(away)?;
        let done = work();
        here.enter_network().map_err(away)?;
        done
    }

    pub(super) fn duplicate(&self) -> Result<Self, String> {
        let copy = |(kind, file): &(LinkNameSpaceType, File)| Ok((*kind, file.try_clone()?));
        let spaces: std::io::Result<_> = self.spaces.iter().map(copy).collect();
        spaces.map(|spaces| Self { spaces }).map_err(|e| e.to_string())
    }

    /// Moves the calling process into all of them, and into the root of the file system; only system calls.
    pub(super) fn enter(&self) -> std::io::Result<()> {
        for (kind, file) in &self.spaces {
            move_into_link_name_space(file.as_fd(), Some(*kind))?;
        }
        Ok(())
    }

    /// All processes that are in this network now; `None` where there is none to be in.
    pub(super) fn inhabitants(&self) -> Option<Vec<i32>> {
        let (_, network) = self.spaces.first()?;
        let ours = network.metadata().ok()?.ino();
        let all = std::fs::read_dir("/proc").ok()?;
        let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let lives_here = |number: &i32| {
            // Those that have ended meanwhile, or belong to others, do not answer.
            std::fs::metadata(format!("/proc/{number}/ns/net")).is_ok_and(|m| m.ino() == ours)
        };
        Some(numbers.filter(lives_here).collect())
    }

    /// Moves the calling process into the network only.
    pub(super) fn enter_network(&self) -> std::io::Result<()> {
        if let Some((kind, file)) = self.spaces.first() {
            move_into_link_name_space(file.as_fd(), Some(*kind))?;
        }
        Ok(())
    }
}
