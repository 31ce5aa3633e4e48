//! Which mistakes of meaning are told beside mistakes of form: those that do not merely follow from them.
//!
//! What could not be read was left out of what was judged. So what is said about keys that do not stand in the file, or about lists
//! that have lost a value, may be wrong, and is not said until the form is right.

use std::collections::BTreeSet;
use std::fmt::Write;

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
    let judged = judged.into_iter().map(|problem| {
        let key = as_written(&problem.key, &misread);
        Problem { key, ..problem }
    });
    let mut all: Vec<Problem> = judged.filter(stands).collect();
    all.extend(misread);
    all.sort_by_key(|problem| {
        let at = problem.at.clone().or_else(|| place::find(text, &problem.key));
        at.map_or(0, |at| at.start)
    });
    all
}

/// A key with its numbers as they are in the file: what was taken out of a list has moved those behind it.
fn as_written(key: &str, misread: &[Problem]) -> String {
    let mut written = String::new();
    let mut rest = key;
    while let Some((before, behind)) = rest.split_once('[') {
        written.push_str(before);
        let numbered = behind
            .split_once(']')
            .and_then(|(number, behind)| Some((number.parse::<usize>().ok()?, behind)));
        let Some((number, behind)) = numbered else {
            // A name with a bracket in it.
            written.push('[');
            rest = behind;
            continue;
        };
        let number = before_taking_out(&written, number, misread);
        let _ = write!(written, "[{number}]"); // Writing to a string cannot fail.
        rest = behind;
    }
    written + rest
}

/// The number in the file of what is now number `number` of a list.
fn before_taking_out(list: &str, number: usize, misread: &[Problem]) -> usize {
    let taken = |form: &Problem| {
        let number = form.key.strip_prefix(list)?.strip_prefix('[')?.strip_suffix(']')?;
        number.parse::<usize>().ok()
    };
    let taken: BTreeSet<usize> = misread.iter().filter_map(taken).collect();
    taken.into_iter().fold(number, |number, taken| number + usize::from(taken <= number))
}

/// Whether leaving out `misread` may be why something is wrong with `key`.
fn touches(misread: &str, key: &str) -> bool {
    let lies_in = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    // A key of a list stands for the list: what a value means may depend on those beside it. Those of addresses are judged one by one.
    let list = |key: &str| match key.rsplit_once('[') {
        Some((list, number)) if number.ends_with(']') && !key.starts_with("addresses.") => {
            list.to_owned()
        }
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
            ("addresses.notify[0]", "addresses.notify[1].throttle"),
            ("addresses.list[0][1]", "addresses.list[0][0]"),
            ("addresses.list[0]", "addresses.notify[0]"),
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

    #[test]
    fn what_is_wrong_beside_a_value_that_was_taken_out_has_its_number_in_the_file() {
        let misread: Vec<Problem> = ["a.l[0]", "a.l[2]", "a.l[3][1]", "a.l[4].x", "a.m[0]"]
            .map(|key| Problem::new(key, "", ""))
            .into();
        for (judged, written) in [
            ("a.l[0]", "a.l[1]"),
            ("a.l[1][0]", "a.l[3][0]"),
            ("a.l[1][1]", "a.l[3][2]"),
            ("a.l[2].x", "a.l[4].x"),
            ("a.l", "a.l"),
            ("b[0].l[0]", "b[0].l[0]"),
            ("q.[x", "q.[x"),
        ] {
            assert_eq!(as_written(judged, &misread), written, "{judged}");
        }
    }
}
