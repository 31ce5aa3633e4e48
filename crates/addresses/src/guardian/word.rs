//! What parent and guardian say to each other: one datagram each, between two processes of one binary, so there are no versions. Only
//! after an upgrade in place the guardian is of an older one: neither minds a word that it does not know.
//!
//! A word is a letter and its fields; lists and texts have their length before them. What is malformed is no word.

use std::ffi::{OsStr, OsString};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use crate::kernel::Address;

/// Bytes of the longest word. A socket takes some 200 KB by default.
pub(super) const MAX_WORD: usize = 128 << 10;

/// Bytes of a program's input: a thousand addresses in JSON take a third of it.
pub(super) const MAX_INPUT: usize = 60 << 10;

/// A program to be run when the addresses of a set were taken away, by the guardian's user, in `/`. What it says goes nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The executable and its arguments.
    pub command: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Its standard input, at most 60 KiB.
    pub input: Vec<u8>,
    /// After so long its process group gets SIGTERM, and SIGKILL after [`KILL_AFTER`](crate::hooks::KILL_AFTER) more.
    pub limit: Duration,
}

/// A program that stops something of a set and that the parent itself runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The set.
    pub set: String,
    /// Its process id.
    pub pid: u32,
    /// It has certainly ended after so long.
    pub rest: Duration,
}

/// What the parent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The first one: how long silence may last.
    Begin {
        suspicion: Duration,
    },
    /// Replaces what was said of this set before.
    Hold {
        set: String,
        addresses: Vec<Address>,
        programs: Vec<Program>,
    },
    LetGo {
        set: String,
    },
    /// Nothing but these; the others are forgotten.
    Only {
        sets: Vec<String>,
    },
    /// Nothing but these: the others, which the image before had, are taken away and their programs run. The answer has this number.
    Keep {
        number: u32,
        sets: Vec<String>,
    },
    /// These, and no others, the parent runs itself.
    Running {
        programs: Vec<Running>,
    },
    /// From this thread.
    Beat {
        thread: u32,
    },
    /// Silence says nothing until this time of CLOCK_BOOTTIME, in nanoseconds, or until the next word.
    HandOver {
        until: u64,
    },
    /// The parent knows that it held nothing after the fencing with this number.
    Acknowledge {
        fencing: u32,
    },
    /// What to say to whom when the parent is dead and everything is off and stopped; nothing while it is empty.
    Farewell {
        word: Vec<u8>,
        to: Vec<SocketAddr>,
    },
    End,
}

/// What the guardian says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Ready,
    /// Said again at each beat until it is acknowledged, so it has a number: one that comes late is not another.
    Fenced {
        fencing: u32,
    },
    /// All programs of what was taken away have ended: after the acknowledgement of the fencing with this number, or after
    /// [`Word::Keep`] with it.
    Stopped {
        number: u32,
        well: bool,
    },
}

impl Answer {
    pub(super) fn write(self) -> Vec<u8> {
        match self {
            Self::Ready => vec![b'r'],
            Self::Fenced { fencing } => {
                let mut to = vec![b'f'];
                to.extend(fencing.to_ne_bytes());
                to
            }
            Self::Stopped { number, well } => {
                let mut to = vec![b's'];
                to.extend(number.to_ne_bytes());
                to.push(u8::from(well));
                to
            }
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (letter, rest) = bytes.split_first()?;
        let mut from = Reader(rest);
        let answer = match letter {
            b'r' => Self::Ready,
            b'f' => Self::Fenced { fencing: from.u32()? },
            b's' => Self::Stopped { number: from.u32()?, well: from.byte()? == 1 },
            _ => return None,
        };
        from.0.is_empty().then_some(answer)
    }
}

impl Word {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut to = Vec::new();
        match self {
            Self::Begin { suspicion } => {
                to.push(b'b');
                time(&mut to, *suspicion);
            }
            Self::Hold { set, addresses, programs } => {
                to.push(b'h');
                text(&mut to, set.as_bytes());
                count(&mut to, addresses.len());
                addresses.iter().for_each(|address| write_address(&mut to, address));
                count(&mut to, programs.len());
                programs.iter().for_each(|program| write_program(&mut to, program));
            }
            Self::LetGo { set } => {
                to.push(b'l');
                text(&mut to, set.as_bytes());
            }
            Self::Only { sets } => {
                to.push(b'n');
                count(&mut to, sets.len());
                sets.iter().for_each(|set| text(&mut to, set.as_bytes()));
            }
            Self::Keep { number, sets } => {
                to.push(b'k');
                to.extend(number.to_ne_bytes());
                count(&mut to, sets.len());
                sets.iter().for_each(|set| text(&mut to, set.as_bytes()));
            }
            Self::Running { programs } => {
                to.push(b'p');
                count(&mut to, programs.len());
                for one in programs {
                    text(&mut to, one.set.as_bytes());
                    to.extend(one.pid.to_ne_bytes());
                    time(&mut to, one.rest);
                }
            }
            Self::Beat { thread } => {
                to.push(b'.');
                to.extend(thread.to_ne_bytes());
            }
            Self::HandOver { until } => {
                to.push(b'o');
                to.extend(until.to_ne_bytes());
            }
            Self::Acknowledge { fencing } => {
                to.push(b'a');
                to.extend(fencing.to_ne_bytes());
            }
            Self::Farewell { word, to: all } => {
                to.push(b'w');
                text(&mut to, word);
                count(&mut to, all.len());
                for one in all {
                    write_ip(&mut to, one.ip());
                    to.extend(one.port().to_ne_bytes());
                }
            }
            Self::End => to.push(b'e'),
        }
        to
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (letter, rest) = bytes.split_first()?;
        let mut from = Reader(rest);
        let word = match letter {
            b'b' => Self::Begin { suspicion: from.time()? },
            b'h' => Self::Hold {
                set: from.name()?,
                addresses: from.list(Reader::address)?,
                programs: from.list(Reader::program)?,
            },
            b'l' => Self::LetGo { set: from.name()? },
            b'n' => Self::Only { sets: from.list(Reader::name)? },
            b'k' => Self::Keep { number: from.u32()?, sets: from.list(Reader::name)? },
            b'p' => Self::Running { programs: from.list(Reader::running)? },
            b'.' => Self::Beat { thread: from.u32()? },
            b'o' => Self::HandOver { until: from.u64()? },
            b'a' => Self::Acknowledge { fencing: from.u32()? },
            b'w' => Self::Farewell { word: from.text()?.to_vec(), to: from.list(Reader::place)? },
            b'e' => Self::End,
            _ => return None,
        };
        from.0.is_empty().then_some(word)
    }
}

fn time(to: &mut Vec<u8>, time: Duration) {
    to.extend(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).to_ne_bytes());
}

/// What is longer than a word may be is refused by its whole length, so a length that does not fit here is never sent.
fn count(to: &mut Vec<u8>, count: usize) {
    to.extend(u32::try_from(count).unwrap_or(u32::MAX).to_ne_bytes());
}

fn text(to: &mut Vec<u8>, text: &[u8]) {
    count(to, text.len());
    to.extend(text);
}

fn write_address(to: &mut Vec<u8>, address: &Address) {
    write_ip(to, address.ip);
    to.push(address.prefix);
    to.extend(address.interface.to_ne_bytes());
}

fn write_ip(to: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            to.push(4);
            to.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            to.push(6);
            to.extend(ip.octets());
        }
    }
}

fn write_program(to: &mut Vec<u8>, program: &Program) {
    let words = |to: &mut Vec<u8>, words: &mut dyn ExactSizeIterator<Item = &OsStr>| {
        count(to, words.len());
        words.for_each(|word| text(to, word.as_bytes()));
    };
    words(to, &mut program.command.iter().map(OsString::as_os_str));
    words(to, &mut program.environment.iter().map(|(name, _)| name.as_os_str()));
    words(to, &mut program.environment.iter().map(|(_, value)| value.as_os_str()));
    text(to, &program.input);
    time(to, program.limit);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    fn time(&mut self) -> Option<Duration> {
        self.u64().map(Duration::from_nanos)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn name(&mut self) -> Option<String> {
        String::from_utf8(self.text()?.to_vec()).ok()
    }

    fn word(&mut self) -> Option<OsString> {
        Some(OsString::from_vec(self.text()?.to_vec()))
    }

    /// Every item has at least a byte, so a list is never longer than the word.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()? as usize;
        if count > self.0.len() {
            return None;
        }
        (0..count).map(|_| item(self)).collect()
    }

    fn ip(&mut self) -> Option<IpAddr> {
        match self.byte()? {
            4 => Some(IpAddr::V4(Ipv4Addr::from(self.array::<4>()?))),
            6 => Some(IpAddr::V6(Ipv6Addr::from(self.array::<16>()?))),
            _ => None,
        }
    }

    fn place(&mut self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.ip()?, u16::from_ne_bytes(self.array()?)))
    }

    fn address(&mut self) -> Option<Address> {
        let ip = self.ip()?;
        Some(Address { ip, prefix: self.byte()?, interface: self.u32()? })
    }

    fn running(&mut self) -> Option<Running> {
        Some(Running { set: self.name()?, pid: self.u32()?, rest: self.time()? })
    }

    fn program(&mut self) -> Option<Program> {
        let command = self.list(Self::word)?;
        let names = self.list(Self::word)?;
        let values = self.list(Self::word)?;
        if names.len() != values.len() {
            return None;
        }
        let environment = names.into_iter().zip(values).collect();
        Some(Program { command, environment, input: self.text()?.to_vec(), limit: self.time()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Vec<Word> {
        let address = |ip: &str, prefix| Address { ip: ip.parse().unwrap(), prefix, interface: 7 };
        let program = Program {
            command: vec!["/bin/sh".into(), "-c".into(), OsString::from_vec(vec![0xff])],
            environment: vec![("SET".into(), "web".into())],
            input: b"{}".to_vec(),
            limit: Duration::from_secs(3),
        };
        vec![
            Word::Begin { suspicion: Duration::from_millis(300) },
            Word::Farewell { word: Vec::new(), to: Vec::new() },
            Word::Farewell {
                word: vec![1, 0, 255],
                to: vec!["10.0.0.1:4447".parse().unwrap(), "[2001:db8::1]:1".parse().unwrap()],
            },
            Word::Hold {
                set: "web".into(),
                addresses: vec![address("10.0.0.1", 32), address("2001:db8::1", 128)],
                programs: vec![program.clone(), program],
            },
            Word::LetGo { set: "web".into() },
            Word::Only { sets: vec!["web".into(), "db".into()] },
            Word::Keep { number: 7, sets: vec!["web".into(), "db".into()] },
            Word::Running { programs: Vec::new() },
            Word::Running {
                programs: ["web", "db"]
                    .map(|set| Running { set: set.into(), pid: 7, rest: Duration::from_secs(1) })
                    .into(),
            },
            Word::Beat { thread: 4_711 },
            Word::HandOver { until: 5 },
            Word::Acknowledge { fencing: 3 },
            Word::End,
        ]
    }

    #[test]
    fn what_is_said_is_what_is_understood() {
        for word in words() {
            assert_eq!(Word::read(&word.write()), Some(word));
        }
        let stopped = |well| Answer::Stopped { number: 4, well };
        for answer in [Answer::Ready, Answer::Fenced { fencing: 3 }, stopped(true), stopped(false)]
        {
            assert_eq!(Answer::read(&answer.write()), Some(answer));
        }
        for bytes in [&b""[..], b"f", b"r ", b"f12345", b"s1234", b"s123456", b"x"] {
            assert_eq!(Answer::read(bytes), None);
        }
    }

    #[test]
    fn half_a_word_and_a_word_too_long_are_none() {
        for word in words() {
            let mut bytes = word.write();
            for cut in 0..bytes.len() {
                assert_eq!(Word::read(&bytes[..cut]), None, "{word:?} cut at {cut}");
            }
            bytes.push(0);
            assert_eq!(Word::read(&bytes), None);
        }
        assert_eq!(Word::read(&[b'h', 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(Word::read(&[b'h', 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_comes_does_harm(bytes in proptest::collection::vec(0_u8..=255, 0..200)) {
            if let Some(word) = Word::read(&bytes) {
                proptest::prop_assert_eq!(word.write(), bytes);
            }
        }
    }
}
