//! The bus of the demonstration: on each machine somebody who chats, and what they see of each other.
//!
//! They are sessions of one group, each at the daemon of its machine, through its Unix socket: so that also the one whose cable
//! was pulled can be asked what it sees.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use spread_client::blocking::Session;
use spread_client::{Backoff, Endpoint, Event, GroupName, Happened, Membership, Options, Service};
use spread_daemon::monitor::{Answer, Report, Request, Whom, ask, control_path};

/// The group.
const GROUP: &[u8] = b"chat";
/// How often each says something.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a session that was lost is waited for at most.
const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(20), most: Duration::from_millis(200) };
/// How often it is looked whether all see what they should.
const LOOK: Duration = Duration::from_millis(5);
/// How long those who chat may take to take their leave.
const PARTING: Duration = Duration::from_secs(1);

/// Where a machine's Unix socket for sessions is, below its folder.
pub(crate) const SOCKET: &str = "bus";

/// What one of them sees.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The machines of which somebody is in the group, in its order.
    view: Vec<String>,
    /// Messages that it received.
    received: u64,
}

/// One of those who chat.
struct Seat {
    name: String,
    socket: PathBuf,
    seen: Mutex<Seen>,
}

impl Seat {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of them.
pub(crate) struct Bus {
    seats: Vec<Arc<Seat>>,
    end: Arc<AtomicBool>,
    /// Nothing is ever said here: it closes when the threads of all have ended.
    ended: Receiver<()>,
    before: (Instant, Vec<u64>),
}

impl Bus {
    /// Begins to chat at the machines of these names, whose folders are in `folder`.
    pub(crate) fn start(folder: &Path, names: &[String]) -> Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let seat = |name: &String| {
            let socket = folder.join(name).join(SOCKET);
            Arc::new(Seat { name: name.clone(), socket, seen: Mutex::default() })
        };
        let seats: Vec<Arc<Seat>> = names.iter().map(seat).collect();
        let (alive, ended) = channel();
        for seat in &seats {
            let (seat, end, alive) = (seat.clone(), end.clone(), alive.clone());
            let work = move || {
                chat(&seat, &end);
                drop(alive);
            };
            let thread = std::thread::Builder::new().name("chat".into()).spawn(work);
            thread.context("no thread for the chat")?;
        }
        let before = (Instant::now(), vec![0; seats.len()]);
        Ok(Self { seats, end, ended, before })
    }

    /// Waits until the machines of each list see exactly those of the list; how long that took, or nothing if it did not happen.
    pub(crate) fn wait(
        &self,
        parts: &[Vec<usize>],
        patience: Duration,
        stop: &AtomicBool,
    ) -> Option<Duration> {
        let start = Instant::now();
        let sees = |at: usize, part: &[usize]| {
            let seen = self.seats[at].seen();
            seen.view.iter().eq(part.iter().map(|other| &self.seats[*other].name))
        };
        while !parts.iter().all(|part| part.iter().all(|at| sees(*at, part))) {
            if start.elapsed() >= patience || stop.load(Relaxed) {
                return None;
            }
            std::thread::sleep(LOOK);
        }
        Some(start.elapsed())
    }

    /// Who sees whom, in words: `m1 and m3 see m1 m3; m2 sees m2`. Machines that cannot say anything are not asked.
    pub(crate) fn views(&self, silent: &[usize]) -> String {
        let mut parts: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for (_, seat) in self.seats.iter().enumerate().filter(|(at, _)| !silent.contains(at)) {
            let view = seat.seen().view.clone();
            match parts.iter_mut().find(|(_, seen)| *seen == view) {
                Some((who, _)) => who.push(seat.name.clone()),
                None => parts.push((vec![seat.name.clone()], view)),
            }
        }
        let sentence = |(who, view): &(Vec<String>, Vec<String>)| {
            let verb = if who.len() == 1 { "sees" } else { "see" };
            let alone = if *who == *view && who.len() == 1 { " alone" } else { "" };
            format!("{} {verb} {}{alone}", and(who), view.join(" "))
        };
        parts.iter().map(sentence).collect::<Vec<_>>().join("; ")
    }

    /// The last second in a few words: who sees whom, the token's time, messages. The silent machines are not asked.
    pub(crate) fn second(&mut self, silent: &[usize]) -> String {
        let (then, before) = std::mem::replace(&mut self.before, (Instant::now(), Vec::new()));
        let seconds = then.elapsed().as_secs_f64().max(0.001);
        let received: Vec<u64> = self.seats.iter().map(|seat| seat.seen().received).collect();
        let most = received.iter().zip(&before).map(|(now, then)| now.saturating_sub(*then)).max();
        self.before.1 = received;
        let mut views: Vec<(usize, Vec<String>)> = Vec::new();
        for (at, seat) in self.seats.iter().enumerate().filter(|(at, _)| !silent.contains(at)) {
            let view = seat.seen().view.clone();
            if !views.iter().any(|(_, known)| *known == view) {
                views.push((at, view));
            }
        }
        let Some(&(greatest, _)) = views.iter().max_by_key(|(_, view)| view.len()) else {
            return String::new();
        };
        let all: Vec<String> = views.iter().map(|(_, view)| view.join("+")).collect();
        let mut text = format!("  bus {}", all.join(" | "));
        if let Some(report) = self.report(greatest).filter(|report| report.rotation_micros > 0) {
            let _ = write!(text, "  token {:.2} ms", report.rotation_micros as f64 / 1e3);
        }
        let _ = write!(text, "  {:.0} msg/s", most.unwrap_or(0) as f64 / seconds);
        text
    }

    /// How the daemon of a machine says it is.
    fn report(&self, at: usize) -> Option<Report> {
        let mut report = None;
        let status = Request::Status { of: Whom::This };
        let take = |answer| {
            if let Answer::Report(of) = answer {
                report = Some(of);
            }
        };
        ask(&control_path(&self.seats[at].socket), &status, take).ok()?;
        report
    }

    /// Cuts the bus of one machine off by its monitor, where there is no cable to pull; or ends that.
    pub(crate) fn divide(&self, victim: Option<usize>) -> Result<()> {
        let request = match victim {
            Some(at) => {
                let components = [(self.seats[at].name.clone(), 1)].into();
                Request::Partition { components }
            }
            None => Request::Heal,
        };
        let mut wrong = None;
        let take = |answer| match answer {
            Answer::Done { .. } | Answer::End | Answer::Report(_) | Answer::Detail(_) => {}
            Answer::Silent { daemon } => wrong = Some(format!("{daemon} does not answer")),
            Answer::Refused { why, .. } | Answer::Mistake { why } => wrong = Some(why),
        };
        ask(&control_path(&self.seats[0].socket), &request, take)?;
        match wrong {
            Some(why) => bail!("the bus cannot be divided or united: {why}"),
            None => Ok(()),
        }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
        // One whose daemon stands still is not waited for: what it writes may wait to be read until that daemon goes on or is ended, and
        // the machines are ended after this.
        let _ = self.ended.recv_timeout(PARTING);
    }
}

/// `m1`, `m1 and m2`, `m1, m2 and m3`.
pub(crate) fn and(names: &[String]) -> String {
    match names {
        [first, middle @ .., last] if !middle.is_empty() => {
            format!("{first}, {} and {last}", middle.join(", "))
        }
        [first, last] => format!("{first} and {last}"),
        _ => names.concat(),
    }
}

/// One who chats: says something now and then, and remembers what it is told.
fn chat(seat: &Seat, end: &AtomicBool) {
    let Ok(group) = GroupName::new(GROUP) else { return };
    let Ok(options) = Options::named("chat") else { return };
    // A machine that stands still does not answer either; whoever connects to it has time.
    let options = Options { timeout: Duration::from_secs(2), ..options };
    let mut session = Session::new(Endpoint::Unix(seat.socket.clone()), options, BACKOFF);
    if session.join(&group).is_err() {
        return;
    }
    let (mut next, mut said) = (Instant::now(), 0_u64);
    while !end.load(Relaxed) {
        let now = Instant::now();
        if now >= next {
            next = now + PAUSE;
            said += 1;
            let text = format!("{said} from {}", seat.name);
            // Without a session at this moment nothing is said.
            let _ = session.multicast(Service::Agreed, &group, text.as_bytes());
        }
        match session.receive_within(next.saturating_duration_since(now)) {
            Ok(Some(Happened::Event(Event::Regular(_)))) => seat.seen().received += 1,
            Ok(Some(Happened::Event(Event::Membership(view)))) => {
                seat.seen().view = machines(&view)
            }
            Ok(Some(Happened::Lost { .. })) => seat.seen().view.clear(),
            Ok(_) => {}
            // The name is still taken by the session before, or the daemon is not ready.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    let _ = session.disconnect();
}

/// The machines of the members: what stands behind the last `#` of each.
fn machines(view: &Membership) -> Vec<String> {
    let machine = |name: String| name.rsplit('#').next().unwrap_or_default().to_owned();
    view.members.iter().map(|member| machine(member.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_told_in_words() {
        let seat = |name: &str, view: &[&str]| {
            let view = view.iter().map(|name| (*name).into()).collect();
            let seen = Mutex::new(Seen { view, received: 0 });
            Arc::new(Seat { name: name.into(), socket: PathBuf::new(), seen })
        };
        let seats = vec![seat("m1", &["m1", "m3"]), seat("m2", &["m2"]), seat("m3", &["m1", "m3"])];
        let end = Arc::new(AtomicBool::new(false));
        let (_, ended) = channel();
        let bus = Bus { seats, end, ended, before: (Instant::now(), Vec::new()) };
        assert_eq!(bus.views(&[]), "m1 and m3 see m1 m3; m2 sees m2 alone");
        assert_eq!(bus.views(&[1]), "m1 and m3 see m1 m3");
        let stop = AtomicBool::new(false);
        assert!(bus.wait(&[vec![0, 2], vec![1]], Duration::ZERO, &stop).is_some());
        assert!(bus.wait(&[vec![0, 1, 2]], Duration::ZERO, &stop).is_none());
    }

    #[test]
    fn one_whose_daemon_stands_still_keeps_nobody_from_ending() {
        let (alive, ended) = channel();
        let end = Arc::new(AtomicBool::new(false));
        let before = (Instant::now(), Vec::new());
        drop(Bus { seats: Vec::new(), end: end.clone(), ended, before });
        assert!(end.load(Relaxed));
        // It would still chat.
        drop(alive);
    }
}
