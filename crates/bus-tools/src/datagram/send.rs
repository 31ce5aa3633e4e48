//! `spsend`: sends numbered datagrams in bursts.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::{BYTES_MAX, HEAD, Head, PORT};
use crate::usage::{UsageError, Words};

/// Packets between two lines of progress.
const PROGRESS: u32 = 1_000;
/// Before the end is sent, so that it does not overtake what is still queued (the original's 10 ms).
const BEFORE_END: Duration = Duration::from_millis(10);
/// How long a packet that the kernel does not take is kept back before it is offered again.
const AGAIN: Duration = Duration::from_millis(1);
/// How often in a row one packet may be refused before the run is given up. The original tries for ever.
const REFUSALS_MAX: u32 = 1_000;

/// Where to send, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The receiver: an address of a machine, a group or a whole network (`-a`).
    pub address: IpAddr,
    /// The receiver's port (`-p`).
    pub port: u16,
    /// Packets of a burst (`-b`).
    pub burst: u32,
    /// The pause after a burst (`-t`, in milliseconds).
    pub delay: Duration,
    /// Packets of the run (`-n`).
    pub packets: u32,
    /// Bytes of a packet, [`HEAD`] to [`BYTES_MAX`] (`-s`).
    pub bytes: usize,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST.into(),
            port: PORT,
            burst: 100,
            delay: Duration::from_millis(10),
            packets: 10_000,
            bytes: 1_024,
        }
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
                [b'-', b'a', ..] => line.address = words.parsed(&flag, "an IP address")?,
                [b'-', b'p', ..] => line.port = words.number(&flag, 1..=u16::MAX)?,
                [b'-', b'b', ..] => line.burst = words.number(&flag, 1..=u32::MAX)?,
                [b'-', b't', ..] => {
                    line.delay = Duration::from_millis(words.number(&flag, 0..=3_600_000)?);
                }
                [b'-', b'n', ..] => line.packets = words.number(&flag, 0..=i32::MAX as u32)?,
                [b'-', b's', ..] => line.bytes = words.number(&flag, HEAD..=BYTES_MAX)?,
                _ => return Err(UsageError::Unknown(flag)),
            }
        }
        Ok(line)
    }
}

/// How the tool is used. It tells no name, as in the original.
pub fn usage() -> String {
    "\
Usage:\x20
\t[-p <port number>] : to send on, default is 4444
\t[-b <burst>]       : number of packets in each burst, default is 100
\t[-t <delay>]       : time (mili-secs) to wait between bursts, default 10
\t[-n <num packets>] : total number of packets to send, default is 10000
\t[-s <num bytes>]   : size of each packet, default is 1024
\t[-a <IP address>]  : default is 127.0.0.1
"
    .to_owned()
}

/// Sends, and returns the exit status.
///
/// # Errors
/// There is no socket, the receiver cannot be sent to, or `output` cannot be written.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> io::Result<u8> {
    let Arguments { address, port, burst, delay, packets, bytes } = *arguments;
    writeln!(
        output,
        "Checking ({address}, {port}). Each burst has {burst} packets, {bytes} bytes each with {} msec \
         delay in between, for a total of {packets} packets",
        delay.as_millis()
    )?;
    output.flush()?;
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_broadcast(true)?;
    let to = SocketAddr::new(address, port);
    let mut packet = vec![0; bytes];
    let mut problems = 0;
    let begun = Instant::now();
    for number in 1..=packets {
        let head = Head { end: false, number, size: bytes as u32 };
        packet[..HEAD].copy_from_slice(&head.encode());
        problems += offer(&socket, &packet, to)?;
        if number % burst == 0 {
            thread::sleep(delay);
        }
        if number % PROGRESS == 0 {
            writeln!(output, "sent {number} packets of {bytes} bytes")?;
            output.flush()?;
        }
    }
    let time = begun.elapsed();
    thread::sleep(BEFORE_END);
    let head = Head { end: true, number: packets, size: bytes as u32 };
    packet[..HEAD].copy_from_slice(&head.encode());
    problems += offer(&socket, &packet, to)?;
    let (seconds, micros) = (time.as_secs(), time.subsec_micros());
    // The blank at the end is the original's.
    writeln!(output, "total time is ({seconds},{micros}), with {problems} problems ")?;
    output.flush()?;
    Ok(0)
}

/// Sends one packet; returns how often it was refused before.
fn offer(socket: &UdpSocket, packet: &[u8], to: SocketAddr) -> io::Result<u64> {
    let mut refusals = 0;
    loop {
        match socket.send_to(packet, to) {
            Ok(_) => return Ok(u64::from(refusals)),
            Err(error) if refusals < REFUSALS_MAX && is_passing(&error) => {
                refusals += 1;
                thread::sleep(AGAIN);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the same packet may be taken a moment later: the queues are full, or an answer to an earlier one was an error.
fn is_passing(error: &io::Error) -> bool {
    let full = error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error());
    full || matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionRefused
    )
}
