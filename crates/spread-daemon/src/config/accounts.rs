//! The numbers of users and groups, as `/etc/passwd` and `/etc/group` have them.
//!
//! Only these files are read: asking directory services takes the C library's loadable modules, and a daemon that
//! starts before the network must not wait for them. Accounts from there can be written as numbers.

use std::fs;

/// The number of a user, by name or as written.
pub fn user_id(name: &str) -> Option<u32> {
    id("/etc/passwd", name)
}

/// The number of a group, by name or as written.
pub fn group_id(name: &str) -> Option<u32> {
    id("/etc/group", name)
}

fn id(file: &str, name: &str) -> Option<u32> {
    name.parse().ok().or_else(|| find(&fs::read_to_string(file).ok()?, name))
}

/// The third field of the line whose first is `name`, in either of the files.
fn find(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let number = fields.next().filter(|first| *first == name).and_then(|_| fields.nth(1));
        number?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_whole_first_field() {
        let text =
            "root:x:0:0:root:/root:/bin/sh\nspreader:x:7:7::/:\nspread:x:104:110::/:\nbroken\n";
        assert_eq!(find(text, "spread"), Some(104));
        assert_eq!(find(text, "broken"), None);
        assert_eq!(find(text, ""), None);
    }

    #[test]
    fn numbers_stand_for_themselves_and_root_is_everywhere() {
        assert_eq!((user_id("4711"), group_id("4711")), (Some(4711), Some(4711)));
        assert_eq!((user_id("root"), group_id("root")), (Some(0), Some(0)));
        assert_eq!(user_id("no such user"), None);
    }
}
