//! What a hook is told: the environment and the JSON document.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::event_name;
use super::process::handed_on;
use crate::config::HookEvent;

/// Bytes of one variable. The kernel refuses to start a program with a longer one than 128 KiB (execve(2), limits on
/// arguments); a set of 4,096 addresses would have it.
const MAX_VARIABLE: usize = 64 * 1024;

/// One address and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// The interface; empty where the kernel has no such address (only hooks are run).
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// Bits of its network.
    pub prefix: u8,
    /// The interface's address on the link, as `02:00:00:00:00:01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// Who has the set now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The machine's name.
    pub machine: String,
    /// Its own address, by which others reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// Something happened, and hooks may want to know.
///
/// | variable | holds |
/// |---|---|
/// | `BACKHAND_EVENT` | `on-up`, `on-down`, `post-up` or `post-down` |
/// | `BACKHAND_SET` | the set's name (its head where it has none); empty after a round |
/// | `BACKHAND_SETS` | names of all sets concerned, blanks between |
/// | `BACKHAND_HEAD` | the set's first address; empty after a round |
/// | `BACKHAND_ADDRESSES` | as `10.0.0.10/32 10.0.0.11/32`; empty after a round |
/// | `BACKHAND_INTERFACES` | of the same addresses, in the same order; `-` where there is none |
/// | `BACKHAND_MACHINE` | this machine's name |
/// | `BACKHAND_OWNER`, `BACKHAND_OWNER_ADDRESS` | the machine that has the set now; empty where nobody is known to, and after a round |
/// | `BACKHAND_REASON` | why, in words |
/// | `BACKHAND_VIEW` | the view in which it was decided |
/// | `BACKHAND_TIME` | milliseconds since 1970 |
/// | `BACKHAND_CUT` | `1` where a list is longer than 64 KiB and ends early; the document has all |
///
/// The JSON document has the fields of this type, and `time` for `BACKHAND_TIME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCall {
    /// What happened.
    pub event: HookEvent,
    /// The set's name; empty after a round.
    pub set: String,
    /// All sets concerned: that one, or those of the round.
    pub sets: Vec<String>,
    /// The set's addresses, its head first; none after a round.
    pub addresses: Vec<Located>,
    /// This machine's name.
    pub machine: String,
    /// Who has the set now, where that is known; nobody after a round.
    pub owner: Option<Owner>,
    /// Why, in words for people.
    pub reason: String,
    /// The view in which it was decided.
    pub view: String,
    /// When.
    pub at: SystemTime,
}

/// [`HookCall`] as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) event: String,
    pub(super) set: String,
    pub(super) sets: Vec<String>,
    pub(super) head: Option<IpAddr>,
    pub(super) addresses: Vec<Located>,
    pub(super) machine: String,
    pub(super) owner: Option<Owner>,
    pub(super) reason: String,
    pub(super) view: String,
    pub(super) time: u64,
}

impl HookCall {
    /// The set's first address: its identity. None after a round.
    pub fn head(&self) -> Option<IpAddr> {
        self.addresses.first().map(|first| first.address)
    }

    /// What a program gets: what is added to its environment, and its standard input.
    pub(crate) fn told(&self) -> (Vec<(OsString, OsString)>, Vec<u8>) {
        let environment =
            self.environment().into_iter().map(|(name, value)| (name.into(), value.into()));
        (environment.collect(), self.document())
    }

    /// Milliseconds since 1970; 0 before.
    fn time(&self) -> u64 {
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// What goes to standard input.
    pub(super) fn document(&self) -> Vec<u8> {
        let document = Document {
            event: event_name(self.event).to_owned(),
            set: self.set.clone(),
            sets: self.sets.clone(),
            head: self.head(),
            addresses: self.addresses.clone(),
            machine: self.machine.clone(),
            owner: self.owner.clone(),
            reason: self.reason.clone(),
            view: self.view.clone(),
            time: self.time(),
        };
        // Strings, numbers and lists only: it cannot fail, and an empty document is no worse than a panic.
        let mut bytes = serde_json::to_vec(&document).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The whole environment of a hook.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let mut all = handed_on();
        let mut cut = false;
        let mut list = |words: &mut dyn Iterator<Item = String>| join(words, &mut cut);
        let sets = list(&mut self.sets.iter().cloned());
        let addresses =
            list(&mut self.addresses.iter().map(|at| format!("{}/{}", at.address, at.prefix)));
        let interfaces = list(&mut self.addresses.iter().map(|at| match at.interface.as_str() {
            "" => "-".to_owned(),
            name => name.to_owned(),
        }));
        let head = self.head().map(|head| head.to_string());
        let owner = self.owner.as_ref();
        let own = [
            ("EVENT", event_name(self.event).to_owned()),
            ("SET", self.set.clone()),
            ("SETS", sets),
            ("HEAD", head.unwrap_or_default()),
            ("ADDRESSES", addresses),
            ("INTERFACES", interfaces),
            ("MACHINE", self.machine.clone()),
            ("OWNER", owner.map(|owner| owner.machine.clone()).unwrap_or_default()),
            (
                "OWNER_ADDRESS",
                owner.and_then(|owner| owner.address).map(|a| a.to_string()).unwrap_or_default(),
            ),
            ("REASON", self.reason.clone()),
            ("VIEW", self.view.clone()),
            ("TIME", self.time().to_string()),
        ];
        all.extend(own.map(|(name, value)| (format!("BACKHAND_{name}"), printable(&value))));
        if cut {
            all.insert("BACKHAND_CUT".to_owned(), "1".to_owned());
        }
        all
    }
}

/// Words with blanks between, as many whole ones as fit.
fn join(words: &mut dyn Iterator<Item = String>, cut: &mut bool) -> String {
    let mut text = String::new();
    for word in words {
        if text.len() + 1 + word.len() > MAX_VARIABLE {
            *cut = true;
            break;
        }
        let blank = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{blank}{word}"); // Writing to a string cannot fail.
    }
    text
}

/// A variable cannot hold a zero byte, and a line feed in one is a trap for scripts.
fn printable(value: &str) -> String {
    let end = value.char_indices().map(|(at, _)| at).find(|&at| at >= MAX_VARIABLE);
    let value = &value[..end.unwrap_or(value.len())];
    value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(count: u32) -> HookCall {
        let located = |n: u32| Located {
            interface: "eth0".to_owned(),
            address: IpAddr::from(std::net::Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(n))),
            prefix: 128,
            mac: None,
        };
        HookCall {
            event: HookEvent::OnUp,
            set: "web".to_owned(),
            sets: vec!["web".to_owned()],
            addresses: (0..count).map(located).collect(),
            machine: "m1".to_owned(),
            owner: None,
            reason: "line\none\0".to_owned(),
            view: "7".to_owned(),
            at: UNIX_EPOCH + std::time::Duration::from_millis(1234),
        }
    }

    #[test]
    fn a_value_holds_no_control_characters() {
        assert_eq!(call(1).environment()["BACKHAND_REASON"], "line one ");
    }

    #[test]
    fn after_a_round_there_is_no_head_and_no_address() {
        let round = HookCall {
            event: HookEvent::PostUp,
            set: String::new(),
            sets: vec!["web".to_owned(), "db".to_owned()],
            ..call(0)
        };
        let environment = round.environment();
        let of = |name: &str| environment[&format!("BACKHAND_{name}")].as_str();
        assert_eq!((of("EVENT"), of("SETS")), ("post-up", "web db"));
        for name in ["SET", "HEAD", "ADDRESSES", "INTERFACES", "OWNER", "OWNER_ADDRESS"] {
            assert_eq!(of(name), "", "{name}");
        }
        let document: serde_json::Value = serde_json::from_slice(&round.document()).unwrap();
        assert!(document["head"].is_null() && document["owner"].is_null(), "{document}");
        assert_eq!(document["addresses"], serde_json::json!([]));
    }

    #[test]
    fn a_list_too_long_for_the_kernel_ends_at_a_whole_word_and_says_so() {
        let many = call(40_960);
        let environment = many.environment();
        let list = &environment["BACKHAND_ADDRESSES"];
        assert!(list.len() <= MAX_VARIABLE);
        assert!(list.split(' ').all(|word| word.ends_with("/128")), "{list}");
        assert_eq!(environment["BACKHAND_CUT"], "1");
        assert!(!call(1).environment().contains_key("BACKHAND_CUT"));
        let all: Document = serde_json::from_slice(&many.document()).unwrap();
        assert_eq!(all.addresses.len(), 40_960);
    }

    #[test]
    fn the_document_is_read_back_as_it_was_written() {
        let document: Document = serde_json::from_slice(&call(2).document()).unwrap();
        assert_eq!(document.time, 1234);
        assert_eq!(document.head, Some(document.addresses[0].address));
        assert_eq!(document.reason, "line\none\0");
    }
}
