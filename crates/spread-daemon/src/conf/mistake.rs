//! What can be wrong in a `spread.conf`: where, which word, what about it, and what to do.
//!
//! The original stopped at the first mistake with the line "on or before" which it stood. Here every mistake has its
//! line and column, and as many as can be told apart are told at once.

use std::fmt;

use base::Place;
use ring::NameError;

use super::lexer::Token;
use super::{
    ADDRESSES_MAX, DAEMONS_MAX, Family, INTERFACES_MAX, SEGMENTS_MAX, TEXT_MAX, TIME_STAMP_MAX,
};

/// Most mistakes told of one file: nobody reads more.
pub const MISTAKES_MAX: usize = 32;
/// Mistakes after which reading ends, so that a file of nothing else costs little.
pub(super) const MANY: usize = 1000;
/// Most characters of an offending word that are shown.
const SHOWN_MAX: usize = 60;

/// One mistake. A file with any is not used at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// The offending word as it stands in the file, at most 60 characters of it; empty at the end of the file.
    pub token: String,
    /// What is wrong.
    pub what: What,
}

/// The kinds of mistakes. Each says what is wrong; [`What::remedy`] says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// More text than anybody writes.
    #[error("the file has {0} bytes, more than {TEXT_MAX}")]
    Size(usize),
    /// A control character.
    #[error("the character {0:?} cannot stand here")]
    Control(char),
    /// A quote without its second half on the same line.
    #[error("this text has no closing {0}")]
    Unclosed(char),
    /// Something else should stand here.
    #[error("this is not {0}")]
    Expected(&'static str),
    /// No segment and no option begins with this word.
    #[error("this is neither Spread_Segment nor the name of an option")]
    Unknown {
        /// The option that it probably is.
        meant: Option<&'static str>,
    },
    /// A number where nothing but the file of a very old version has one.
    #[error("a number begins nothing")]
    Counted,
    /// The next segment or option begins before the segment is closed.
    #[error("the segment of line {0} is not closed before this")]
    Open(usize),
    /// The value of an option is not one of its words.
    #[error("this is not a value of the option")]
    Word(&'static str),
    /// Not 1 to 9 decimal digits, or less than the least.
    #[error("this is not a number from {0} to 999999999")]
    Number(u32),
    /// A text that is too long.
    #[error("this text has more than {TIME_STAMP_MAX} characters")]
    Long,
    /// A text that must say something.
    #[error("this text is empty")]
    Empty,
    /// No IPv4 or IPv6 address.
    #[error("this is not an address")]
    Address,
    /// No port, or one that is not possible.
    #[error("this is not a port from 1 to 65534")]
    Port,
    /// A port where the segment's port counts.
    #[error("a port stands behind the address")]
    PortHere,
    /// An interface where none can be.
    #[error("an interface stands behind the address")]
    ScopeHere,
    /// `0.0.0.0` or `::` names nobody.
    #[error("this address names nobody")]
    Unspecified,
    /// A multicast address is not that of one daemon.
    #[error("a multicast address is not the address of one daemon")]
    Multicast,
    /// The other version of the internet protocol.
    #[error("this address is not {0}, as the others are")]
    Family(Family),
    /// A daemon without an address whose name leads to none.
    #[error("the name leads to no address: {0}")]
    Unresolved(String),
    /// A daemon's name that cannot be one.
    #[error(transparent)]
    Name(NameError),
    /// Two daemons of one name.
    #[error("a daemon of this name stands in line {0}")]
    NameTwice(usize),
    /// Two daemons at one address and port.
    #[error("the daemon of line {0} has this address and the same port")]
    AddressTwice(usize),
    /// Two daemons of one id.
    #[error("the daemon of line {line} has the same id, {id}")]
    IdTwice {
        /// The line of the first.
        line: usize,
        /// The id.
        id: u32,
    },
    /// Too many segments.
    #[error("there are more than {SEGMENTS_MAX} segments")]
    Segments,
    /// Too many addresses of one segment.
    #[error("the segment has more than {ADDRESSES_MAX} addresses")]
    Addresses,
    /// Too many daemons.
    #[error("there are more than {DAEMONS_MAX} daemons")]
    Daemons,
    /// Too many interfaces of one daemon.
    #[error("the daemon has more than {INTERFACES_MAX} interfaces")]
    Interfaces,
    /// The stanza of interfaces leaves out the daemon's own address.
    #[error("no interface for D covers {0}, the address of the daemon itself")]
    NoData(std::net::IpAddr),
    /// No segment at all.
    #[error("there is no segment")]
    NoSegment,
    /// No daemon at all.
    #[error("there is no daemon")]
    NoDaemon,
    /// Some of the nine timeouts, but not all.
    #[error("some timeouts are set and others are not: {0}")]
    Timeouts(String),
    /// A window that is larger than the one it is a part of.
    #[error("{name} is {value}, more than {limit}")]
    Window {
        /// The option.
        name: &'static str,
        /// Its value, in packets.
        value: u32,
        /// What it may not exceed, as `Window = 160`.
        limit: String,
    },
    /// A way of authentication that does not exist here.
    #[error("there is no method {0:?} of authentication here")]
    Method(String),
    /// A policy of access that does not exist.
    #[error("there is no such policy of access")]
    Policy,
    /// Reading ended here.
    #[error("there are {0} more mistakes")]
    More(usize),
}

impl What {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Size(_) => "this is hardly a configuration: name the right file".into(),
            Self::Control(_) => "remove it".into(),
            Self::Unclosed(quote) => format!("write {quote} at its end, on the same line"),
            Self::Expected(wanted) => format!("write {wanted}"),
            Self::Unknown { meant: Some(meant) } => format!("did you mean {meant}?"),
            Self::Unknown { meant: None } => {
                "write Spread_Segment or an option; # makes a comment of the line".into()
            }
            Self::Counted => {
                "files of Spread before 3.14 had counts; write Spread_Segment ADDRESS:PORT { NAME ADDRESS ... }".into()
            }
            Self::Open(_) => "write } behind its last daemon".into(),
            Self::Word(known) => format!("write {known}"),
            Self::Number(least) => format!("write one, {least} or more, in 1 to 9 decimal digits"),
            Self::Long => format!("write at most {TIME_STAMP_MAX}"),
            Self::Empty => "write something, or leave the option out".into(),
            Self::Address => "write four numbers from 0 to 255 with dots between them, or an IPv6 address".into(),
            Self::Port => "write one in this range; 4803 is the usual one".into(),
            Self::PortHere => {
                "leave it out: the port behind the first address of the segment is that of all its daemons".into()
            }
            Self::ScopeHere => "leave % and the interface out: it can stand in a segment's address only".into(),
            Self::Unspecified => "write the address that the others reach".into(),
            Self::Multicast => "write one of the addresses of the daemon's machine".into(),
            Self::Family(family) => format!(
                "write an address of {family}, or set ActiveIPVersion = {} and write all of them so",
                family.other()
            ),
            Self::Unresolved(_) => "write the daemon's address behind its name".into(),
            Self::Name(_) => "choose another name; the address stands behind it".into(),
            Self::NameTwice(_) => "give one of them another name".into(),
            Self::AddressTwice(_) => "correct the address, or move one to a segment of another port".into(),
            Self::IdTwice { .. } => "write VirtualID = NUMBER behind one of them, or give it another name".into(),
            Self::Segments => format!("join some: at most {SEGMENTS_MAX} are possible"),
            Self::Addresses => format!("leave out some: at most {ADDRESSES_MAX} are possible"),
            Self::Daemons => format!("leave out some: at most {DAEMONS_MAX} are possible"),
            Self::Interfaces => format!("leave out some: at most {INTERFACES_MAX} are possible"),
            Self::NoData(ip) => format!("add D {ip}, or leave the braces out to use every interface"),
            Self::NoSegment => "write Spread_Segment ADDRESS:PORT { NAME ADDRESS ... }".into(),
            Self::NoDaemon => "write NAME ADDRESS for each machine between the braces of its segment".into(),
            Self::Timeouts(_) => "set all nine or none".into(),
            Self::Window { .. } => "make it smaller, or the other larger".into(),
            Self::Method(method) if method == "PWORD" => {
                "write NULL or IP; passwords on the wire were never part of a default build".into()
            }
            Self::Method(_) => "write NULL, IP or both with a space between them".into(),
            Self::Policy => "write \"PERMIT\", the only one there ever was; who may connect is said by AllowedAuthMethods = \"IP\" and spread.access_ip".into(),
            Self::More(_) => "mend these first".into(),
        }
    }
}

impl Mistake {
    pub(super) fn new(token: &Token<'_>, what: What) -> Self {
        Self::at(token.place, token.text, what)
    }

    pub(super) fn at(place: Place, text: &str, what: What) -> Self {
        let mut token: String = text.chars().take(SHOWN_MAX).collect();
        if token.len() < text.len() {
            token.push('…');
        }
        Self { place, token, what }
    }

    /// The mistake as people read it, with the line it stands in: `file` and `text` are the file's name and text.
    pub fn render(&self, file: &str, text: &str) -> String {
        let shown = self.place.shown(file, text, self.token.chars().count(), LINE_MAX);
        let what = &self.what;
        format!("error: {}{what}\n{shown}  help: {}\n", self.quoted(), what.remedy())
    }

    fn quoted(&self) -> String {
        if self.token.is_empty() { String::new() } else { format!("{:?}: ", self.token) }
    }
}

/// Most of a line that is shown with a mistake, in characters.
const LINE_MAX: usize = 200;

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        let (token, what) = (self.quoted(), &self.what);
        write!(f, "line {line}, column {column}: {token}{what}; {}", what.remedy())
    }
}

impl std::error::Error for Mistake {}

/// In the order of the file, and no more than anybody reads.
pub(super) fn in_order(mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    mistakes.sort_by_key(|mistake| mistake.place);
    if mistakes.len() > MISTAKES_MAX {
        let more = mistakes.len() - MISTAKES_MAX;
        mistakes.truncate(MISTAKES_MAX);
        let place = mistakes.last().map(|last| last.place).unwrap_or_default();
        mistakes.push(Mistake::at(place, "", What::More(more)));
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_shown_with_its_line_and_a_remedy() {
        let text = "Spread_Segment 10.0.0.255 {\n\tweb1 10.0.0.300\n}\n";
        let place = Place { line: 2, column: 7 };
        let mistake = Mistake::at(place, "10.0.0.300", What::Address);
        let expected = "error: \"10.0.0.300\": this is not an address\n --> spread.conf:2:7\n  |\n2 | \tweb1 10.0.0.300\n  | \t     ^^^^^^^^^^\n  help: write four numbers from 0 to 255 with dots between them, or an IPv6 address\n";
        assert_eq!(mistake.render("spread.conf", text), expected);
        assert!(mistake.to_string().starts_with("line 2, column 7: \"10.0.0.300\": this is not"));
    }

    #[test]
    fn a_mistake_of_no_line_is_shown_without_one() {
        let mistake = Mistake::at(Place::default(), "", What::NoSegment);
        assert!(mistake.render("x", "").starts_with("error: there is no segment\n --> x\n"));
    }

    #[test]
    fn what_is_shown_of_a_word_is_bounded() {
        let mistake = Mistake::at(Place::default(), &"ä".repeat(5000), What::Address);
        assert_eq!(mistake.token.chars().count(), SHOWN_MAX + 1);
        let many = vec![mistake; 100];
        let told = in_order(many);
        assert_eq!(told.len(), MISTAKES_MAX + 1);
        assert_eq!(told[MISTAKES_MAX].what, What::More(68));
    }
}
