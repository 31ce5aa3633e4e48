//! The daemon's side of the handshake (protocol reference, 2).
//!
//! Bytes come in in any pieces. Where the daemon has to decide, the caller is asked: whether a name is free, whether an
//! address may connect. The original refuses a client whose bytes do not come as it expects, or that sends ahead of the
//! replies; no client relies on that, so here they are taken as they come, and a client may send ahead. The deadline is
//! the caller's.

use alloc::vec::Vec;

use crate::error::ErrorCode;
use crate::limits::{ACCEPT_MAX, AUTH_CHOICE_BYTES, AUTH_NAME_BYTES, HELLO_MAX, PRIVATE_NAME_MAX};
use crate::name::{NameError, PrivateGroup, PrivateName};

/// A version of a library or a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u8,
    /// Second number.
    pub minor: u8,
    /// Third number; 0 for versions that do not say it.
    pub patch: u8,
}

impl core::fmt::Display for Version {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// What we say we are, as a daemon and as a client: the version whose protocol this is.
    pub const SPOKEN: Self = Self { major: 5, minor: 0, patch: 1 };
    /// The oldest client.
    const CLIENT_MIN: u32 = 30_100;
    /// From here on the patch number is said, by both.
    const WITH_PATCH: u32 = 31_500;
    /// From here on there is an exchange about authentication.
    const WITH_AUTH: u32 = 31_600;

    const fn number(self) -> u32 {
        self.major as u32 * 10_000 + self.minor as u32 * 100 + self.patch as u32
    }

    /// Whether the hello has a third byte, which the first two decide.
    const fn says_patch(major: u8, minor: u8) -> bool {
        Self { major, minor, patch: 0 }.number() >= Self::WITH_PATCH
    }
}

/// A set of methods of authentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Methods {
    /// `NULL`: everybody passes.
    pub null: bool,
    /// `IP`: by the address of the client.
    pub ip: bool,
}

impl Methods {
    /// Only `NULL`, as the original has it by default.
    pub const NULL: Self = Self { null: true, ip: false };
    /// Only `IP`.
    pub const IP: Self = Self { null: false, ip: true };

    /// The list as it is sent: each name and a space, in the order in which the original registers them.
    fn list(self) -> Vec<u8> {
        let mut list = Vec::from([0]);
        if self.null {
            list.extend_from_slice(b"NULL ");
        }
        if self.ip {
            list.extend_from_slice(b"IP ");
        }
        list[0] = (list.len() - 1) as u8;
        list
    }
}

/// Who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The methods a client may choose from (`AllowedAuthMethods`).
    pub allowed: Methods,
    /// The methods it must pass even if it does not choose them (`RequiredAuthMethods`).
    pub required: Methods,
}

impl Default for Policy {
    /// As the original without a configuration: `NULL` is allowed, nothing required.
    fn default() -> Self {
        Self { allowed: Methods::NULL, required: Methods::default() }
    }
}

/// Why a client gets no session. The reply is one byte, [`Refusal::code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A library older than 3.1.
    #[error("its library says to be version {0}; at least 3.1 is needed")]
    Version(Version),
    /// The announced length of the name is impossible.
    #[error("it announced a private name of {0} bytes; 0 to {PRIVATE_NAME_MAX} are possible")]
    NameLength(i8),
    /// The name is not one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name is in use, or its last session is not known by all to have ended.
    #[error("its private name is in use at this daemon")]
    NotUnique,
    /// No method of authentication is allowed at all.
    #[error("no method of authentication is allowed; allow NULL or IP")]
    NoMethod,
    /// It chose no method, or one that is not allowed.
    #[error("it chose no method of authentication that is allowed here")]
    Method,
    /// The method `IP` does not let it in.
    #[error("its address may not connect")]
    Address,
    /// There are as many sessions as may be.
    #[error("there are as many sessions as may be")]
    Quota,
}

impl Refusal {
    /// What the client is told.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Version(_) => ErrorCode::RejectVersion,
            Self::NameLength(_) | Self::Name(_) => ErrorCode::RejectIllegalName,
            Self::NotUnique => ErrorCode::RejectNotUnique,
            Self::NoMethod | Self::Method | Self::Address => ErrorCode::RejectAuth,
            Self::Quota => ErrorCode::RejectQuota,
        }
    }
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// More bytes are needed.
    Wait,
    /// Decide on the name and say so with [`Handshake::answer_name`]; `None` wants one to be made up. A name is taken
    /// from here on, before the rest of the handshake.
    Name(Option<PrivateName>),
    /// Decide on the client's address and say so with [`Handshake::answer_address`].
    Address,
    /// Send this, then go on.
    Send(Vec<u8>),
    /// Send this; the session has begun, and what is left of the input are its first messages.
    Accepted(Vec<u8>, Session),
    /// Send this and close.
    Refused(Vec<u8>, Refusal),
}

/// A session as the handshake left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its private group.
    pub group: PrivateGroup,
    /// Whether it wants membership messages.
    pub membership: bool,
    /// The priority it said, 0 to 15; without effect.
    pub priority: u8,
    /// The version of its library.
    pub version: Version,
}

/// The handshake with one client.
#[derive(Clone, Debug)]
pub struct Handshake {
    policy: Policy,
    state: State,
    /// What came of the part that is being read.
    input: Vec<u8>,
    /// Whether the method `IP` is still to be passed.
    ip: bool,
    /// The group whose name was taken for it, until it is a session's.
    taken: Option<PrivateGroup>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Hello,
    Name(Hello, Option<PrivateName>),
    Named(Session),
    Choice(Session),
    Address(Session),
    Passed(Session),
    Ended,
    Refused(Refusal),
}

/// What the hello says beside the name.
#[derive(Clone, Copy, Debug)]
struct Hello {
    version: Version,
    flags: u8,
}

impl Handshake {
    /// A handshake with a client that has just connected.
    pub fn new(policy: Policy) -> Self {
        let input = Vec::with_capacity(HELLO_MAX);
        Self { policy, state: State::Hello, input, ip: policy.required.ip, taken: None }
    }

    /// Takes as many bytes off the front of `input` as are needed, and says what is to be done. Call it again after each
    /// answer, and after each [`Step::Send`], also with no input left.
    pub fn receive(&mut self, input: &mut &[u8]) -> Step {
        match self.state {
            State::Hello => match self.hello(input) {
                Ok(Some((hello, name))) => {
                    self.state = State::Name(hello, name);
                    Step::Name(name)
                }
                Ok(None) => Step::Wait,
                Err(why) => self.refuse(why, Vec::new()),
            },
            State::Name(_, name) => Step::Name(name),
            State::Named(session) => self.authenticate(session),
            State::Choice(session) => {
                if !self.fill(input, AUTH_CHOICE_BYTES) {
                    return Step::Wait;
                }
                match self.choice() {
                    Ok(()) => self.pass(session),
                    Err(why) => self.refuse(why, Vec::new()),
                }
            }
            State::Address(_) => Step::Address,
            State::Passed(session) => self.accept(session),
            State::Ended => Step::Wait,
            State::Refused(why) => self.refuse(why, Vec::new()),
        }
    }

    /// Answers [`Step::Name`]: the private group the session has, which is taken from now on, or why it gets none.
    pub fn answer_name(&mut self, answer: Result<PrivateGroup, Refusal>) {
        if let State::Name(Hello { version, flags }, _) = self.state {
            self.taken = answer.ok();
            self.state = match answer {
                Ok(group) => State::Named(Session {
                    group,
                    membership: flags & 1 == 1,
                    priority: flags >> 4,
                    version,
                }),
                Err(why) => State::Refused(why),
            };
        }
    }

    /// Answers [`Step::Address`].
    pub fn answer_address(&mut self, allowed: bool) {
        if let State::Address(session) = self.state {
            let passed = State::Passed(session);
            self.state = if allowed { passed } else { State::Refused(Refusal::Address) };
        }
    }

    /// The group whose name was taken by this handshake while it is no session's: to be given back if the handshake is
    /// refused or given up.
    pub fn taken(&self) -> Option<PrivateGroup> {
        self.taken
    }

    /// Collects `needed` bytes of the present part.
    fn fill(&mut self, input: &mut &[u8], needed: usize) -> bool {
        let missing = needed.saturating_sub(self.input.len()).min(input.len());
        let (now, later) = input.split_at(missing);
        self.input.extend_from_slice(now);
        *input = later;
        self.input.len() >= needed
    }

    /// Reads the hello; refuses as soon as it can.
    fn hello(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<(Hello, Option<PrivateName>)>, Refusal> {
        if !self.fill(input, 2) {
            return Ok(None);
        }
        let (major, minor) = (self.input[0], self.input[1]);
        let oldest = Version { major, minor, patch: 0 };
        if oldest.number() < Version::CLIENT_MIN {
            return Err(Refusal::Version(oldest));
        }
        let patch = usize::from(Version::says_patch(major, minor));
        let head = 4 + patch;
        if !self.fill(input, head) {
            return Ok(None);
        }
        let version = Version { patch: if patch == 1 { self.input[2] } else { 0 }, ..oldest };
        let hello = Hello { version, flags: self.input[head - 2] };
        let length = self.input[head - 1];
        if usize::from(length) > PRIVATE_NAME_MAX {
            return Err(Refusal::NameLength(length as i8));
        }
        if !self.fill(input, head + usize::from(length)) {
            return Ok(None);
        }
        let name = match &self.input[head..] {
            [] => None,
            bytes => Some(PrivateName::new(bytes)?),
        };
        self.input.clear();
        Ok(Some((hello, name)))
    }

    /// Begins the exchange about authentication, or passes over it for a client too old for one.
    fn authenticate(&mut self, session: Session) -> Step {
        let Policy { allowed, .. } = self.policy;
        if session.version.number() >= Version::WITH_AUTH {
            let list = allowed.list();
            if list.len() == 1 {
                return self.refuse(Refusal::NoMethod, list);
            }
            self.state = State::Choice(session);
            return Step::Send(list);
        }
        // An old client cannot choose: by its address if that is allowed, else as everybody.
        self.ip |= allowed.ip;
        if !self.ip && !allowed.null {
            return self.refuse(Refusal::NoMethod, Vec::new());
        }
        self.pass(session)
    }

    /// Reads the client's choice of methods.
    fn choice(&mut self) -> Result<(), Refusal> {
        let mut chosen = 0;
        for slot in self.input.chunks_exact(AUTH_NAME_BYTES) {
            let length = slot.iter().position(|&byte| byte == 0).unwrap_or(slot.len());
            match &slot[..length] {
                b"" => break,
                b"NULL" if self.policy.allowed.null => {}
                b"IP" if self.policy.allowed.ip => self.ip = true,
                _ => return Err(Refusal::Method),
            }
            chosen += 1;
        }
        if chosen == 0 { Err(Refusal::Method) } else { Ok(()) }
    }

    /// Goes on once the methods are known.
    fn pass(&mut self, session: Session) -> Step {
        if self.ip {
            self.state = State::Address(session);
            return Step::Address;
        }
        self.accept(session)
    }

    fn accept(&mut self, session: Session) -> Step {
        self.state = State::Ended;
        self.taken = None;
        Step::Accepted(accept(&session), session)
    }

    /// Ends it, with `before` in front of the code.
    fn refuse(&mut self, why: Refusal, mut before: Vec<u8>) -> Step {
        self.state = State::Ended;
        before.push(why.code().byte());
        Step::Refused(before, why)
    }
}

/// The accept reply (protocol reference, 2.4).
fn accept(session: &Session) -> Vec<u8> {
    let Version { major, minor, patch } = Version::SPOKEN;
    let group = session.group.as_bytes();
    let mut reply = Vec::with_capacity(ACCEPT_MAX);
    reply.extend_from_slice(&[1, major, minor]);
    if session.version.number() >= Version::WITH_PATCH {
        reply.push(patch);
    }
    reply.push(group.len() as u8);
    reply.extend_from_slice(group);
    reply
}
