//! Where this process stands in the trees of control groups.
//!
//! Version 1 has one tree per controller (or a few controllers together), version 2 one tree for all; a machine may
//! have both at once, each controller in one of them. Read from `/proc/self/mountinfo` and `/proc/self/cgroup`.

use std::path::{Path, PathBuf};

/// Which of the two file formats a tree speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// One mounted tree and our place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) version: Version,
    /// Controllers named by the mount; empty for version 2, where each directory says it.
    pub(crate) controllers: Vec<String>,
    /// Where the tree is mounted.
    pub(crate) mount: PathBuf,
    /// The directory of this process's own group.
    pub(crate) own: PathBuf,
}

/// Finds all trees from the text of the two files.
pub(crate) fn find(mountinfo: &str, membership: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some(hierarchy) = read_mount(line, membership) else { continue };
        // A tree mounted twice is still one tree.
        if !found.iter().any(|other| {
            other.version == hierarchy.version && other.controllers == hierarchy.controllers
        }) {
            found.push(hierarchy);
        }
    }
    found
}

fn read_mount(line: &str, membership: &str) -> Option<Hierarchy> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, mount) = (place.next()?, PathBuf::from(place.next()?));
    let mut kind = kind.split(' ');
    let (filesystem, options) = (kind.next()?, kind.nth(1)?);
    let (version, controllers) = match filesystem {
        "cgroup2" => (Version::Two, Vec::new()),
        "cgroup" => (Version::One, controllers_of(options)),
        _ => return None,
    };
    if version == Version::One && controllers.is_empty() {
        return None;
    }
    let path = own_path(membership, version, &controllers)?;
    let inside = Path::new(path).strip_prefix(root).ok()?;
    let own = mount.join(inside);
    Some(Hierarchy { version, controllers, mount, own })
}

fn controllers_of(options: &str) -> Vec<String> {
    const KNOWN: [&str; 4] = ["cpu", "cpuacct", "memory", "freezer"];
    options.split(',').filter(|option| KNOWN.contains(option)).map(str::to_owned).collect()
}

/// The third field of our line in `/proc/self/cgroup`: `number:controllers:path`.
fn own_path<'a>(membership: &'a str, version: Version, controllers: &[String]) -> Option<&'a str> {
    membership.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match version {
            Version::Two => number == "0" && names.is_empty(),
            Version::One => names.split(',').any(|name| controllers.iter().any(|c| c == name)),
        };
        ours.then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "\
25 1 0:22 / / rw - ext4 /dev/vda rw
30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
31 25 0:27 /slice /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 25 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
33 25 0:29 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate
";
    const MEMBER: &str = "9:name=systemd:/\n4:memory:/slice/job\n1:cpu,cpuacct:/a/b\n0::/user\n";

    #[test]
    fn every_tree_with_a_useful_controller_is_found_with_our_place() {
        let found = find(MIXED, MEMBER);
        let own: Vec<_> = found.iter().map(|h| h.own.to_str().unwrap()).collect();
        assert_eq!(
            own,
            [
                "/sys/fs/cgroup/cpu,cpuacct/a/b",
                "/sys/fs/cgroup/memory/job",
                "/sys/fs/cgroup/unified/user"
            ]
        );
        assert_eq!(found[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(found[2].version, Version::Two);
    }

    #[test]
    fn a_pure_version_two_machine_has_one_tree() {
        let mountinfo = "28 25 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = find(mountinfo, "0::/user.slice/session-1.scope\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].own, Path::new("/sys/fs/cgroup/user.slice/session-1.scope"));
    }

    #[test]
    fn a_mount_that_does_not_show_our_place_is_left_out() {
        let mountinfo = "31 25 0:27 /elsewhere /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        assert_eq!(find(mountinfo, MEMBER), []);
    }
}
