//! Folders of which a machine has its own.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, mount, mount_bind_recursive};

/// Covers the private folders of this mount namespace with empty ones, in which only the shared ones are as before.
pub(super) fn make_private(private: &[PathBuf], shared: &[PathBuf]) -> Result<(), String> {
    let mut kept = Vec::new();
    for path in shared.iter().filter(|path| private.iter().any(|p| path.starts_with(p))) {
        // A descriptor still leads there when the path does not any more.
        let folder = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| format!("sharing {}: {e}", path.display()))?;
        kept.push((path, File::from(folder)));
    }
    for path in private {
        mount("none", path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=1777"))
            .map_err(|e| format!("a private {}: {e}", path.display()))?;
    }
    for (path, folder) in kept {
        let trouble = |e: std::io::Error| format!("sharing {}: {e}", path.display());
        std::fs::create_dir_all(path).map_err(trouble)?;
        mount_bind_recursive(format!("/proc/self/fd/{}", folder.as_raw_fd()), path)
            .map_err(|e| trouble(e.into()))?;
    }
    Ok(())
}
