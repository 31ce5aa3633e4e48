//! The screen at several widths, of a bus that is well and of one that is not.

use std::io;
use std::time::{Duration, Instant};

use spread_daemon::monitor::detail::{Packets, Peer, Queue, Session, Traffic};
use spread_daemon::monitor::{Detail, Report};

use super::keys::Key;
use super::picture::Sort;
use super::sample::Sample;
use super::screen::View;
use super::*;
use crate::UsageError;

fn peer(name: &str, place: u64) -> Peer {
    Peer {
        name: name.into(),
        this: place == 0,
        place: Some(place),
        heard: true,
        hears_this: true,
        hears_multicast: true,
        round_trip_micros: (place > 0).then_some(120 * place),
        silence_micros: 8_000 + place,
        longest_silence_micros: 31_000,
        ..Peer::default()
    }
}

fn report(name: &str, seconds: u64, packets_sent: u64) -> Report {
    let (sessions, rotation_micros, packets_resent) = (2, 410, packets_sent / 100);
    let name = name.into();
    Report {
        name,
        seconds,
        packets_sent,
        packets_resent,
        sessions,
        rotation_micros,
        ..Report::default()
    }
}

/// The sample after so many seconds.
fn sample(seconds: u64) -> Sample {
    let taken = Queue { messages: 1_000 * seconds, bytes: 200_000 * seconds };
    let given = Queue { messages: 3_000 * seconds, bytes: 600_000 * seconds };
    let daemon = Detail {
        name: "alpha".into(),
        up_micros: seconds * 1_000_000,
        view: "7.00c0ffee00c0ffee".into(),
        leader: "alpha".into(),
        stands: true,
        view_micros: 65_000_000,
        views: 2,
        timeout_micros: 100_000,
        rotation_micros: Some(410),
        window: 120,
        window_most: 512,
        accelerated: 20,
        highest: 1000,
        received_up_to: 1000,
        stable_up_to: 998,
        held: 2,
        in_ring: Queue { messages: 12, bytes: 14_200 },
        groups: 7,
        sessions: 3,
        priority: "the bus runs at nice -19".into(),
        daemons: vec![peer("alpha", 0), peer("beta", 1), peer("gamma", 2)],
        slowest: vec![Session {
            name: "#slow#alpha".into(),
            client: None,
            waits: Queue { messages: 300, bytes: 4_000_000 },
            stuck_micros: 1_200_000,
        }],
        packets: Packets { visits: 2_000 * seconds, ..Packets::default() },
        services: [("agreed".into(), Traffic { taken, given })].into(),
        ..Detail::default()
    };
    let reports = ["alpha", "beta", "gamma"].map(|name| report(name, seconds, 5_000 * seconds));
    let at = origin() + Duration::from_secs(seconds);
    Sample { daemon, reports: reports.into(), silent: Vec::new(), at }
}

fn origin() -> Instant {
    static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

fn view() -> View {
    let mut view = View::default();
    view.look(Ok(sample(100)));
    view.look(Ok(sample(101)));
    view
}

fn screen(view: &mut View, width: usize, height: usize) -> String {
    let lines = view.lines(width, height, false);
    assert_eq!(lines.len(), height);
    assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
    lines.join("\n")
}

#[test]
fn a_usual_terminal_shows_a_bus_of_three_whole() {
    let expected = "\
bus top: alpha, one of 3, up 1m 41s, 3 clients, 7 groups
View     7.00c0ffee00c0ffee stands for 1m 05s, led by alpha, 2 views so far
Token    410 µs, 2000/s, 0 sent again; silent after 100 ms
Window   120 of 512 packets, 20 behind the token
Packets  at 1000, here 1000, with all 998, 2 held
Queues   groups 0 (0 B), ring 12 (14.2 kB)
Network  in 0/s 0 B/s, out 0/s 0 B/s
Clients  3 of 0 begun
Thread   the bus runs at nice -19

SERVICE   TAKEN     BYTES   GIVEN     BYTES  GIVEN SO FAR
agreed   1000/s  200 kB/s  3000/s  600 kB/s          303k

DAEMON   STATE   ROUND TRIP   SILENT  LONGEST    SENT  RESENT  MISSED  CLIENTS
alpha *  leads                                 5000/s    50/s     0/s        2
beta     member      120 µs  8.00 ms  31.0 ms  5000/s    50/s     0/s        2
gamma    member      240 µs  8.00 ms  31.0 ms  5000/s    50/s     0/s        2

CLIENT         WAITS  MESSAGES  TAKES NOTHING FOR  FROM
#slow#alpha  4.00 MB       300             1.20 s  this machine



q end  space hold  s order: view  h help";
    let got = screen(&mut view(), 80, 24);
    assert_eq!(got, expected, "\n{got}\n");
}

#[test]
fn every_size_is_filled_and_none_overrun() {
    for (width, height) in [(1, 1), (10, 2), (20, 3), (40, 10), (79, 24), (132, 50), (400, 100)] {
        let text = screen(&mut view(), width, height);
        assert_eq!(text.contains(" UP\n"), width > 130, "{text}");
    }
    let narrow = screen(&mut view(), 40, 24);
    assert!(narrow.contains("DAEMON   STATE   ROUND TRIP  RESENT\n"), "{narrow}");
}

#[test]
fn what_does_not_fit_is_scrolled_to_and_not_beyond() {
    let mut view = view();
    assert!(screen(&mut view, 80, 10).contains("\nlines 1 to 8 of 19  q end"));
    view.press(Key::Down, 10);
    assert!(screen(&mut view, 80, 10).contains("\nToken"));
    view.press(Key::End, 10);
    let end = screen(&mut view, 80, 10);
    assert!(end.contains("#slow#alpha") && end.contains("lines 12 to 19 of 19"), "{end}");
    view.press(Key::PageUp, 10);
    assert!(screen(&mut view, 80, 10).contains("lines 6 to 13 of 19"));
    // A larger terminal shows all again.
    assert!(!screen(&mut view, 80, 30).contains("lines"));
    view.press(Key::Help, 10);
    assert!(screen(&mut view, 80, 24).contains("Ctrl-C"));
}

#[test]
fn what_is_held_stays_until_it_goes_on() {
    let mut view = view();
    assert!(view.press(Key::Pause, 24));
    view.look(Ok(sample(160)));
    let held = screen(&mut view, 80, 24);
    assert!(held.contains("up 1m 41s") && held.contains("space go on"), "{held}");
    view.press(Key::Pause, 24);
    view.look(Ok(sample(161)));
    // Over a minute instead of a second, the rate is the same.
    let went_on = screen(&mut view, 80, 24);
    assert!(went_on.contains("up 2m 41s") && went_on.contains("agreed   1000/s"), "{went_on}");
    assert!(!view.press(Key::Quit, 24));
}

#[test]
fn daemons_are_ordered_as_asked() {
    let mut view = view();
    let first = |view: &mut View| {
        let text = screen(view, 80, 24);
        let (_, table) = text.split_once("DAEMON").unwrap();
        table.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    assert_eq!(first(&mut view), "alpha");
    for (sort, expected) in [
        (Sort::Name, "alpha"),
        (Sort::RoundTrip, "gamma"),
        (Sort::Silence, "gamma"),
        (Sort::Resent, "alpha"),
    ] {
        view.press(Key::Sort, 24);
        assert!(screen(&mut view, 80, 24).contains(sort.word()));
        assert_eq!(first(&mut view), expected, "{sort:?}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let mut ill = sample(102);
    ill.daemon.stands = false;
    ill.daemon.paused = true;
    ill.daemon.excluded_by = Some("beta".into());
    ill.daemon.lists_differ = true;
    ill.daemon.datagrams.forged = 12;
    ill.daemon.malformed = 3;
    ill.daemon.clients.slow = 1;
    ill.daemon.daemons[1].heard = false;
    ill.daemon.daemons[2].kept_out_micros = Some(4_000_000);
    ill.silent.push("beta".into());
    let mut view = view();
    view.look(Ok(ill));
    let text = screen(&mut view, 80, 24);
    for words in [
        "beta keeps it out of its view",
        "is being formed",
        "clients wait",
        "another list of daemons",
        "12 forged, 3 malformed",
        "1 did not read",
        "beta     does not answer",
        "kept out for 4.00 s",
        "forms a view",
    ] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
    let colors = view.lines(80, 24, true).join("\n");
    assert!(colors.contains("\x1b[31mdoes not answer") && !text.contains('\x1b'));
}

#[test]
fn a_daemon_that_goes_away_and_comes_back_is_told_of_and_starts_anew() {
    let mut view = view();
    view.look(Err(io::Error::other("no daemon answers at \"x\"")));
    let gone = screen(&mut view, 80, 24);
    assert!(gone.starts_with("no answer, trying on: no daemon answers"), "{gone}");
    assert!(gone.contains("alpha"), "what was known last stays");
    view.look(Ok(sample(1)));
    let back = screen(&mut view, 80, 24);
    assert!(
        back.contains("up 1.00 s") && back.contains("agreed       -      -      -      -"),
        "{back}"
    );
    // Before anything is known there is an empty screen, not a wrong one.
    let mut new = View::default();
    assert!(screen(&mut new, 80, 24).starts_with("bus top\n"));
}

#[test]
fn flags_say_whom_to_ask_and_how_often() {
    let parse = |words: &[&str]| Arguments::parse(words.iter().map(OsString::from));
    let line = parse(&["-s", "4804", "-t", "0.5", "--json", "--once"]).unwrap();
    assert_eq!(line.daemon.socket, Some("/tmp/4804".into()));
    assert_eq!((line.interval, line.json, line.once), (Duration::from_millis(500), true, true));
    assert_eq!(parse(&["--interval", "3"]).unwrap().interval, Duration::from_secs(3));
    for wrong in [&["-t", "0"][..], &["-t", "nan"], &["-t"], &["-x"], &["status"]] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    assert!(matches!(parse(&["--help"]), Err(UsageError::Unknown(word)) if word == "--help"));
}
