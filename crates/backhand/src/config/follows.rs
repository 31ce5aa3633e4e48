//! Which mistakes of meaning are told beside mistakes of form: those that do not merely follow from them.
//!
//! What could not be read was left out of what was judged. So what is said about keys that do not stand in the file, or about lists
//! that have lost a value, may be wrong, and is not said until the form is right.

use base::Problem;

use super::place;

/// All that is to be told, as it stands in the file. Mistakes of meaning alone keep the order of the sections' judges.
pub(super) fn together(text: &str, misread: Vec<Problem>, judged: Vec<Problem>) -> Vec<Problem> {
    if misread.is_empty() {
        return judged;
    }
    let stands = |problem: &Problem| {
        place::is_written(text, &problem.key)
            && !misread.iter().any(|form| touches(&form.key, &problem.key))
    };
    let mut all: Vec<Problem> = judged.into_iter().filter(stands).collect();
    all.extend(misread);
    all.sort_by_key(|problem| {
        let at = problem.at.clone().or_else(|| place::find(text, &problem.key));
        at.map_or(0, |at| at.start)
    });
    all
}

/// Whether leaving out `misread` may be why something is wrong with `key`.
fn touches(misread: &str, key: &str) -> bool {
    let lies_in = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    // A key of a list stands for the list: its numbers have moved. Routes keep theirs, only keys are taken out of them.
    let list = |key: &str| match key.rsplit_once('[') {
        Some((list, number)) if number.ends_with(']') => list.to_owned(),
        _ => key.to_owned(),
    };
    // A set of addresses, by its name or its first one, and whether any is for a majority only.
    let sets = ["addresses.list", "addresses.set"].iter().any(|sets| lies_in(misread, sets));
    let of_sets = lies_in(key, "addresses.prefer")
        || key == "addresses.quorum"
        || key.starts_with("addresses.hook[") && key.contains("].sets[");
    lies_in(key, &list(misread))
        || lies_in(misread, key)
        || sets && of_sets
        // A section that is not known may be the one of the bus, which addresses need.
        || key == "addresses" && !misread.contains(['.', '['])
        // Whether the network may be spoken to depends on the key.
        || (misread.starts_with("cluster") && key.starts_with("announce."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_misread_key_may_have_caused_is_not_told() {
        for (misread, key) in [
            ("announce.targets[1]", "announce.targets[2]"),
            ("announce.targets[1]", "announce.targets"),
            ("route[0].hst", "route[0]"),
            ("cluster.keyfile", "announce.targets[0]"),
            ("addresses.list[0]", "addresses.prefer[1]"),
            ("addresses.set[0].nme", "addresses.hook[1].sets[0]"),
            ("addresses.set[2].quorum", "addresses.quorum"),
            ("buss", "addresses"),
        ] {
            assert!(touches(misread, key), "{misread} {key}");
        }
        for (misread, key) in [
            ("route[0].hst", "route[0].chain[0]"),
            ("route[1].chain", "route[10].chain"),
            ("cluster.nmae", "http.workers"),
            ("http.work", "http.workers"),
            ("addresses.weight", "addresses.prefer[1]"),
            ("addresses.set[0].nme", "addresses.hook[1].timeout"),
            ("addresses.set[0].nme", "addresses.quorum.members.web1"),
            ("addresses.settle", "addresses.prefer[1]"),
            ("http.work", "addresses"),
        ] {
            assert!(!touches(misread, key), "{misread} {key}");
        }
    }

    #[test]
    fn mistakes_of_both_kinds_stand_as_in_the_file_and_what_is_not_written_is_left_out() {
        let text = "[http]\nworkers = 0\n[local]\ndirectroy = 1\n";
        let judged = ["http.workers", "local.directory"].map(|key| Problem::new(key, "", ""));
        let all = together(text, vec![Problem::new("local.directroy", "", "")], judged.into());
        let keys: Vec<_> = all.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["http.workers", "local.directroy"]);
    }
}
