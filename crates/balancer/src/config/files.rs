//! The part of `[local]` that is about files.

use std::collections::BTreeMap;

use super::found::Found;
use super::local::LocalSection;
use crate::local::files::{Links, Options};

/// Most names that may answer for a directory: each is looked for on every miss of the one before.
const INDEX_MAX: usize = 8;

impl LocalSection {
    /// What is said of files, whatever directory they come from.
    pub(super) fn files(&self, found: &mut Found) -> Options {
        let links =
            [("inside", Links::Inside), ("none", Links::None), ("anywhere", Links::Anywhere)];
        Options {
            root: None,
            index: self.index(found),
            types: self.types(found),
            precompressed: self.precompressed.unwrap_or(true),
            links: found.word("local.links", &self.links, links),
            cache_control: self.cache_control(found),
            nosniff: self.nosniff.unwrap_or(true),
            memory: found.size("local.memory", &self.memory, 16 << 20, 0..=4 << 30) as usize,
        }
    }

    fn index(&self, found: &mut Found) -> Vec<String> {
        let Some(names) = &self.index else { return Options::default().index };
        if names.len() > INDEX_MAX {
            let message = format!("{} names are listed", names.len());
            found.wrong("local.index", message, format!("list at most {INDEX_MAX}"));
        }
        for (i, name) in names.iter().enumerate().filter(|(_, n)| !is_plain_name(n.get_ref())) {
            let message = format!("{:?} is not a plain file name", name.get_ref());
            let remedy = "write a name without / that does not begin with a dot";
            found.wrong_at(name, format!("local.index[{i}]"), message, remedy);
        }
        names.iter().map(|name| name.get_ref().clone()).collect()
    }

    fn types(&self, found: &mut Found) -> BTreeMap<String, String> {
        let mut types = BTreeMap::new();
        for (extension, kind) in &self.types {
            let name = extension.get_ref().to_ascii_lowercase();
            let key = format!("local.types.{name}");
            if !is_extension(&name) {
                let message = format!("{name:?} is not an extension");
                found.wrong_at(extension, key.clone(), message, "write it without the dot: md");
            }
            if !kind.get_ref().contains('/') || !is_field_value(kind.get_ref()) {
                let message = format!("{:?} is not a type of content", kind.get_ref());
                let remedy = "write one such as \"text/plain; charset=utf-8\"";
                found.wrong_at(kind, key, message, remedy);
            }
            types.insert(name, kind.get_ref().clone());
        }
        types
    }

    fn cache_control(&self, found: &mut Found) -> Option<String> {
        let value = self.cache_control.as_ref()?;
        if !is_field_value(value.get_ref()) {
            let message = format!("{:?} cannot stand in a header", value.get_ref());
            let remedy = "write printable ASCII such as \"public, max-age=3600\"";
            found.wrong_at(value, "local.cache_control", message, remedy);
        }
        Some(value.get_ref().clone())
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(['/', '\0'])
}

fn is_extension(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"./".contains(&b))
}

fn is_field_value(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| (b' '..=b'~').contains(&b))
}
