//! What daemons say to each other for an operator, outside of the ring: datagrams, sealed like all others.
//!
//! ```text
//! 0  mark 0xF0   1  major version of the ring   2  question's number [8]   10  kind   11  body; numbers big-endian
//! ```
//!
//! The ring knows no such kind and skips it, so daemons without a monitor ignore it. What is in a letter has been said by a
//! holder of the key; it is read as if it had not.

use super::report::Report;

/// The first byte; no message of the ring begins so.
pub const MARK: u8 = 0xF0;
const HEAD: usize = 11;
/// Most daemons of a partition.
const DAEMONS_MAX: usize = ring::settings::MEMBERS_MAX;
/// Most bytes of a reason.
const WHY_MAX: usize = 300;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The number that the one who asks has drawn; answers repeat it.
    pub question: u64,
    /// What is said.
    pub body: Body,
}

/// What is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// How is the daemon?
    Status,
    /// Virtual ids of daemons and their components.
    Partition(Vec<(u32, i16)>),
    /// Partitions end.
    Heal,
    /// As [`Request::Flow`](super::Request::Flow).
    Flow {
        /// Packets of all members in one rotation.
        window: Option<u16>,
        /// Packets sent after the token.
        accelerated: Option<u16>,
    },
    /// The daemon is to end.
    Terminate,
    /// The daemon is to read its configuration again.
    Reload,
    /// An answer: how it is.
    Report(Box<Report>),
    /// An answer: it was done.
    Done,
    /// An answer: it was not done, and why.
    Refused(String),
}

impl Letter {
    /// The bytes of the datagram, which are less than a thousand.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![MARK, ring::settings::MAJOR];
        out.extend_from_slice(&self.question.to_be_bytes());
        match &self.body {
            Body::Status => out.push(1),
            Body::Partition(components) => {
                out.push(2);
                out.push(components.len().min(DAEMONS_MAX) as u8);
                for (id, component) in components.iter().take(DAEMONS_MAX) {
                    out.extend_from_slice(&id.to_be_bytes());
                    out.extend_from_slice(&component.to_be_bytes());
                }
            }
            Body::Heal => out.push(3),
            Body::Flow { window, accelerated } => {
                out.push(4);
                for value in [window, accelerated] {
                    out.push(value.is_some().into());
                    out.extend_from_slice(&value.unwrap_or(0).to_be_bytes());
                }
            }
            Body::Terminate => out.push(5),
            Body::Reload => out.push(6),
            Body::Report(report) => {
                out.push(0x81);
                report.as_ref().clone().encode(&mut out);
            }
            Body::Done => out.push(0x82),
            Body::Refused(why) => {
                out.push(0x83);
                let end = why.floor_char_boundary(WHY_MAX);
                out.extend_from_slice(&why.as_bytes()[..end]);
            }
        }
        out
    }

    /// Reads a datagram; what is none of these, or is cut, is nothing.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, body) = bytes.split_at_checked(HEAD)?;
        if head[..2] != [MARK, ring::settings::MAJOR] {
            return None;
        }
        let question = u64::from_be_bytes(head[2..10].try_into().ok()?);
        let body = match head[10] {
            1 => Body::Status,
            2 => {
                let (count, rest) = body.split_first()?;
                let count = usize::from(*count);
                let entries = rest.get(..6 * count).filter(|_| count <= DAEMONS_MAX)?;
                let entry = |entry: &[u8]| {
                    let (id, component) = entry.split_first_chunk()?;
                    Some((u32::from_be_bytes(*id), i16::from_be_bytes(component.try_into().ok()?)))
                };
                Body::Partition(entries.chunks_exact(6).map(entry).collect::<Option<_>>()?)
            }
            3 => Body::Heal,
            4 => {
                let values = body.get(..6)?;
                let value = |at: usize| {
                    let number = u16::from_be_bytes([values[at + 1], values[at + 2]]);
                    (values[at] != 0).then_some(number)
                };
                Body::Flow { window: value(0), accelerated: value(3) }
            }
            5 => Body::Terminate,
            6 => Body::Reload,
            0x81 => Body::Report(Report::decode(body)?.into()),
            0x82 => Body::Done,
            0x83 => {
                let why = String::from_utf8_lossy(body.get(..body.len().min(WHY_MAX))?);
                Body::Refused(why.chars().filter(|c| !c.is_control()).collect())
            }
            _ => return None,
        };
        Some(Self { question, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Body> {
        vec![
            Body::Status,
            Body::Partition((0..128).map(|n| (n * 7, (n % 3) as i16 - 1)).collect()),
            Body::Heal,
            Body::Flow { window: Some(100), accelerated: None },
            Body::Flow { window: None, accelerated: Some(0) },
            Body::Terminate,
            Body::Reload,
            Body::Report(Report { name: "a".into(), ..Report::default() }.into()),
            Body::Done,
            Body::Refused("no".into()),
        ]
    }

    #[test]
    fn letters_arrive_as_they_were_sent_and_fit_a_datagram() {
        for body in all() {
            let letter = Letter { question: 0x0102_0304_0506_0708, body };
            let bytes = letter.encode();
            assert!(bytes.len() <= 1_000, "{}", bytes.len());
            assert_eq!(Letter::decode(&bytes), Some(letter));
        }
    }

    #[test]
    fn letters_that_are_cut_or_noise_are_none() {
        for body in all() {
            let bytes = Letter { question: 1, body: body.clone() }.encode();
            for cut in 0..bytes.len() {
                let letter = Letter::decode(&bytes[..cut]);
                let refused = matches!(body, Body::Refused(_));
                assert!(letter.is_none() || refused && cut >= HEAD, "{body:?} cut at {cut}");
            }
        }
        let mut dice = base::Random::new(7);
        for _ in 0..20_000 {
            let mut bytes = vec![MARK, ring::settings::MAJOR];
            bytes.extend((0..dice.below(60)).map(|_| dice.below(256) as u8));
            let _ = Letter::decode(&bytes);
        }
    }
}
