//! The client's side of the handshake (protocol reference, 2).

use alloc::vec::Vec;

use crate::error::ErrorCode;
use crate::limits::{AUTH_CHOICE_BYTES, AUTH_LIST_MAX, GROUP_NAME_MAX, HELLO_MAX};
use crate::name::{GroupName, PrivateGroup, PrivateName};
use crate::server::Version;

/// The oldest daemon (`major` number).
const DAEMON_MAJOR_MIN: u8 = 3;
/// The one method of authentication that needs nothing of a client.
const METHOD: &[u8] = b"NULL";
/// The method that needs nothing of a client either: the daemon looks at its address.
const METHOD_IP: &[u8] = b"IP";

/// What a client says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The name it wants at its daemon; `None` lets the daemon make one up.
    pub name: Option<PrivateName>,
    /// Whether it wants membership messages.
    pub membership: bool,
    /// Whether it asks for priority; daemons ignore it.
    pub priority: bool,
}

impl Hello {
    /// The bytes of the hello.
    pub fn encode(&self) -> Vec<u8> {
        let Version { major, minor, patch } = Version::SPOKEN;
        let name = self.name.as_ref().map_or(&[][..], PrivateName::as_bytes);
        let flags = u8::from(self.membership) | u8::from(self.priority) << 4;
        let mut bytes = Vec::with_capacity(HELLO_MAX);
        bytes.extend_from_slice(&[major, minor, patch, flags, name.len() as u8]);
        bytes.extend_from_slice(name);
        bytes
    }
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The daemon refused.
    #[error("the daemon refused the session: {0}")]
    Refused(ErrorCode),
    /// The daemon refused with a code that means nothing.
    #[error("the daemon refused the session with the unknown code {0}")]
    Unknown(i8),
    /// The daemon asks for methods of authentication that this client has not.
    #[error("the daemon allows no method of authentication that this client has (NULL, IP)")]
    Methods,
    /// The daemon is too old.
    #[error("the daemon is version {0}; at least 3.0 is needed, and 3.8 for priority")]
    Version(Version),
    /// The daemon's reply names no private group.
    #[error("the daemon's reply names no private group; what listens there is no Spread daemon")]
    Malformed,
}

impl ConnectError {
    /// The code that the original's library would return.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(code) => *code,
            Self::Methods => ErrorCode::RejectAuth,
            Self::Version(_) => ErrorCode::RejectVersion,
            Self::Unknown(_) | Self::Malformed => ErrorCode::CouldNotConnect,
        }
    }

    fn of(code: i8) -> Self {
        ErrorCode::from_code(code).map_or(Self::Unknown(code), Self::Refused)
    }
}

/// A session as the daemon granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Established {
    /// The private group: messages to it come here.
    pub group: PrivateGroup,
    /// What the daemon says it is; 3.8 to 3.14 leave the last number out, which is 0 then.
    pub daemon: Version,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// More bytes are needed.
    Wait,
    /// Send this, then go on.
    Send(Vec<u8>),
    /// The session has begun; what is left of the input are its first messages.
    Done(Established),
}

/// The handshake with a daemon. First send [`Hello::encode`].
#[derive(Clone, Debug)]
pub struct Connect {
    hello: Hello,
    state: State,
    input: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Methods,
    Accept,
    Done,
    Failed(ConnectError),
}

impl Connect {
    /// A handshake that begins with `hello`.
    pub fn new(hello: Hello) -> Self {
        Self { hello, state: State::Methods, input: Vec::new() }
    }

    /// Takes as many bytes off the front of `input` as are needed. Call it again after [`Step::Send`].
    ///
    /// # Errors
    /// There will be no session; every later call says the same.
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Step, ConnectError> {
        let step = match self.state {
            State::Methods => self.methods(input),
            State::Accept => self.accept(input),
            State::Done => Ok(None),
            State::Failed(why) => Err(why),
        };
        match step {
            Ok(Some(step)) => Ok(step),
            Ok(None) => Ok(Step::Wait),
            Err(why) => {
                self.state = State::Failed(why);
                Err(why)
            }
        }
    }

    fn fill(&mut self, input: &mut &[u8], needed: usize) -> bool {
        let missing = needed.saturating_sub(self.input.len()).min(input.len());
        let (now, later) = input.split_at(missing);
        self.input.extend_from_slice(now);
        *input = later;
        self.input.len() >= needed
    }

    /// Reads the list of methods, and chooses `NULL`, else `IP`.
    fn methods(&mut self, input: &mut &[u8]) -> Result<Option<Step>, ConnectError> {
        if !self.fill(input, 1) {
            return Ok(None);
        }
        let length = self.input[0] as i8;
        if length < 0 {
            return Err(ConnectError::of(length));
        }
        if length == 0 {
            // What follows is the refusal.
            if !self.fill(input, 2) {
                return Ok(None);
            }
            return Err(ConnectError::of(self.input[1] as i8));
        }
        debug_assert!(usize::from(self.input[0]) <= AUTH_LIST_MAX);
        if !self.fill(input, 1 + usize::from(self.input[0])) {
            return Ok(None);
        }
        let has =
            |method: &&[u8]| self.input[1..].split(|&byte| byte == b' ').any(|one| one == *method);
        let chosen = [METHOD, METHOD_IP].into_iter().find(has);
        let chosen = chosen.ok_or(ConnectError::Methods)?;
        let mut choice = Vec::from([0; AUTH_CHOICE_BYTES]);
        choice[..chosen.len()].copy_from_slice(chosen);
        self.input.clear();
        self.state = State::Accept;
        Ok(Some(Step::Send(choice)))
    }

    /// Reads the accept reply.
    fn accept(&mut self, input: &mut &[u8]) -> Result<Option<Step>, ConnectError> {
        if !self.fill(input, 1) {
            return Ok(None);
        }
        if self.input[0] != 1 {
            return Err(ConnectError::of(self.input[0] as i8));
        }
        if !self.fill(input, 5) {
            return Ok(None);
        }
        let [_, major, minor, patch, length] = self.input[..5] else { return Ok(None) };
        let daemon = Version { major, minor, patch };
        let too_old = major < DAEMON_MAJOR_MIN || (self.hello.priority && (major, minor) < (3, 8));
        if too_old {
            return Err(ConnectError::Version(daemon));
        }
        let length = usize::from(length);
        if length > GROUP_NAME_MAX {
            return Err(ConnectError::Malformed);
        }
        if !self.fill(input, 5 + length) {
            return Ok(None);
        }
        let group = GroupName::destination(&self.input[5..]).ok();
        let group: PrivateGroup =
            group.and_then(|group| group.private()).ok_or(ConnectError::Malformed)?;
        self.input.clear();
        self.state = State::Done;
        Ok(Some(Step::Done(Established { group, daemon })))
    }
}
