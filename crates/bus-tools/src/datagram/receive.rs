//! `sprecv`: counts which numbered datagrams did not come.
//!
//! A run is told from the next one by its sender's port, so that a packet that comes late fills its gap. The original
//! takes it for the beginning of another run.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::{BYTES_MAX, HEAD, Head, PORT};
use crate::usage::{UsageError, Words};

/// Bytes of the receive queue to ask for, so that a busy receiver is not taken for a bad network; the kernel may give less.
const QUEUE: usize = 4 << 20;

/// What to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The port; 0 takes a free one (`-p`).
    pub port: u16,
    /// The group to join, if any (`-a`).
    pub group: Option<Ipv4Addr>,
    /// The address of the interface to receive the group on (`-i`).
    pub interface: Ipv4Addr,
    /// Whether to tell of every gap (`-d`).
    pub detailed: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { port: PORT, group: None, interface: Ipv4Addr::UNSPECIFIED, detailed: false }
    }
}

impl Arguments {
    /// Reads the words behind the program's name.
    ///
    /// # Errors
    /// The first word that is not understood.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, UsageError> {
        let mut line = Self::default();
        let mut words = Words::new(words);
        while let Some(flag) = words.next() {
            match flag.as_bytes() {
                [b'-', b'd', ..] => line.detailed = true,
                [b'-', b'p', ..] => line.port = words.number(&flag, 1..=u16::MAX)?,
                [b'-', b'a', ..] => {
                    let expected = "a multicast address of IP version 4, or 0.0.0.0 for none";
                    let group: Ipv4Addr = words.parsed(&flag, expected)?;
                    if !group.is_multicast() && !group.is_unspecified() {
                        let (value, expected) = (group.to_string(), expected.to_owned());
                        return Err(UsageError::Value { flag, value, expected });
                    }
                    line.group = group.is_multicast().then_some(group);
                }
                [b'-', b'i', ..] => {
                    line.interface = words.parsed(&flag, "an address of this machine")?;
                }
                _ => return Err(UsageError::Unknown(flag)),
            }
        }
        Ok(line)
    }
}

/// How the tool is used, called as `program`.
pub fn usage(program: &str) -> String {
    format!(
        "\
Usage: {program}
\t[-p <port number>] : to receive on, default is 4444
\t[-a <multicast class D address>] : if receiving multicast is desirable, default is 0
\t[-i <IP interface>] : set interface, default is 0
\t[-d ]              : print a detailed report whenever messages are missed
"
    )
}

/// Receives until the program is ended.
///
/// # Errors
/// There is no socket, or `output` cannot be written.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> io::Result<u8> {
    let mut receiver = Receiver::open(arguments)?;
    receiver.greet(output)?;
    loop {
        receiver.receive(output)?;
    }
}

/// A socket with what is known of the run that it receives.
#[derive(Debug)]
pub struct Receiver {
    socket: UdpSocket,
    detailed: bool,
    run: Run,
    packet: Vec<u8>,
}

#[derive(Debug, Default)]
struct Run {
    sender: Option<SocketAddr>,
    /// The highest number that came.
    highest: u32,
    missed: u32,
    corrupted: u32,
}

impl Receiver {
    /// Opens the socket.
    ///
    /// # Errors
    /// The port is taken, or the group cannot be joined there.
    pub fn open(arguments: &Arguments) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        // Several may receive a group on one machine.
        socket.set_reuse_address(arguments.group.is_some())?;
        // A queue as large as the kernel gives is only better.
        let _ = socket.set_recv_buffer_size(QUEUE);
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, arguments.port)).into())?;
        if let Some(group) = arguments.group {
            socket.join_multicast_v4(&group, &arguments.interface)?;
        }
        let (detailed, packet) = (arguments.detailed, vec![0; BYTES_MAX]);
        Ok(Self { socket: socket.into(), detailed, run: Run::default(), packet })
    }

    /// Where it receives.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Tells that it is ready.
    ///
    /// # Errors
    /// `output` cannot be written.
    pub fn greet(&self, output: &mut dyn Write) -> io::Result<()> {
        writeln!(output, "Ready to receive on port {}", self.local_addr()?.port())?;
        output.flush()
    }

    /// Receives one packet; `true` if it was the end of a run, which is reported then.
    ///
    /// # Errors
    /// The socket fails, or `output` cannot be written.
    pub fn receive(&mut self, output: &mut dyn Write) -> io::Result<bool> {
        let (length, sender) = match self.socket.recv_from(&mut self.packet) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(false),
            received => received?,
        };
        let ended = self.run.take(&self.packet[..length], sender, self.detailed, output)?;
        output.flush()?;
        Ok(ended)
    }
}

impl Run {
    fn take(
        &mut self,
        packet: &[u8],
        sender: SocketAddr,
        detailed: bool,
        output: &mut dyn Write,
    ) -> io::Result<bool> {
        let length = packet.len();
        let head = match Head::decode(packet) {
            Some(head) if head.size as usize == length => head,
            other => {
                self.corrupted = self.corrupted.saturating_add(1);
                // One too short for a head tells nothing of its size.
                let expected = other.map_or(HEAD as u32, |head| head.size);
                writeln!(
                    output,
                    "Corruption: expected packet size is {expected}, received packet size is {length}"
                )?;
                return Ok(false);
            }
        };
        if self.sender.is_some_and(|before| before != sender) {
            self.cut_short(head.number, output)?;
        }
        self.sender = Some(sender);
        if head.end {
            self.missed = self.missed.saturating_add(head.number.saturating_sub(self.highest));
            let (missed, corrupted) = (self.missed, self.corrupted);
            writeln!(
                output,
                "-------\nReport: total packets {}, total missed {missed}, total corrupted {corrupted}\n-------",
                head.number
            )?;
            *self = Self::default();
            return Ok(true);
        }
        if head.number <= self.highest {
            // It was counted as missed when a later one came before it.
            self.missed = self.missed.saturating_sub(1);
            return Ok(false);
        }
        let missed = head.number - self.highest - 1;
        self.missed = self.missed.saturating_add(missed);
        if detailed && missed > 0 {
            let (number, expected) = (head.number, self.highest + 1);
            writeln!(
                output,
                " --> count is {number}, i is {expected}, missed {missed} total missed {}, corrupt {}",
                self.missed, self.corrupted
            )?;
        }
        self.highest = head.number;
        Ok(false)
    }

    /// Another run began before the end of this one came.
    fn cut_short(&mut self, number: u32, output: &mut dyn Write) -> io::Result<()> {
        let Self { highest, missed, corrupted, .. } = *self;
        writeln!(
            output,
            "-------\nReport: total packets at least {highest}, total missed {missed}, total corrupted {corrupted}\n\
             Initiating count from {highest} to {number}\n-------"
        )?;
        *self = Self::default();
        Ok(())
    }
}
