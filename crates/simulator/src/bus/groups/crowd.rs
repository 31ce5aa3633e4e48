//! The clients of one history, drawn from its seed.

use base::Random;

/// How many clients there are, and what they are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crowd {
    /// Sessions at one daemon, at most.
    pub sessions: usize,
    /// Groups that everybody may join. Each machine has one of its own besides, and each two neighbours one.
    pub rooms: usize,
    /// Each daemon has a session that joins all of its groups first and never leaves. A group that is forgotten and made
    /// again within one view has the same ids again, as with the original; such a history is checked less.
    pub anchored: bool,
    /// Share of sessions that want to be told of members.
    pub wanting: f64,
    /// How often a reader becomes slow, or stops, of a hundred things that clients do.
    pub slow: u32,
    /// The chance that a session takes the name of one that has ended at its daemon.
    pub reuse: f64,
    /// Messages waiting for the ring at which clients are paused.
    pub pause: usize,
    /// Bytes that the ring is given ahead.
    pub ahead: usize,
    /// The most destinations of a message, 1 to 100.
    pub destinations: usize,
}

impl Crowd {
    /// Four sessions at each daemon that read at once.
    pub fn calm() -> Self {
        Self {
            sessions: 4,
            rooms: 3,
            anchored: true,
            wanting: 1.0,
            slow: 0,
            reuse: 0.0,
            pause: 500,
            ahead: 256 << 10,
            destinations: 5,
        }
    }

    /// The clients of a seed.
    pub fn draw(dice: &mut Random) -> Self {
        let some = |dice: &mut Random, all: &[usize]| all[dice.below(all.len() as u32) as usize];
        Self {
            sessions: 1 + dice.below(6) as usize,
            rooms: 1 + dice.below(4) as usize,
            anchored: dice.below(4) > 0,
            wanting: if dice.below(3) == 0 { 0.6 } else { 1.0 },
            slow: [0, 0, 1, 4][dice.below(4) as usize],
            reuse: [0.0, 0.0, 0.5][dice.below(3) as usize],
            pause: some(dice, &[500, 500, 20, 2]),
            ahead: some(dice, &[256 << 10, 256 << 10, 2000, 1]),
            destinations: some(dice, &[3, 10, 100]),
        }
    }
}
