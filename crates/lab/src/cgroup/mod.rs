//! Control groups for the machines: made beneath the caller's own group, removed with the lab.
//!
//! The caller makes them, not the hub: inside a user namespace nobody has the right. Their names carry the caller's
//! process namespace and process id, so that a later lab can tell which belong to nobody any more.
//!
//! Version 2 lets a group give controllers to its children only when it has no processes of its own. The caller's group
//! usually has one, the caller; then the nearest group above it that can do so takes the lab.

mod group;
mod hierarchy;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use group::{Group, Quota};

use group::Seat;
use hierarchy::{Hierarchy, Version};

/// Start of the directory names.
const PREFIX: &str = "backhand-lab-";

/// How long the removal waits for the kernel to notice that a group is empty.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(2);

/// All groups of one lab.
#[derive(Debug)]
pub(crate) struct Cgroups {
    machines: Vec<Group>,
    tops: Vec<PathBuf>,
}

impl Cgroups {
    /// Makes one group per machine. On an error nothing is left; it says what is missing and the remedy.
    pub(crate) fn create(names: &[String], count: u32) -> Result<Self, String> {
        let read = |path: &str| fs::read_to_string(path).map_err(|e| format!("{path}: {e}"));
        let trees = hierarchy::find(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
        Self::create_in(&trees, names, count)
    }

    fn create_in(trees: &[Hierarchy], names: &[String], count: u32) -> Result<Self, String> {
        let mut this = Self {
            machines: names.iter().map(|_| Group { seats: Vec::new() }).collect(),
            tops: Vec::new(),
        };
        let top_name = format!("{PREFIX}{}-{}-{count}", process_namespace(), std::process::id());
        let mut trouble = None;
        for tree in trees {
            if let Err(why) = this.plant(tree, &top_name, names) {
                trouble.get_or_insert(why);
            }
        }
        let has_cpu =
            this.machines.iter().all(|g| g.seats.iter().any(|s| has(&s.controllers, "cpu")));
        if has_cpu {
            return Ok(this);
        }
        let why = trouble.unwrap_or_else(|| {
            "no tree of control groups with the cpu controller is mounted".to_owned()
        });
        Err(format!(
            "{why}; run as root, or in a delegated group (systemd-run --user --scope -p Delegate=yes)"
        ))
    }

    pub(crate) fn machine(&self, index: usize) -> &Group {
        &self.machines[index]
    }

    fn plant(&mut self, tree: &Hierarchy, top: &str, names: &[String]) -> Result<(), String> {
        let (parent, controllers) = match tree.version {
            Version::One => (tree.own.clone(), tree.controllers.clone()),
            Version::Two => roomy_parent(tree)?,
        };
        remove_stale(&parent);
        let top = parent.join(top);
        let trouble = |e: io::Error| format!("making {}: {e}", top.display());
        fs::create_dir(&top).map_err(trouble)?;
        self.tops.push(top.clone());
        if tree.version == Version::Two && !controllers.is_empty() {
            enable(&top, &controllers).map_err(trouble)?;
        }
        for (group, name) in self.machines.iter_mut().zip(names) {
            let dir = top.join(name);
            fs::create_dir(&dir).map_err(trouble)?;
            group.seats.push(Seat { version: tree.version, controllers: controllers.clone(), dir });
        }
        Ok(())
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let deadline = Instant::now() + REMOVAL_PATIENCE;
        for top in &self.tops {
            // Killed processes leave their group a moment after their parent heard of their end. Version 1 tells nobody when a group
            // has become empty, so the only way to know is to ask again.
            while remove_tree(top).is_err_and(|e| e.kind() == io::ErrorKind::ResourceBusy) {
                if Instant::now() > deadline {
                    tracing::warn!(group = %top.display(), "a control group of the lab is still busy");
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// The nearest group, from our own upwards, that can hand controllers down, and those it hands down.
///
/// Where version 2 has no controllers at all (they are in version 1 trees), our own will do: a group there still has
/// pressure figures of its own.
fn roomy_parent(tree: &Hierarchy) -> Result<(PathBuf, Vec<String>), String> {
    let wanted = |dir: &Path| -> Vec<String> {
        let offered = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
        offered
            .split_whitespace()
            .filter(|c| ["cpu", "memory"].contains(c))
            .map(Into::into)
            .collect()
    };
    if !has(&wanted(&tree.own), "cpu") {
        return Ok((tree.own.clone(), Vec::new()));
    }
    let mut trouble = None;
    for dir in tree.own.ancestors().take_while(|dir| dir.starts_with(&tree.mount)) {
        let controllers = wanted(dir);
        match enable(dir, &controllers) {
            Ok(()) => return Ok((dir.to_owned(), controllers)),
            Err(error) => {
                trouble.get_or_insert(format!("{}: {error}", dir.display()));
            }
        }
    }
    Err(trouble.unwrap_or_else(|| "our own group is not in its tree".to_owned()))
}

fn enable(dir: &Path, controllers: &[String]) -> io::Result<()> {
    let text: Vec<String> = controllers.iter().map(|name| format!("+{name}")).collect();
    fs::write(dir.join("cgroup.subtree_control"), text.join(" "))
}

/// Removes the groups of labs whose process is gone. Those of other process namespaces are left: who lives there
/// cannot be seen from here.
fn remove_stale(parent: &Path) {
    let ours = format!("{PREFIX}{}-", process_namespace());
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(&ours)).and_then(owner);
        if let Some(pid) = pid
            && !Path::new(&format!("/proc/{pid}")).exists()
            && let Err(error) = remove_tree(&entry.path())
        {
            tracing::debug!(group = %entry.path().display(), %error, "a stale control group stays");
        }
    }
}

/// The process id in what follows the prefix: `PID-COUNT`.
fn owner(rest: &str) -> Option<u32> {
    rest.split_once('-')?.0.parse().ok()
}

/// Removes a group and those beneath it; directories of control groups are removed without their files.
fn remove_tree(top: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(top) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(top)
}

/// The number of our process namespace, which is part of the directory names.
fn process_namespace() -> String {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
}

fn has(controllers: &[String], name: &str) -> bool {
    controllers.iter().any(|controller| controller == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(version: Version, controllers: &[&str], root: &Path) -> Hierarchy {
        let own = root.join("slice/session");
        fs::create_dir_all(&own).unwrap();
        Hierarchy {
            version,
            controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
            mount: root.to_owned(),
            own,
        }
    }

    #[test]
    fn groups_stand_beneath_our_own_and_go_with_the_lab() {
        let root = tempfile::tempdir().unwrap();
        let tree = tree(Version::One, &["cpu", "cpuacct"], root.path());
        let names = ["a".to_owned(), "b".to_owned()];
        let groups = Cgroups::create_in(std::slice::from_ref(&tree), &names, 7).unwrap();
        let dir = groups.machine(1).dirs().next().unwrap().to_owned();
        assert!(dir.starts_with(&tree.own) && dir.ends_with("b") && dir.is_dir());
        drop(groups);
        assert_eq!(fs::read_dir(&tree.own).unwrap().count(), 0);
    }

    #[test]
    fn groups_of_a_dead_process_are_removed_and_those_of_a_living_one_stay() {
        let root = tempfile::tempdir().unwrap();
        let tree = tree(Version::One, &["cpu"], root.path());
        let namespace = process_namespace();
        // Process ids end at 4194304.
        let dead = tree.own.join(format!("{PREFIX}{namespace}-4194305-0"));
        let alive = tree.own.join(format!("{PREFIX}{namespace}-{}-99", std::process::id()));
        let foreign = tree.own.join(format!("{PREFIX}1-4194305-0"));
        for dir in [&dead, &alive, &foreign] {
            fs::create_dir_all(dir.join("m1")).unwrap();
        }
        drop(Cgroups::create_in(&[tree], &["m1".to_owned()], 8).unwrap());
        assert!(!dead.exists() && alive.exists() && foreign.exists());
    }

    #[test]
    fn version_two_goes_up_to_a_group_that_may_hand_down_controllers() {
        let root = tempfile::tempdir().unwrap();
        let tree = tree(Version::Two, &[], root.path());
        for dir in [root.path(), &root.path().join("slice"), &tree.own] {
            fs::write(dir.join("cgroup.controllers"), "cpuset cpu io memory\n").unwrap();
        }
        // A directory in the way of the file: writing fails there, as in a group with processes.
        fs::create_dir(tree.own.join("cgroup.subtree_control")).unwrap();
        let (parent, controllers) = roomy_parent(&tree).unwrap();
        assert_eq!(parent, root.path().join("slice"));
        assert_eq!(controllers, ["cpu", "memory"]);
        let written = fs::read_to_string(parent.join("cgroup.subtree_control")).unwrap();
        assert_eq!(written, "+cpu +memory");
    }

    #[test]
    fn without_a_tree_the_reason_and_the_remedy_are_told() {
        let why = Cgroups::create_in(&[], &["m1".to_owned()], 0).unwrap_err();
        assert!(why.contains("cpu controller") && why.contains("root"), "{why}");
    }
}
