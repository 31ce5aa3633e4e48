//! A wall clock that jumps: leases, timers and the bus go by other clocks.
//!
//! The clock of this machine stays as it is. Debian's `libfaketime`, loaded into one machine's program, tells it another time of day, from
//! a file that the test changes; it leaves the monotonic clock and the one since the boot alone.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lab::Spawn;
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{Stand, v4};
use crate::support::PROGRAM;

/// Those that need the library: see [`may_jump`].
pub(crate) const TRIALS: &[Named] =
    &[("a_wall_clock_that_jumps_by_hours_moves_nothing_and_logs_go_on", jumps)];

/// What is waited for after a jump: longer than a lease with what the kernel is late.
const CALM: Duration = Duration::from_millis(4_500);

/// The library, in one of the folders where architectures have theirs.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|path| path.join("faketime/libfaketimeMT.so.1")).find(|path| path.is_file())
}

/// Whether it is there.
pub(crate) fn may_jump() -> Result<(), String> {
    library().map(drop).ok_or_else(|| "there is no libfaketime".to_owned())
}

fn jumps() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, (1..=6).map(v4));
    let clock = stand.path("clock");
    // Whole at each moment, for the program reads it at any.
    let set = |offset: &str| {
        fs::write(clock.with_extension("new"), format!("{offset}\n")).unwrap();
        fs::rename(clock.with_extension("new"), &clock).unwrap();
    };
    set("+0");
    let text = stand.with(0, &stand.list());
    let spawn = Spawn::new(PROGRAM)
        .env("LD_PRELOAD", library().expect("it is there"))
        .env("FAKETIME_TIMESTAMP_FILE", &clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    stand.start_as(0, &text, spawn);
    [1, 2].into_iter().for_each(|i| stand.start(i));
    stand.wait_until_even(&stand.all());
    for (offset, hours) in [("+5h", 5), ("-7h", -7)] {
        let ip = *stand.held(0).first().expect("it has some");
        let eyes = Eyes::open(&stand, ip);
        let map = stand.map();
        set(offset);
        stand.stays(&map, CALM);
        eyes.wait_until_served(&stand, Instant::now());
        eyes.close().nothing_lost("the clock has jumped", 0);
        // What it says from now on bears the new time.
        let met = stand.count(0, &["2 machines:"]);
        stand.kill(2);
        stand.wait_until_whole(&[0, 1]);
        stand.wait_until_said_again(0, &["2 machines:"], met);
        let off = (last_said(&stand, 0) - Timestamp::now().as_second()) as f64 / 3600.0;
        println!("its clock was set by {offset}: what it says is off by {off:.2} hours");
        assert!((off - f64::from(hours)).abs() < 0.1, "it did not jump: {off}");
        stand.start(2);
        stand.wait_until_even(&stand.all());
    }
    for wrong in ["guardian has taken", "was not fresh", "not renewed"] {
        assert_eq!(stand.count(0, &[wrong]), 0, "{wrong}");
    }
    Ok(stand.all_live()?)
}

/// When machine `i` says to have written the last line about itself, in seconds since 1970.
fn last_said(stand: &Stand, i: usize) -> i64 {
    let said = stand.said(i);
    let stamp = |line: &str| line.split_whitespace().next()?.parse::<Timestamp>().ok();
    said.lines().rev().find_map(stamp).expect("lines have a time").as_second()
}
