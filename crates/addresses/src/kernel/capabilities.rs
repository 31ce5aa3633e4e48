//! The two powers that addresses need, and no others; and those over files of other users, for a thread that only writes one.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::error::Error;

/// Adding addresses and resetting connections; frames of our own.
const NEEDED: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);

/// Whoever has them goes by no permissions of files.
const FILES: CapabilitySet =
    CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH).union(CapabilitySet::FOWNER);

/// Gives up all powers of the **calling thread** but CAP_NET_ADMIN and CAP_NET_RAW, for good. Threads it starts inherit that, so call
/// it early. With `kills` it also keeps CAP_KILL: a program that it runs may become another user, and its time limit is to reach it
/// all the same.
///
/// The user stays: a program that is run by user 0 gets the powers of the bounding set again, which hooks may need. What this
/// thread did not have it does not get: see [`missing`].
///
/// # Errors
/// What the kernel says.
pub fn drop_to_net_admin_and_raw(kills: bool) -> Result<(), Error> {
    let what = "dropping capabilities";
    let had = capabilities(None).map_err(Error::io(what))?;
    let kill = if kills { CapabilitySet::KILL } else { CapabilitySet::empty() };
    let keep = had.permitted & NEEDED.union(kill);
    let sets = CapabilitySets {
        effective: keep,
        permitted: keep,
        // Never more than was inheritable or permitted.
        inheritable: keep,
    };
    set_capabilities(None, sets).map_err(Error::io(what))
}

/// Gives up all powers of the **calling thread**, for good, but those to read and write in folders of other users.
///
/// # Errors
/// What the kernel says.
pub fn drop_to_files() -> Result<(), Error> {
    let what = "dropping capabilities";
    let had = capabilities(None).map_err(Error::io(what))?;
    let keep = had.permitted & FILES;
    let inheritable = CapabilitySet::empty();
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable };
    set_capabilities(None, sets).map_err(Error::io(what))
}

/// What the calling thread lacks, with the remedy; nothing if it has all it needs.
///
/// It says nothing of namespaces: inside a user namespace these powers hold for the networks made in it.
#[must_use]
pub fn missing() -> Option<String> {
    let has = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let named = [
        (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN (addresses)"),
        (CapabilitySet::NET_RAW, "CAP_NET_RAW (announcements)"),
    ];
    let lacking: Vec<&str> =
        named.iter().filter(|(bit, _)| !has.contains(*bit)).map(|(_, name)| *name).collect();
    (!lacking.is_empty()).then(|| {
        format!(
            "{} missing: run as root, or grant it (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW CAP_BPF in the unit, setcap cap_net_admin,cap_net_raw,cap_bpf+ep on the binary, --cap-add in a container)",
            lacking.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_only_writes_a_file_keeps_nothing_else() {
        let outcome = std::thread::spawn(|| {
            let had = capabilities(None).unwrap();
            drop_to_files().unwrap();
            let sets = capabilities(None).unwrap();
            assert_eq!(sets.permitted, had.permitted & FILES);
            assert!(FILES.contains(sets.effective));
            assert!(sets.inheritable.is_empty());
        });
        outcome.join().unwrap();
    }

    #[test]
    fn a_thread_that_drops_its_powers_keeps_at_most_two() {
        // In a thread of its own: it is for good.
        let outcome = std::thread::spawn(|| {
            let before = missing();
            drop_to_net_admin_and_raw(false).unwrap();
            let sets = capabilities(None).unwrap();
            assert!(NEEDED.contains(sets.permitted) && NEEDED.contains(sets.effective));
            assert_eq!(missing(), before.clone(), "none of the two was lost");
            set_capabilities(
                None,
                CapabilitySets {
                    effective: CapabilitySet::empty(),
                    permitted: CapabilitySet::empty(),
                    inheritable: CapabilitySet::empty(),
                },
            )
            .unwrap();
            let words = missing().unwrap();
            assert!(words.contains("CAP_NET_ADMIN") && words.contains("run as root"), "{words}");
        });
        outcome.join().unwrap();
    }
}
