//! Where a process's control groups are: version 1, version 2, or both at once.
//!
//! `/proc/self/cgroup` says the path within each hierarchy, `/proc/self/mountinfo` where a hierarchy (or
//! a part of it) is mounted. A container may see a path that lies outside of what is mounted; then the
//! mount point itself is the best answer, since that is where the container's own group is mounted.

use std::path::{Component, Path, PathBuf};

/// The directories of one process's control groups, and the mount points at which to stop climbing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// The unified hierarchy.
    pub(super) v2: Option<Place>,
    /// The version 1 hierarchy with the `cpu` controller.
    pub(super) cpu: Option<Place>,
    /// The version 1 hierarchy with the `cpuacct` controller.
    pub(super) cpuacct: Option<Place>,
    /// The version 1 hierarchy with the `memory` controller.
    pub(super) memory: Option<Place>,
}

/// A group's directory, and the top of its hierarchy as far as it can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dir: PathBuf,
    pub(super) top: PathBuf,
}

impl Place {
    /// The group and those above it, innermost first. A limit of any of them holds.
    pub(super) fn upwards(&self) -> impl Iterator<Item = &Path> {
        self.dir.ancestors().take_while(|dir| dir.starts_with(&self.top))
    }

    /// The group's path below the top; empty for the top itself.
    pub(super) fn below(&self) -> &Path {
        self.dir.strip_prefix(&self.top).unwrap_or(Path::new(""))
    }
}

impl Places {
    /// Only those groups that `exists` says are there.
    pub(super) fn retain(mut self, exists: impl Fn(&Path) -> bool) -> Self {
        for place in [&mut self.v2, &mut self.cpu, &mut self.cpuacct, &mut self.memory] {
            place.take_if(|place| !exists(&place.dir));
        }
        self
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Joins what the two files say. With `other`, of the group of that path instead of the process's own.
pub(super) fn places(cgroup: &str, mountinfo: &str, other: Option<&str>) -> Places {
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
    let mut places = Places::default();
    for line in cgroup.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(own)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let path = other.unwrap_or(own);
        if number == "0" && controllers.is_empty() {
            places.v2 = mounts.iter().find(|m| m.v2).map(|m| m.place(path));
            continue;
        }
        for controller in controllers.split(',') {
            let slot = match controller {
                "cpu" => &mut places.cpu,
                "cpuacct" => &mut places.cpuacct,
                "memory" => &mut places.memory,
                _ => continue,
            };
            let mount =
                mounts.iter().find(|m| !m.v2 && m.options.split(',').any(|o| o == controller));
            *slot = mount.map(|m| m.place(path));
        }
    }
    places
}

/// A mount of a control group hierarchy.
struct Mount<'a> {
    v2: bool,
    root: String,
    point: PathBuf,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// Reads a line such as `36 25 0:32 / /sys/fs/cgroup/cpu rw,relatime shared:5 - cgroup cgroup rw,cpu`.
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let v2 = match right.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        let options = right.nth(1)?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (unescape(left.next()?), unescape(left.next()?));
        Some(Self { v2, root, point: point.into(), options })
    }

    fn place(&self, path: &str) -> Place {
        let inside = Path::new(path).strip_prefix(&self.root).ok();
        // A path with `..` lies outside of our cgroup namespace.
        let inside = inside.filter(|p| p.components().all(|c| matches!(c, Component::Normal(_))));
        let dir = match inside {
            Some(inside) => self.point.join(inside),
            None => self.point.clone(),
        };
        // Joining an empty path leaves a slash at the end, which compares equal but prints badly.
        Place { dir: dir.components().collect(), top: self.point.clone() }
    }
}

/// Undoes the octal escapes of mountinfo: `\040` is a space.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let code = bytes.get(i + 1..i + 4).filter(|_| bytes[i] == b'\\');
        let code = code.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        out.push(code.unwrap_or(bytes[i]));
        i += if code.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    fn place(dir: &str, top: &str) -> Option<Place> {
        Some(Place { dir: dir.into(), top: top.into() })
    }

    #[test]
    fn a_hybrid_machine_has_a_place_in_each_hierarchy() {
        let places = places(
            "9:name=systemd:/\n4:memory:/a/b\n2:cpuacct:/\n1:cpu:/lab/one\n0::/\n",
            HYBRID,
            None,
        );
        assert_eq!(places.cpu, place("/sys/fs/cgroup/cpu/lab/one", "/sys/fs/cgroup/cpu"));
        assert_eq!(places.cpuacct, place("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpuacct"));
        assert_eq!(places.memory, place("/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory"));
        assert_eq!(places.v2, place("/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified"));
        let up: Vec<_> =
            places.cpu.as_ref().unwrap().upwards().map(|p| p.to_str().unwrap()).collect();
        assert_eq!(
            up,
            ["/sys/fs/cgroup/cpu/lab/one", "/sys/fs/cgroup/cpu/lab", "/sys/fs/cgroup/cpu"]
        );
    }

    #[test]
    fn a_fresh_debian_has_only_the_unified_one() {
        let mounts =
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        let places = places("0::/system.slice/backhand.service\n", mounts, None);
        assert_eq!(
            places.v2,
            place("/sys/fs/cgroup/system.slice/backhand.service", "/sys/fs/cgroup")
        );
        assert_eq!((places.cpu, places.memory), (None, None));
    }

    #[test]
    fn controllers_that_share_a_hierarchy_share_a_place() {
        let mounts = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        let places = places("3:cpu,cpuacct:/x\n", mounts, None);
        assert_eq!(places.cpu, places.cpuacct);
        assert_eq!(places.cpu, place("/sys/fs/cgroup/cpu,cpuacct/x", "/sys/fs/cgroup/cpu,cpuacct"));
    }

    #[test]
    fn a_container_sees_its_group_at_the_mount_point() {
        let mounts = "700 690 0:30 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n";
        let at_top = place("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu");
        assert_eq!(places("1:cpu:/docker/abc\n", mounts, None).cpu, at_top);
        assert_eq!(places("1:cpu:/elsewhere\n", mounts, None).cpu, at_top);
        assert_eq!(places("1:cpu:/docker/abc/../../etc\n", mounts, None).cpu, at_top);
    }

    #[test]
    fn spaces_in_a_mount_point_are_escaped() {
        let mounts = "1 1 0:1 / /my\\040groups rw - cgroup2 none rw\n";
        assert_eq!(places("0::/a\n", mounts, None).v2, place("/my groups/a", "/my groups"));
        assert_eq!(unescape(r"a\0"), r"a\0");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_climb_out(cgroup in ".{0,80}", mount in ".{0,80}") {
            let found = places(&format!("0::{cgroup}\n1:cpu:{cgroup}"), &format!("{HYBRID}{mount}\n1 1 0:1 {mount} - cgroup2 x rw"), None);
            for place in [found.v2, found.cpu].into_iter().flatten() {
                prop_assert!(place.dir.starts_with(&place.top));
            }
        }
    }
}
