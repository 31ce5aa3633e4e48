//! How long to ask before an address is taken, and how often to defend it.

use core::time::Duration;

/// The times of RFC 5227 section 1.1, shortened.
///
/// The standard waits up to 1 s, asks three times 1 to 2 s apart, and waits 2 s: 4 to 7 s, made for hosts that all start at once after a
/// power failure on networks of its day. Here one machine asks for few addresses at a time, and a switched network answers within a
/// few milliseconds; what takes longer is a station that sleeps between the beacons of its wireless network (100 ms each, up to
/// three of them). With the defaults the answer is there after 400 to 700 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The first question waits up to this long, by chance, so that members asking for many addresses do not speak at once
    /// (PROBE_WAIT, 1 s there). Default 100 ms.
    pub wait: Duration,
    /// How often is asked (PROBE_NUM, 3 there): each may be lost. At least 1, default 3.
    pub questions: u8,
    /// The shortest time between two questions (PROBE_MIN, 1 s there). Default 50 ms.
    pub least: Duration,
    /// The longest (PROBE_MAX, 2 s there). Default 150 ms.
    pub most: Duration,
    /// How long is listened after the last question (ANNOUNCE_WAIT, 2 s there). Default 300 ms.
    pub listen: Duration,
    /// The shortest time between two defences of one address (DEFEND_INTERVAL, 10 s). Shorter, and two hosts that both insist would
    /// fill the network. Default 10 s.
    pub defend: Duration,
    /// Where chance comes from.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wait: Duration::from_millis(100),
            questions: 3,
            least: Duration::from_millis(50),
            most: Duration::from_millis(150),
            listen: Duration::from_millis(300),
            defend: Duration::from_secs(10),
            seed: 0,
        }
    }
}
