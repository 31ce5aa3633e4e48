//! What members that were cut off from each other have missed of each other's purges.
//!
//! Purges are sent as safe messages: one that is delivered before a transitional signal is delivered by every member of that view
//! that lives on. So what another member can have missed is what was delivered since the signal that came before it was gone;
//! that is kept, and told when it is back. The rules, for a member that is back in a merge:
//!
//! - Whoever saw it go tells it what was purged since.
//! - Whoever did not see it go came later, and leaves it to those who were there before; if none of them is left, it
//!   tells that everything may have been missed.
//!
//! A member whose session ended comes back by joining, and clears its cache by itself.

use std::collections::BTreeSet;
use std::mem;

use spread_client::{Cause, GroupName, Membership};

/// Bytes of what is kept, paths with a NUL behind each. With more, everything may have been missed.
const KEPT_MAX: usize = 64 << 10;
/// Members remembered as gone. One more is told that it may have missed everything.
const GONE_MAX: usize = 4_096;

/// What to tell to members that are back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The members.
    pub to: Vec<GroupName>,
    /// Paths, each with a NUL behind it.
    pub paths: Vec<u8>,
}

/// What one member of a group remembers. It begins with the view in which it joined.
#[derive(Clone, Debug)]
pub struct Missed {
    own: GroupName,
    members: BTreeSet<GroupName>,
    /// Who was a member before this one and was never away.
    elders: BTreeSet<GroupName>,
    /// Who was cut off while this one was a member.
    gone: BTreeSet<GroupName>,
    /// What was purged since the first signal, while anybody is gone or may be. `None` if it was too much.
    kept: Option<Vec<u8>>,
    keeping: bool,
}

impl Missed {
    /// Begins with the first view of the member `own`.
    pub fn joined(own: GroupName, view: &Membership) -> Self {
        let members: BTreeSet<GroupName> = view.members.iter().collect();
        let mut elders = members.clone();
        elders.remove(&own);
        let kept = Some(Vec::new());
        Self { own, members, elders, gone: BTreeSet::new(), kept, keeping: false }
    }

    /// A transitional signal: from now on some may not get what this member gets.
    pub fn signal(&mut self) {
        self.keeping = true;
    }

    /// Something was purged.
    pub fn purged(&mut self, path: &[u8]) {
        if !self.keeping {
            return;
        }
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(path);
            kept.push(0);
            if kept.len() > KEPT_MAX {
                self.kept = None;
            }
        }
    }

    /// A view. Returns what to tell to whom.
    pub fn view(&mut self, view: &Membership) -> Vec<Told> {
        let members: BTreeSet<GroupName> = view.members.iter().collect();
        let before = mem::replace(&mut self.members, members);
        let mut told = Vec::new();
        if view.cause == Cause::Network {
            let mut own: BTreeSet<GroupName> =
                view.own_set().iter().flat_map(|set| set.iter().collect::<Vec<_>>()).collect();
            own.insert(self.own);
            self.elders.retain(|elder| own.contains(elder));
            told = self.tell(&own);
            let gone = before.difference(&self.members).filter(|_| self.gone.len() < GONE_MAX);
            let gone: Vec<GroupName> = gone.copied().collect();
            self.gone.extend(gone);
        }
        // Who left or ended clears its cache when it comes back; so did who is here again.
        self.gone.retain(|gone| !self.members.contains(gone));
        self.elders.retain(|elder| self.members.contains(elder));
        self.keeping = !self.gone.is_empty();
        if !self.keeping {
            self.kept = Some(Vec::new());
        }
        told
    }

    fn tell(&self, own: &BTreeSet<GroupName>) -> Vec<Told> {
        let (seen, unseen): (Vec<GroupName>, Vec<GroupName>) =
            self.members.difference(own).partition(|back| self.gone.contains(back));
        let everything = || b"/*\0".to_vec();
        let paths = self.kept.clone().unwrap_or_else(everything);
        let mut told = Vec::new();
        if !seen.is_empty() && !paths.is_empty() {
            told.push(Told { to: seen, paths });
        }
        if !unseen.is_empty() && self.elders.is_empty() {
            told.push(Told { to: unseen, paths: everything() });
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spread_client::{GroupId, Names};

    const ID: GroupId = GroupId { proc: 1, time: 2, index: 3 };

    fn name(name: &str) -> GroupName {
        GroupName::destination(format!("#{name}#{name}").as_bytes()).unwrap()
    }

    fn names(list: &str) -> Names {
        list.split_whitespace().map(name).collect()
    }

    fn join(members: &str, who: &str) -> Membership {
        Membership::of_one(name("g"), Cause::Join, ID, names(members), name(who))
    }

    /// A change of the daemons: the sets, the receiver's own first.
    fn network(sets: &[&str]) -> Membership {
        let members = names(&sets.join(" "));
        let sets: Vec<Names> = sets.iter().map(|set| names(set)).collect();
        Membership::of_network(name("g"), ID, members, &sets, 0)
    }

    fn told(to: &str, paths: &str) -> Told {
        Told { to: names(to).iter().collect(), paths: paths.replace(' ', "\0").into() }
    }

    #[test]
    fn who_was_cut_off_is_told_what_was_purged_since_the_signal() {
        let mut a = Missed::joined(name("a"), &join("a b c", "a"));
        a.purged(b"/before");
        a.signal();
        a.purged(b"/between");
        assert_eq!(a.view(&network(&["a b"])), []);
        a.purged(b"/after");
        assert_eq!(a.view(&network(&["a b", "c"])), [told("c", "/between /after ")]);
        // All are back: nothing is kept any more.
        a.purged(b"/later");
        a.signal();
        a.view(&network(&["a b"]));
        assert_eq!(a.view(&network(&["a b", "c"])), []);
    }

    #[test]
    fn several_that_went_at_different_times_are_told_at_least_what_they_missed() {
        let mut a = Missed::joined(name("a"), &join("a b c", "a"));
        a.signal();
        a.view(&network(&["a b"]));
        a.purged(b"/one");
        a.signal();
        a.view(&network(&["a"]));
        a.purged(b"/two");
        assert_eq!(a.view(&network(&["a", "b"])), [told("b", "/one /two ")]);
        a.purged(b"/three");
        assert_eq!(a.view(&network(&["a b", "c"])), [told("c", "/one /two /three ")]);
    }

    #[test]
    fn who_did_not_see_a_member_go_leaves_it_to_the_elders() {
        let mut b = Missed::joined(name("b"), &join("a b", "b"));
        b.purged(b"/x");
        assert_eq!(b.view(&network(&["a b", "c"])), []);
        // The elder is gone for good, and nobody is left who could know.
        let left = Membership::of_one(name("g"), Cause::Leave, ID, names("b c"), name("a"));
        b.view(&left);
        assert_eq!(b.view(&network(&["b c", "d"])), [told("d", "/* ")]);
    }

    #[test]
    fn an_elder_on_the_other_side_is_none() {
        let mut b = Missed::joined(name("b"), &join("a b", "b"));
        b.signal();
        b.view(&network(&["b"]));
        b.purged(b"/x");
        assert_eq!(b.view(&network(&["b", "a c"])), [told("a", "/x "), told("c", "/* ")]);
    }

    #[test]
    fn who_joined_alone_can_vouch_for_nothing_before() {
        let mut a = Missed::joined(name("a"), &join("a", "a"));
        assert_eq!(a.view(&network(&["a", "b"])), [told("b", "/* ")]);
    }

    #[test]
    fn who_comes_back_by_joining_has_cleared_its_cache() {
        let mut a = Missed::joined(name("a"), &join("a b", "a"));
        a.signal();
        a.view(&network(&["a"]));
        a.purged(b"/x");
        assert_eq!(a.view(&join("a b", "b")), []);
        assert!(!a.keeping);
    }

    #[test]
    fn too_much_is_everything() {
        let mut a = Missed::joined(name("a"), &join("a b", "a"));
        a.signal();
        a.view(&network(&["a"]));
        for _ in 0..40_000 {
            a.purged(b"/a/path");
        }
        assert!(a.kept.is_none());
        assert_eq!(a.view(&network(&["a", "b"])), [told("b", "/* ")]);
        assert_eq!(a.kept, Some(Vec::new()));
    }
}
