//! One fault, watched by clients that connect all the time and by one who asks for the owner.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::{Loss, Mac, Outcome, OwnerProbe, OwnerTrace, Probing, TcpProbe, TcpTrace, Try};

use crate::cluster::{ASKER, COLD, Cluster, WARM};
use crate::fault::Fault;
use crate::server::PORT;
use crate::system::Programs;

/// How long everything is quiet under the eyes of the probes before something happens; more by turns, so that no timer is always
/// met in the same phase.
const QUIET: Duration = Duration::from_millis(500);
/// How often is looked whether it is over.
const LOOK: Duration = Duration::from_millis(5);
/// How long is looked on once it is over.
const AFTER: Duration = Duration::from_millis(800);
/// An answer that took longer than this is told of to whoever looks closer.
const SLOW: Duration = Duration::from_millis(25);
/// A client that began no connection for longer than this was kept waiting.
const BLINK: Duration = Duration::from_millis(30);
/// Connections that were begun so long before the fault are looked at with it: it may have met them under way.
const UNDER_WAY: Duration = Duration::from_millis(20);

/// A length of time, and whether what it measures had come to its end when nobody looked any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    pub(crate) millis: f64,
    pub(crate) ended: bool,
}

impl Length {
    fn of(length: Duration) -> Self {
        Self { millis: length.as_secs_f64() * 1e3, ended: true }
    }
}

/// What became of connections.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    /// The longest time between two answers.
    pub(crate) pause: Length,
    /// The longest time in which the client itself began none: what it could not see.
    pub(crate) blink: Duration,
    /// Reset by somebody, or refused.
    pub(crate) reset: usize,
    /// Without an answer for any other reason.
    pub(crate) lost: usize,
    /// Served later than promptly: most had their first packet lost.
    pub(crate) late: usize,
    /// What they were, with their time from the fault on, for whoever looks closer.
    pub(crate) told: Vec<String>,
}

/// What one fault did.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) warm: Connections,
    pub(crate) cold: Option<Connections>,
    /// How long two answered for the address on the clients' network.
    pub(crate) doubled: Length,
    /// Until the old owner had the address on no interface.
    pub(crate) gone: Length,
}

impl Seen {
    /// Whether the clients themselves were kept waiting, by whatever else the machine has to do: then it says nothing.
    pub(crate) fn has_blinked(&self) -> bool {
        let both = std::iter::once(&self.warm).chain(&self.cold);
        both.map(|connections| connections.blink).any(|blink| blink > BLINK)
    }
}

/// The probes of one fault.
struct Eyes {
    warm: Vec<Probing<TcpTrace>>,
    cold: Option<Probing<TcpTrace>>,
    owner: Probing<OwnerTrace>,
}

/// Lets a fault happen to the machine that has the first address.
pub(crate) fn run(
    cluster: &mut Cluster,
    programs: &Programs,
    fault: Fault,
    turn: usize,
    every: Duration,
) -> Result<Seen> {
    let address = *cluster.wanted.addresses.first().context("no address")?;
    let owner = cluster.owner()?;
    fault.prepare(cluster, owner)?;
    let eyes = open(cluster, fault, address, every)?;
    std::thread::sleep(QUIET + Duration::from_millis(turn as u64 * 37 % 90));
    let at = fault.strike(cluster, programs, owner)?;
    let end = at + fault.watch();
    let mut gone = None;
    let mut over = None;
    loop {
        let now = Instant::now();
        if gone.is_none() && !cluster.holds(owner, address)? {
            gone = Some(now);
        }
        let is_over = is_over(cluster, &eyes, fault, owner, at, gone.is_some())?;
        if is_over && over.is_none() {
            over = Some(now);
        }
        if now >= end || over.is_some_and(|over| now >= over + AFTER) {
            break;
        }
        std::thread::sleep(LOOK);
    }
    let until = Instant::now();
    let warm: Vec<TcpTrace> = eyes.warm.into_iter().map(Probing::finish).collect();
    let warm = warm.iter().map(|trace| connections(trace, at)).reduce(worse);
    let cold = eyes.cold.map(Probing::finish).map(|trace| connections(&trace, at));
    let asked = eyes.owner.finish();
    // After a split it is the machine that lets go which counts, whichever it is; one that is back has nothing to lose.
    let gone = match fault {
        Fault::Heal => one_left(&asked, at),
        Fault::Return => None,
        _ => gone,
    };
    let gone = gone
        .map_or(Length { millis: millis(until - at), ended: fault == Fault::Return }, |gone| {
            Length::of(gone - at)
        });
    Ok(Seen {
        warm: warm.context("no warm client")?,
        cold,
        doubled: doubled(&asked, at, until),
        gone,
    })
}

fn open(cluster: &Cluster, fault: Fault, address: IpAddr, every: Duration) -> Result<Eyes> {
    let to = |ip: &IpAddr| TcpProbe { every, ..TcpProbe::new(WARM, (*ip, PORT).into()) };
    // Which address a machine gets that is back is not known before.
    let all = fault == Fault::Return;
    let wanted = if all { cluster.wanted.addresses.as_slice() } else { &[address] };
    let warm = wanted.iter().map(|ip| to(ip).start(&cluster.lab));
    let warm = warm.collect::<Result<Vec<_>, _>>()?;
    let cold = TcpProbe { from: COLD, ..to(&address) }.cold(COLD);
    let cold = if all { None } else { Some(cold.start(&cluster.lab)?) };
    let owner = OwnerProbe::new(ASKER, address).start(&cluster.lab)?;
    Ok(Eyes { warm, cold, owner })
}

/// Whether there is nothing more to be seen.
fn is_over(
    cluster: &Cluster,
    eyes: &Eyes,
    fault: Fault,
    owner: usize,
    at: Instant,
    gone: bool,
) -> Result<bool> {
    match fault {
        Fault::Return => Ok(cluster.holders()?.iter().flatten().any(|i| *i == owner)
            && cluster.holders()?.iter().all(|some| some.len() == 1)),
        Fault::Heal => Ok(cluster.holders()?.iter().all(|some| some.len() == 1)),
        _ => {
            let name = cluster.lab.machine(owner).name().to_owned();
            let served = |trace: &TcpTrace| {
                let other = |one: &Try| match &one.outcome {
                    Outcome::Answered(answer) => answer.owner.as_ref() != Some(&name),
                    Outcome::Lost(_) => false,
                };
                trace.tries().iter().rev().any(|one| one.started > at && other(one))
            };
            let all = eyes.warm.iter().chain(&eyes.cold).all(|probe| probe.look(served));
            Ok(all && gone)
        }
    }
}

fn connections(trace: &TcpTrace, at: Instant) -> Connections {
    let Some(last) = trace.tries().last().map(|last| last.started) else {
        let pause = Length { millis: 0.0, ended: false };
        let blink = Duration::ZERO;
        return Connections { pause, blink, reset: 0, lost: 0, late: 0, told: Vec::new() };
    };
    let part = trace.between(at - UNDER_WAY, last);
    let is_reset = |one: &&Try| {
        matches!(one.outcome, Outcome::Lost(Loss::Refused | Loss::ResetBefore | Loss::ResetAfter))
    };
    let reset = part.lost().filter(is_reset).count();
    let (pause, ended) = silence(trace, at, last);
    let blink = part.longest_blink().map_or(Duration::ZERO, |span| span.length());
    let tell = |one: &Try| {
        let word = match &one.outcome {
            Outcome::Lost(loss) => loss.word().to_owned(),
            Outcome::Answered(answer) => {
                format!("slow, by {}", answer.owner.as_deref().unwrap_or("nobody"))
            }
        };
        let stood = one
            .connected
            .map_or("never".into(), |at| format!("{:.3} ms", millis(at - one.started)));
        let since = one.started.saturating_duration_since(at);
        let before = at.saturating_duration_since(one.started);
        let when = millis(since) - millis(before);
        format!(
            "{when:+.3} ms: {word}, stood after {stood}, over after {:.3} ms",
            millis(one.ended - one.started)
        )
    };
    Connections {
        pause: Length { millis: millis(pause), ended },
        blink,
        reset,
        lost: part.lost().count() - reset,
        late: part.late().count(),
        told: part.tries().iter().filter(|one| !is_good(one)).map(tell).collect(),
    }
}

/// Answered about as fast as ever.
fn is_good(one: &Try) -> bool {
    matches!(one.outcome, Outcome::Answered(_)) && one.ended - one.started < SLOW
}

/// The longest time between two answers since the fault, and whether there was an answer behind it.
fn silence(trace: &TcpTrace, at: Instant, last: Instant) -> (Duration, bool) {
    let answered = |one: &Try| match &one.outcome {
        // What comes when no connection is begun any more was sent again, and is not to be waited for.
        Outcome::Answered(answer) if answer.status < 500 && answer.at <= last => Some(answer.at),
        _ => None,
    };
    let mut answers: Vec<Instant> = trace.tries().iter().filter_map(answered).collect();
    answers.sort_unstable();
    let met = answers.partition_point(|answer| *answer < at);
    // The last answer before it is where the time without any begins.
    let since = &answers[met.saturating_sub(1)..];
    let mut longest = Duration::ZERO;
    for pair in since.windows(2) {
        longest = longest.max(pair[1] - pair[0]);
    }
    let rest = since.last().map_or(last - at, |end| last.saturating_duration_since(*end));
    (longest.max(rest), rest < AFTER / 2)
}

/// Of several addresses, what the worst one had, and all that was lost.
fn worse(one: Connections, other: Connections) -> Connections {
    let pause = if one.pause.millis > other.pause.millis { one.pause } else { other.pause };
    Connections {
        pause,
        blink: one.blink.max(other.blink),
        reset: one.reset + other.reset,
        lost: one.lost + other.lost,
        late: one.late + other.late,
        told: [one.told, other.told].concat(),
    }
}

/// From the first to the last question since the fault to which two have answered.
fn doubled(asked: &OwnerTrace, at: Instant, until: Instant) -> Length {
    let since = asked.questions().iter().filter(|question| question.asked >= at);
    let mut two = since.filter(|question| question.owners().len() > 1).map(|q| q.asked);
    let Some(first) = two.next() else { return Length::of(Duration::ZERO) };
    let last = two.next_back().unwrap_or(first);
    let ended = until.saturating_duration_since(last) > AFTER / 4;
    Length { millis: millis(last - first), ended }
}

/// When the last but one has answered for the last time.
fn one_left(asked: &OwnerTrace, at: Instant) -> Option<Instant> {
    let since: Vec<_> = asked.questions().iter().filter(|q| q.asked >= at).collect();
    let end = since.iter().rev().find(|question| question.owners().len() > 1);
    let end = end.map_or(at, |question| question.asked);
    let still: Vec<Mac> =
        since.last().map(|q| q.owners().into_iter().collect()).unwrap_or_default();
    (still.len() <= 1).then_some(end)
}

fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1e3
}
