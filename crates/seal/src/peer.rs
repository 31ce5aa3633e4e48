//! The handshake that opens a TCP connection between two machines.
//!
//! Each side shows that it holds the cluster key by hashing the other's fresh random number under
//! it. It takes one round trip, and the first request may follow the client's proof in one segment.
//!
//! ```text
//! client hello  0 'BHPC'  4 version  5 zero [3]            8 machine [16]  24 boot [16]  40 nonce [32]
//!              72 machine expected [16]  88 boot expected [16] (zero = any)               104 bytes
//! server hello  0 'BHPS'  4 version  5 status  6 zero [2]  8 machine [16]  24 boot [16]  40 nonce [32]
//!              72 HMAC(key, "server" ‖ client hello ‖ server hello [0..72])               104 bytes
//! client proof  0 HMAC(key, "client" ‖ client hello ‖ server hello)                        32 bytes
//! ```
//!
//! The hashes cover both hellos whole, versions included, so nobody between can lower a version or
//! swap a name; each names its side, so a proof sent back to its maker proves nothing. Every version
//! keeps these 104 bytes, so that two versions can at least tell each other so.
//!
//! Sans-io: feed what arrived to `receive`, in pieces of any size; what follows the handshake is left
//! in the input. The driver limits the time. After an error the connection is closed.
//!
//! Not here: encryption. Whoever can change the stream after the handshake is not kept out by it.

use base::{Boot, MachineId};
use zeroize::Zeroizing;

use crate::key::ClusterKey;
use crate::suite::{KEY_LEN, Purpose, Speaker, Suite};

/// Bytes of a client hello.
pub const CLIENT_HELLO_LEN: usize = 104;
/// Bytes of a server hello.
pub const SERVER_HELLO_LEN: usize = 104;
/// Bytes of a client proof.
pub const PROOF_LEN: usize = 32;
/// The version spoken here.
pub const VERSION: u8 = 1;

const CLIENT_MAGIC: &[u8; 4] = b"BHPC";
const SERVER_MAGIC: &[u8; 4] = b"BHPS";
const PROVEN: usize = SERVER_HELLO_LEN - PROOF_LEN;

/// The random number of one side of one connection, from the operating system.
pub type Nonce = [u8; 32];

/// Why a handshake ended. The connection is closed; nothing was sent over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The other end does not speak this protocol: an HTTP client on the peer port, or another program.
    #[error("the other end does not speak the peer protocol; is the port a peer port?")]
    Foreign,
    /// Our own hello came back.
    #[error("our own greeting came back; something reflects the connection")]
    Reflected,
    /// The proof does not fit: another cluster key, or somebody altered the greeting.
    #[error("the proof does not fit; do both machines have the same cluster key?")]
    Proof,
    /// Both hold the key but speak different versions.
    #[error(
        "the other end speaks version {theirs} of the peer protocol, here it is {VERSION}; upgrade the older"
    )]
    Version {
        /// The version the other end speaks.
        theirs: u8,
    },
    /// The machine that answered is not the one that was called, or has started anew.
    #[error("boot {boot} of machine {machine} answered where another was expected", boot = found.boot, machine = found.machine)]
    Unexpected {
        /// Who answered, proven.
        found: Speaker,
    },
    /// We reached ourselves though we called another.
    #[error("this machine reached itself; another machine announces this machine's address")]
    Oneself,
    /// A status this version does not know.
    #[error("the other end refused with the unknown status {status}")]
    Status {
        /// The status byte, proven.
        status: u8,
    },
}

/// Whom a client means to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whoever holds the key.
    Anyone,
    /// This machine, in any of its lives.
    Machine(MachineId),
    /// This machine in this life.
    Speaker(Speaker),
}

impl Expected {
    /// Whether `speaker` is the one meant.
    pub fn fits(&self, speaker: &Speaker) -> bool {
        match self {
            Self::Anyone => true,
            Self::Machine(machine) => *machine == speaker.machine,
            Self::Speaker(expected) => expected == speaker,
        }
    }

    fn write(&self, out: &mut [u8]) {
        let (machine, boot) = match self {
            Self::Anyone => ([0; 16], [0; 16]),
            Self::Machine(machine) => (machine.0, [0; 16]),
            Self::Speaker(speaker) => (speaker.machine.0, speaker.boot.0),
        };
        out[..16].copy_from_slice(&machine);
        out[16..].copy_from_slice(&boot);
    }

    fn read(hello: &[u8; CLIENT_HELLO_LEN]) -> Self {
        let (machine, boot) = (MachineId(array(hello, 72)), Boot(array(hello, 88)));
        match (machine.0 == [0; 16], boot.0 == [0; 16]) {
            (true, _) => Self::Anyone,
            (false, true) => Self::Machine(machine),
            (false, false) => Self::Speaker(Speaker { machine, boot }),
        }
    }
}

/// The key of peer handshakes, derived once and shared by all connections.
#[derive(Clone)]
pub struct PeerKey<S> {
    suite: S,
    key: Zeroizing<[u8; KEY_LEN]>,
}

impl<S: Suite> PeerKey<S> {
    /// Derives it from the cluster key.
    pub fn new(suite: &S, key: &ClusterKey) -> Self {
        Self { suite: suite.clone(), key: key.shared(suite, Purpose::Peer) }
    }
}

/// What a server answers besides its name.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Status {
    Welcome = 0,
    Version = 1,
    Unexpected = 2,
}

/// Collects exactly `N` bytes from pieces of any size.
struct Fill<const N: usize> {
    bytes: [u8; N],
    have: usize,
}

impl<const N: usize> Fill<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], have: 0 }
    }

    /// Takes what is missing from the front of `input`; whether nothing is missing now.
    fn take(&mut self, input: &mut &[u8]) -> bool {
        let n = input.len().min(N - self.have);
        let (taken, rest) = input.split_at(n);
        self.bytes[self.have..self.have + n].copy_from_slice(taken);
        self.have += n;
        *input = rest;
        self.have == N
    }

    /// Whether what has come so far could still begin with `magic`.
    fn may_begin_with(&self, magic: &[u8; 4]) -> bool {
        let n = self.have.min(4);
        self.bytes[..n] == magic[..n]
    }
}

/// The side that connects.
pub struct Client {
    me: Speaker,
    expected: Expected,
    hello: [u8; CLIENT_HELLO_LEN],
    reply: Fill<SERVER_HELLO_LEN>,
}

/// A server that proved itself, and the proof it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// Who the server is.
    pub server: Speaker,
    /// To be sent before anything else; the first request may follow at once.
    pub proof: [u8; PROOF_LEN],
}

impl Client {
    /// A client; send [`hello`](Self::hello) first. `nonce` is fresh from the operating system.
    pub fn new(me: Speaker, expected: Expected, nonce: Nonce) -> Self {
        let mut hello = [0; CLIENT_HELLO_LEN];
        introduce(&mut hello, CLIENT_MAGIC, &me, &nonce);
        expected.write(&mut hello[72..]);
        Self { me, expected, hello, reply: Fill::new() }
    }

    /// The first bytes to send.
    pub fn hello(&self) -> &[u8; CLIENT_HELLO_LEN] {
        &self.hello
    }

    /// Takes bytes of the server. `None`: more are needed. Bytes beyond the handshake stay in `input`.
    ///
    /// # Errors
    /// [`HandshakeError`]; close the connection.
    pub fn receive<S: Suite>(
        &mut self,
        key: &PeerKey<S>,
        input: &mut &[u8],
    ) -> Result<Option<Welcome>, HandshakeError> {
        let complete = self.reply.take(input);
        if !self.reply.may_begin_with(SERVER_MAGIC) {
            return Err(self.stranger());
        }
        if !complete {
            return Ok(None);
        }
        let reply = self.reply.bytes;
        let (stated, proof) = reply.split_at(PROVEN);
        if !key.suite.verify(&key.key, &[b"server", &self.hello, stated], proof) {
            return Err(HandshakeError::Proof);
        }
        let server = introduced(&reply);
        self.judge(&reply, &server)?;
        let proof = key.suite.mac(&key.key, &[b"client", &self.hello, &reply]);
        Ok(Some(Welcome { server, proof }))
    }

    fn stranger(&self) -> HandshakeError {
        if self.reply.may_begin_with(CLIENT_MAGIC) {
            HandshakeError::Reflected
        } else {
            HandshakeError::Foreign
        }
    }

    fn judge(
        &self,
        reply: &[u8; SERVER_HELLO_LEN],
        server: &Speaker,
    ) -> Result<(), HandshakeError> {
        let (version, status) = (reply[4], reply[5]);
        if version != VERSION || status == Status::Version as u8 {
            return Err(HandshakeError::Version { theirs: version });
        }
        if *server == self.me && self.expected != Expected::Speaker(self.me) {
            return Err(HandshakeError::Oneself);
        }
        if !self.expected.fits(server) || status == Status::Unexpected as u8 {
            return Err(HandshakeError::Unexpected { found: *server });
        }
        if status == Status::Welcome as u8 {
            Ok(())
        } else {
            Err(HandshakeError::Status { status })
        }
    }
}

/// The side that was connected to.
pub struct Server {
    me: Speaker,
    nonce: Nonce,
    hello: Fill<CLIENT_HELLO_LEN>,
    reply: Option<[u8; SERVER_HELLO_LEN]>,
    proof: Fill<PROOF_LEN>,
}

/// How far a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Wait,
    /// Send this, then go on receiving.
    Reply([u8; SERVER_HELLO_LEN]),
    /// Send this, then close: the client is told why, under proof.
    Refuse([u8; SERVER_HELLO_LEN], HandshakeError),
    /// The client has proven itself. What is left in the input is its first request.
    Done(Speaker),
}

impl Server {
    /// A server that waits for a hello. `nonce` is fresh from the operating system.
    pub fn new(me: Speaker, nonce: Nonce) -> Self {
        Self { me, nonce, hello: Fill::new(), reply: None, proof: Fill::new() }
    }

    /// Takes bytes of the client. Call again while it returns [`Progress::Reply`] and input is left.
    ///
    /// # Errors
    /// [`HandshakeError`]; close the connection without a word.
    pub fn receive<S: Suite>(
        &mut self,
        key: &PeerKey<S>,
        input: &mut &[u8],
    ) -> Result<Progress, HandshakeError> {
        match self.reply {
            None => self.greet(key, input),
            Some(reply) => self.check(key, &reply, input),
        }
    }

    fn greet<S: Suite>(
        &mut self,
        key: &PeerKey<S>,
        input: &mut &[u8],
    ) -> Result<Progress, HandshakeError> {
        let complete = self.hello.take(input);
        if !self.hello.may_begin_with(CLIENT_MAGIC) {
            return Err(HandshakeError::Foreign);
        }
        if !complete {
            return Ok(Progress::Wait);
        }
        let hello = self.hello.bytes;
        let refusal = self.objection(&hello);
        let reply = self.answer(key, &hello, refusal.map_or(Status::Welcome, |(status, _)| status));
        Ok(match refusal {
            Some((_, error)) => Progress::Refuse(reply, error),
            None => {
                self.reply = Some(reply);
                Progress::Reply(reply)
            }
        })
    }

    fn objection(&self, hello: &[u8; CLIENT_HELLO_LEN]) -> Option<(Status, HandshakeError)> {
        if hello[4] != VERSION {
            return Some((Status::Version, HandshakeError::Version { theirs: hello[4] }));
        }
        let meant = Expected::read(hello).fits(&self.me);
        (!meant).then_some((Status::Unexpected, HandshakeError::Unexpected { found: self.me }))
    }

    fn answer<S: Suite>(
        &self,
        key: &PeerKey<S>,
        hello: &[u8; CLIENT_HELLO_LEN],
        status: Status,
    ) -> [u8; SERVER_HELLO_LEN] {
        let mut reply = [0; SERVER_HELLO_LEN];
        introduce(&mut reply, SERVER_MAGIC, &self.me, &self.nonce);
        reply[5] = status as u8;
        let proof = key.suite.mac(&key.key, &[b"server", hello, &reply[..PROVEN]]);
        reply[PROVEN..].copy_from_slice(&proof);
        reply
    }

    fn check<S: Suite>(
        &mut self,
        key: &PeerKey<S>,
        reply: &[u8; SERVER_HELLO_LEN],
        input: &mut &[u8],
    ) -> Result<Progress, HandshakeError> {
        if !self.proof.take(input) {
            return Ok(Progress::Wait);
        }
        let proof = &self.proof.bytes;
        if !key.suite.verify(&key.key, &[b"client", &self.hello.bytes, reply], proof) {
            return Err(HandshakeError::Proof);
        }
        Ok(Progress::Done(introduced(&self.hello.bytes)))
    }
}

fn introduce(hello: &mut [u8; 104], magic: &[u8; 4], me: &Speaker, nonce: &Nonce) {
    hello[..4].copy_from_slice(magic);
    hello[4] = VERSION;
    hello[8..24].copy_from_slice(&me.machine.0);
    hello[24..40].copy_from_slice(&me.boot.0);
    hello[40..72].copy_from_slice(nonce);
}

fn introduced(hello: &[u8; 104]) -> Speaker {
    Speaker { machine: MachineId(array(hello, 8)), boot: Boot(array(hello, 24)) }
}

fn array<const N: usize>(hello: &[u8; 104], at: usize) -> [u8; N] {
    core::array::from_fn(|i| hello[at + i])
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
