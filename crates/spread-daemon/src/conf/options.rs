//! The options of a `spread.conf` as values, with what counts where nothing is written.

use std::time::Duration;

use super::address::Family;
use super::flags::DebugFlags;

/// The least important events that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventPriority {
    /// Everything.
    Debug,
    /// What is usual.
    #[default]
    Info,
    /// What may be wrong.
    Warning,
    /// What is wrong.
    Error,
    /// What endangers the daemon.
    Critical,
    /// What ends it.
    Fatal,
}

/// Whether client ports are opened with `SO_REUSEADDR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortReuse {
    /// Only where specific addresses are listened on.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// A way for a client to prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// No proof.
    Null,
    /// Its address, judged by `spread.access_ip`.
    Ip,
}

impl AuthMethod {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Ip => "IP",
        }
    }
}

/// How events are stamped with their time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeStamp {
    /// A pattern of `strftime`, at most 39 characters.
    pub pattern: String,
    /// Whether microseconds follow.
    pub precise: bool,
}

/// What the pattern is if none is written: that of the original, not the one its sample file claims.
pub const DEFAULT_PATTERN: &str = "%m/%d/%y %H:%M:%S";

/// The nine timeouts, all set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Silence after which the token counts as lost.
    pub token: Duration,
    /// How long an idle token rests.
    pub hurry: Duration,
    /// Time between signs of life within a segment.
    pub alive: Duration,
    /// Time between two calls to join.
    pub join: Duration,
    /// How long a represented daemon waits for its representative.
    pub rep: Duration,
    /// How long a segment finds its representative.
    pub seg: Duration,
    /// How long representatives gather.
    pub gather: Duration,
    /// How long a membership may take to form.
    pub form: Duration,
    /// Time between looking for daemons that are not there.
    pub lookup: Duration,
}

/// All options, with the value that counts where there is a default, and `None` where there is none or the program
/// must know that nothing is written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Which events are logged; `None` means PRINT and EXIT.
    pub debug_flags: Option<DebugFlags>,
    /// How important events must be to be logged.
    pub event_priority: EventPriority,
    /// The file that output goes to; `%h` and `%H` stand for the host's name.
    pub event_log_file: Option<String>,
    /// How events are stamped, if they are.
    pub event_time_stamp: Option<TimeStamp>,
    /// Whether monitors may partition, throttle and end the daemon.
    pub dangerous_monitor: bool,
    /// Whether client ports are opened with `SO_REUSEADDR`; `None` means AUTO.
    pub socket_port_reuse: Option<PortReuse>,
    /// The directory to be confined to; `None` means /var/run/spread.
    pub runtime_dir: Option<String>,
    /// Whom to become when started as root; `None` means spread.
    pub daemon_user: Option<String>,
    /// The same for the group.
    pub daemon_group: Option<String>,
    /// Methods that every client must pass.
    pub required_auth_methods: Vec<AuthMethod>,
    /// Methods that clients may choose.
    pub allowed_auth_methods: Vec<AuthMethod>,
    /// Whether the policy `PERMIT` is written.
    pub access_control_policy: bool,
    /// Messages that may wait for one session, if the file says a number.
    pub max_session_messages: Option<u32>,
    /// The version of the internet protocol; `None` means that of the first daemon.
    pub active_ip_version: Option<Family>,
    /// Packets sent by all in one rotation; `None` means 160.
    pub window: Option<u32>,
    /// Packets sent by one daemon in one visit of the token; `None` means 20.
    pub personal_window: Option<u32>,
    /// Whether the token moves on before its holder is done.
    pub accelerated_ring: Option<bool>,
    /// Packets sent after the token moved on; `None` means 15.
    pub accelerated_window: Option<u32>,
    /// The nine timeouts, if they are set.
    pub timeouts: Option<Timeouts>,
    /// Whether timeouts for far networks are used; `None` means: if there is more than one segment.
    pub wide_area_network: Option<bool>,
    /// Whether the configuration's hash leaves out the segments' addresses.
    pub exclude_seg_addrs_from_hash: bool,
    /// Whether a group that cannot be joined is no reason to end; `None` means no.
    pub ignore_multicast_join_errors: Option<bool>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            debug_flags: None,
            event_priority: EventPriority::default(),
            event_log_file: None,
            event_time_stamp: None,
            dangerous_monitor: false,
            socket_port_reuse: None,
            runtime_dir: None,
            daemon_user: None,
            daemon_group: None,
            required_auth_methods: Vec::new(),
            allowed_auth_methods: vec![AuthMethod::Null],
            access_control_policy: false,
            max_session_messages: None,
            active_ip_version: None,
            window: None,
            personal_window: None,
            accelerated_ring: None,
            accelerated_window: None,
            timeouts: None,
            wide_area_network: None,
            exclude_seg_addrs_from_hash: false,
            ignore_multicast_join_errors: None,
        }
    }
}
