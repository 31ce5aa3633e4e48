//! Single values of both notations, judged while they are read.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::PerRound;
use super::block::bits;

/// Longest name Linux gives an interface, in bytes. The first one has at most 15, another one (altname) this.
const INTERFACE_NAME_MAX: usize = 127;

/// A value that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not an address.
    #[error(
        "{0:?} is no address; write four numbers from 0 to 255 with dots between them, or an IPv6 address, and the interface and a colon before it if need be"
    )]
    Address(String),
    /// Neither hosts nor the word for those that are known.
    #[error(
        "{0:?} is neither hosts nor \"neighbours\"; write \"neighbours\", or hosts as in \"10.0.0.1\" and \"eth0:10.0.0.0/24\""
    )]
    Hosts(String),
    /// Not the first address of an entry.
    #[error("{0:?} is no address; write the first address of the entry, as in \"10.0.0.10\"")]
    Head(String),
    /// An address with something around it.
    #[error("{text:?} is more than an address; write \"{ip}\"")]
    Bare {
        /// What stands there.
        text: String,
        /// The address in it.
        ip: IpAddr,
    },
    /// Not an interface.
    #[error("{0:?} is no interface; write one of its names, of 1 to 127 characters, such as eth0")]
    Interface(String),
    /// Not a length of a prefix.
    #[error("{text:?} is no length of a prefix; write a number from 1 to {max} behind the slash")]
    Length {
        /// What stands there.
        text: String,
        /// Bits in an address of this kind.
        max: u8,
    },
    /// Not a length behind the n.
    #[error("{text:?} is no length of a network; write a number from 1 to {max} behind the n")]
    Net {
        /// What stands there.
        text: String,
        /// Bits in an address of this kind.
        max: u8,
    },
    /// Not what a round of balance can have.
    #[error("{0} is no number of sets; write 1 to 4096, or \"all\"")]
    PerRound(String),
    /// Not a status code or a range of them.
    #[error("{0} is no status; write a number from 100 to 599, or two with a hyphen: \"200-399\"")]
    Status(String),
}

/// An address with what may stand around it: `IF:10.0.0.1/32n24`. Only the address must be there.
///
/// An IPv6 address may stand in brackets; it must where the interface could be read as a part of it: `cafe:[fd00::1]/64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressText {
    pub(crate) interface: Option<String>,
    pub(crate) ip: IpAddr,
    /// At most the bits of the address.
    pub(crate) prefix: Option<u8>,
    /// 1 to the bits of the address.
    pub(crate) net: Option<u8>,
}

impl FromStr for AddressText {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (place, length) = match text.split_once('/') {
            Some((place, length)) => (place, Some(length)),
            None => (text, None),
        };
        let (interface, ip) = match address(place) {
            Some(ip) => (None, ip),
            None => {
                let wrong = || ValueError::Address(place.to_owned());
                let (interface, rest) = place.split_once(':').ok_or_else(wrong)?;
                let ip = address(rest).ok_or_else(wrong)?;
                if !is_interface(interface) {
                    return Err(ValueError::Interface(interface.to_owned()));
                }
                (Some(interface.to_owned()), ip)
            }
        };
        let max = bits(ip);
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u8>().ok().filter(|&number| digits && number <= max)
        };
        let (prefix, net) = match length {
            None => (None, None),
            Some(length) => {
                let (prefix, net) = match length.split_once(['n', 'N']) {
                    Some((prefix, net)) => (prefix, Some(net)),
                    None => (length, None),
                };
                let wrong = || ValueError::Length { text: prefix.to_owned(), max };
                let prefix = number(prefix).ok_or_else(wrong)?;
                let judged = |net: &str| {
                    let wrong = || ValueError::Net { text: net.to_owned(), max };
                    number(net).filter(|&net| net > 0).ok_or_else(wrong)
                };
                (Some(prefix), net.map(judged).transpose()?)
            }
        };
        Ok(Self { interface, ip, prefix, net })
    }
}

/// An address, of version 6 also in brackets.
fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// Whether an interface can have this name.
pub(crate) fn is_interface(name: &str) -> bool {
    (1..=INTERFACE_NAME_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:[]".contains(&byte))
        && ![".", ".."].contains(&name)
}

fn some<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    base::units::parsed(deserializer).map(Some)
}

/// An address of a list: text, or a table that says more of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressItem {
    /// Without it there is a mistake, which is told where the rest is judged: it may have been left out for one of its own.
    pub(super) text: Option<AddressText>,
    pub(super) source: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddressTable {
    #[serde(default, deserialize_with = "some")]
    address: Option<AddressText>,
    #[serde(default)]
    source: bool,
}

impl<'de> Deserialize<'de> for AddressItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Item;
        impl<'de> Visitor<'de> for Item {
            type Value = AddressItem;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a table { address = \"...\", source = true }")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<AddressItem, E> {
                let text = text.parse().map_err(E::custom)?;
                Ok(AddressItem { text: Some(text), source: false })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AddressItem, A::Error> {
                let table = AddressTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(AddressItem { text: table.address, source: table.source })
            }
        }
        deserializer.deserialize_any(Item)
    }
}

/// An entry of `list`: one address, or several that are held together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListItem {
    pub(super) addresses: Vec<AddressItem>,
    /// Whether it is written as a list.
    pub(super) many: bool,
}

impl<'de> Deserialize<'de> for ListItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Item;
        impl<'de> Visitor<'de> for Item {
            type Value = ListItem;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address or a list of addresses")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<ListItem, E> {
                let text = text.parse().map_err(E::custom)?;
                Ok(ListItem {
                    addresses: vec![AddressItem { text: Some(text), source: false }],
                    many: false,
                })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ListItem, A::Error> {
                let one = AddressItem::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ListItem { addresses: vec![one], many: false })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<ListItem, A::Error> {
                let addresses = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(ListItem { addresses, many: true })
            }
        }
        deserializer.deserialize_any(Item)
    }
}

/// An entry of `prefer`: an address and nothing around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreferItem(pub(super) IpAddr);

impl FromStr for PreferItem {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(ip) = text.parse() {
            return Ok(Self(ip));
        }
        let text = text.to_owned();
        Err(match text.parse::<AddressText>() {
            Ok(AddressText { ip, .. }) => ValueError::Bare { text, ip },
            Err(_) => ValueError::Head(text),
        })
    }
}

impl<'de> Deserialize<'de> for PreferItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        base::units::parsed(deserializer)
    }
}

/// Whom an entry of `notify` is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostsText {
    Neighbours,
    Hosts(AddressText),
}

impl FromStr for HostsText {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "neighbours" {
            return Ok(Self::Neighbours);
        }
        text.parse::<AddressText>().map(Self::Hosts).map_err(|error| match error {
            ValueError::Address(text) => ValueError::Hosts(text),
            other => other,
        })
    }
}

/// An entry of `notify`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyItem {
    pub(super) hosts: Option<HostsText>,
    pub(super) throttle: Option<i64>,
    pub(super) ping: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotifyTable {
    #[serde(default, deserialize_with = "some")]
    hosts: Option<HostsText>,
    throttle: Option<i64>,
    #[serde(default)]
    ping: bool,
}

impl<'de> Deserialize<'de> for NotifyItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Item;
        impl<'de> Visitor<'de> for Item {
            type Value = NotifyItem;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("hosts, \"neighbours\", or a table { hosts = \"...\", throttle = 16 }")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<NotifyItem, E> {
                let hosts = text.parse().map_err(E::custom)?;
                Ok(NotifyItem { hosts: Some(hosts), throttle: None, ping: false })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NotifyItem, A::Error> {
                let table = NotifyTable::deserialize(MapAccessDeserializer::new(map))?;
                let NotifyTable { hosts, throttle, ping } = table;
                Ok(NotifyItem { hosts, throttle, ping })
            }
        }
        deserializer.deserialize_any(Item)
    }
}

/// Most sets that move in a round, as a number.
pub(crate) const PER_ROUND_MAX: u32 = 4096;

impl<'de> Deserialize<'de> for PerRound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = PerRound;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or \"all\"")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<PerRound, E> {
                let fits = u32::try_from(number).ok().filter(|n| (1..=PER_ROUND_MAX).contains(n));
                let wrong = || E::custom(ValueError::PerRound(number.to_string()));
                fits.map(PerRound::Number).ok_or_else(wrong)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<PerRound, E> {
                let wrong = || E::custom(ValueError::PerRound(format!("{text:?}")));
                if text == "all" { Ok(PerRound::All) } else { Err(wrong()) }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// A status code of HTTP, or a range of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusItem(pub(super) RangeInclusive<u16>);

impl StatusItem {
    fn between(first: i64, last: i64) -> Option<Self> {
        let good = 100 <= first && first <= last && last <= 599;
        good.then_some(Self(first as u16..=last as u16))
    }
}

impl<'de> Deserialize<'de> for StatusItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Status;
        impl Visitor<'_> for Status {
            type Value = StatusItem;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status code or a range of them in quotes")
            }
            fn visit_i64<E: Error>(self, code: i64) -> Result<StatusItem, E> {
                let wrong = || E::custom(ValueError::Status(code.to_string()));
                StatusItem::between(code, code).ok_or_else(wrong)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<StatusItem, E> {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                let range = first.parse().ok().zip(last.parse().ok());
                let item = range.and_then(|(first, last)| StatusItem::between(first, last));
                item.ok_or_else(|| E::custom(ValueError::Status(format!("{text:?}"))))
            }
        }
        deserializer.deserialize_any(Status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AddressText, ValueError> {
        text.parse()
    }

    #[test]
    fn an_address_may_have_its_interface_length_and_network() {
        for (text, interface, ip, prefix, net) in [
            ("10.0.0.1", None, "10.0.0.1", None, None),
            ("10.0.0.1/32n24", None, "10.0.0.1", Some(32), Some(24)),
            ("eth0:10.0.0.1/24", Some("eth0"), "10.0.0.1", Some(24), None),
            ("eth0.12:10.0.0.1", Some("eth0.12"), "10.0.0.1", None, None),
            ("one-of-many-names:10.0.0.1", Some("one-of-many-names"), "10.0.0.1", None, None),
            ("fd00::1", None, "fd00::1", None, None),
            ("[fd00::1]/64", None, "fd00::1", Some(64), None),
            ("eth0:fd00::1/128N48", Some("eth0"), "fd00::1", Some(128), Some(48)),
            ("eth0:[fd00::1]/64", Some("eth0"), "fd00::1", Some(64), None),
            // Of both readings the address wins; brackets make it an interface.
            ("cafe:fd00::1", None, "cafe:fd00::1", None, None),
            ("cafe:[fd00::1]", Some("cafe"), "fd00::1", None, None),
        ] {
            let expected = AddressText {
                interface: interface.map(Into::into),
                ip: ip.parse().unwrap(),
                prefix,
                net,
            };
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_by_its_wrong_part() {
        for text in
            ["", "10.0.0.256", "10.0.0", "eth0:", "eth0:10.0.0.300/32", "[10.0.0.1]", "[fd00::1"]
        {
            assert!(matches!(read(text), Err(ValueError::Address(_))), "{text}");
        }
        for text in [":10.0.0.1", "a/b:10.0.0.1", &format!("{}:10.0.0.1", "i".repeat(128))] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in ["10.0.0.1/33", "10.0.0.1/", "10.0.0.1/+8", "10.0.0.1/n24", "fd00::1/129"] {
            assert!(matches!(read(text), Err(ValueError::Length { .. })), "{text}");
        }
        for text in ["10.0.0.1/32n", "10.0.0.1/32n33", "10.0.0.1/32n0", "10.0.0.1/32n24n8"] {
            assert!(matches!(read(text), Err(ValueError::Net { .. })), "{text}");
        }
        assert_eq!(
            read("eth0:10.0.0.1/40").unwrap_err().to_string(),
            "\"40\" is no length of a prefix; write a number from 1 to 32 behind the slash"
        );
    }

    #[test]
    fn what_stands_in_a_list_of_bare_addresses_is_told_what_to_write() {
        let told = |text: &str| text.parse::<PreferItem>().unwrap_err().to_string();
        let bare = "10.0.0.1".parse::<PreferItem>();
        assert_eq!(bare, Ok(PreferItem("10.0.0.1".parse().unwrap())));
        assert_eq!(
            told("db"),
            "\"db\" is no address; write the first address of the entry, as in \"10.0.0.10\""
        );
        assert_eq!(
            told("eth0:10.0.0.1/32"),
            "\"eth0:10.0.0.1/32\" is more than an address; write \"10.0.0.1\""
        );
        let hosts = "neighbors".parse::<HostsText>().unwrap_err().to_string();
        assert!(hosts.contains("; write \"neighbours\", "), "{hosts}");
    }
}
