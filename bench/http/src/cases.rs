//! What is asked for: three sizes, connections kept or not, through a proxy or from files.

use std::path::{Path, PathBuf};

use anyhow::Result;

/// What a server does in a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Passes the request to the origin.
    Proxy,
    /// Answers from its own files.
    Files,
}

/// One kind of load.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    pub(crate) keep_alive: bool,
    pub(crate) role: Role,
}

macro_rules! case {
    ($name:literal, $file:literal, $keep:literal, $role:ident) => {
        Case { name: $name, file: $file, keep_alive: $keep, role: Role::$role }
    };
}

pub(crate) const CASES: &[Case] = &[
    case!("proxy 1 KB", "1k", true, Proxy),
    case!("proxy 64 KB", "64k", true, Proxy),
    case!("proxy 1 MB", "1m", true, Proxy),
    case!("proxy 1 KB, closed", "1k", false, Proxy),
    case!("proxy 64 KB, closed", "64k", false, Proxy),
    case!("files 1 KB", "1k", true, Files),
    case!("files 64 KB", "64k", true, Files),
    case!("files 1 MB", "1m", true, Files),
    case!("files 1 KB, closed", "1k", false, Files),
];

/// The folder of files that the origin, and the servers in the files cases, serve.
pub(crate) struct Site {
    pub(crate) root: PathBuf,
}

impl Site {
    /// Writes the files: bytes that do not compress, the same in every run.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let root = folder.join("site");
        std::fs::create_dir(&root)?;
        for (name, size) in [("1k", 1 << 10), ("64k", 64 << 10), ("1m", 1 << 20)] {
            let mut state = 1u32;
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .take(size)
            .collect();
            std::fs::write(root.join(name), bytes)?;
        }
        // nginx's workers run as another user when it is started by root.
        open_to_others(folder)?;
        Ok(Self { root })
    }
}

fn open_to_others(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?)
}
