//! Every limit of the groups, with its unit.
//!
//! What holds for all daemons of a view is a constant, for they must judge alike; what is one daemon's own affair can be
//! configured.
//!
//! Memory, from these: a membership costs about 300 bytes if it is alone in its group, 50 if ten are, 20 if many are, so a
//! daemon in the view adds at most [`MEMBERSHIPS_PER_DAEMON`] times that; a session costs about 100 bytes; during an
//! exchange each daemon of the view adds at most [`STATE_BYTES_PER_DAEMON`]; and what waits for the end of an exchange is at
//! most [`WAITING_BYTES_MAX`]. Messages on their way are shared, not copied.

/// Members of one group at one daemon; the next join is rejected (`spread-client-protocol.md`, 3.11).
pub const LOCAL_MEMBERS_MAX: usize = spread_wire::limits::LOCAL_MEMBERS_MAX;
/// Memberships of all sessions of one daemon together, in all groups; the next join is rejected.
pub const MEMBERSHIPS_PER_DAEMON: usize = 262_144;
/// Memberships of one session; the next join is rejected. When a session ends, all its groups change in one step of the
/// order, in which nothing else is done: with so many that is some tens of milliseconds.
pub const MEMBERSHIPS_PER_SESSION: usize = 16_384;
/// Sessions of one daemon if nothing else is configured, those included whose end is not yet delivered.
pub const SESSIONS_DEFAULT: usize = 10_000;
/// Bytes of one message of the exchange of states.
pub const PART_BYTES_MAX: usize = 100_000;
/// Bytes of state that a daemon may announce for each daemon it speaks for: 50 for each membership in a group of its own,
/// and room for newer versions.
pub const STATE_BYTES_PER_DAEMON: usize = 16 << 20;
/// Bytes of messages that may wait for the end of an exchange; clients' messages have half of it. Clients are paused
/// then, so what waits is what was under way. What comes on top is dropped by all daemons of the view alike, and counted.
pub const WAITING_BYTES_MAX: usize = 128 << 20;
/// Messages waiting for the ring at which clients are paused (`spread-client-protocol.md`, 5).
pub const PAUSE_MESSAGES: usize = 500;
/// Bytes waiting for the ring at which clients are paused.
pub const PAUSE_BYTES: usize = 8 << 20;

/// What one daemon decides for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at a time, 1 to about 4 billion; one whose end is not yet delivered still counts.
    pub sessions: usize,
    /// Messages waiting for the ring at which clients are paused.
    pub pause_messages: usize,
    /// Bytes waiting for the ring at which clients are paused.
    pub pause_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: SESSIONS_DEFAULT,
            pause_messages: PAUSE_MESSAGES,
            pause_bytes: PAUSE_BYTES,
        }
    }
}
