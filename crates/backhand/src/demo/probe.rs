//! The probes of the demonstration: at each of the public addresses a new connection every few milliseconds, which asks who has it.
//!
//! What is told of the addresses is what these saw from where the client stands, not what the machines say of themselves.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lab::{Lab, Loss, Outcome, Place, Probing, TcpProbe, TcpTrace, Try};

use super::files::PROBED;
use super::tally::Millis;

/// Time between two connections to any address; with more of them each is asked less often.
const EVERY: Duration = Duration::from_millis(5);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long one trace grows before another is begun, so that they stay small however long it goes on.
const ROUND: Duration = Duration::from_secs(60);
/// Whoever answered within this time has the address.
const NOW: Duration = Duration::from_millis(300);

/// One connection, for whoever shows it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    /// The machine that answered in time; nothing if none did.
    pub(crate) by: Option<String>,
    /// A word for why there was no answer in time.
    pub(crate) trouble: Option<String>,
}

/// What all probes saw in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) connections: usize,
    pub(crate) failed: usize,
    /// The longest time between two connections that were answered, and at which address.
    pub(crate) longest: Duration,
    pub(crate) at: Option<usize>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connections, {} failed, longest pause {}",
            self.connections,
            self.failed,
            Millis(self.longest)
        )
    }
}

/// The traces of one address.
struct Round {
    now: Probing<TcpTrace>,
    before: Option<TcpTrace>,
}

/// All of them.
pub(crate) struct Probes {
    lab: Arc<Lab>,
    targets: Vec<SocketAddr>,
    rounds: Mutex<(Instant, Vec<Round>)>,
}

impl Probes {
    /// Begins to probe all of these.
    pub(crate) fn start(lab: &Arc<Lab>, targets: &[SocketAddr]) -> Result<Self> {
        let probes = Self {
            lab: lab.clone(),
            targets: targets.to_vec(),
            rounds: Mutex::new((Instant::now(), Vec::new())),
        };
        for at in 0..targets.len() {
            let now = probes.begin(at)?;
            probes.lock().1.push(Round { now, before: None });
        }
        Ok(probes)
    }

    fn begin(&self, at: usize) -> Result<Probing<TcpTrace>> {
        let every = EVERY * u32::try_from(self.targets.len()).unwrap_or(u32::MAX).max(1);
        let probe = TcpProbe {
            every: every.min(Duration::from_secs(1)),
            patience: PATIENCE,
            path: PROBED.into(),
            ..TcpProbe::new(Place::Client, self.targets[at])
        };
        probe.start(&self.lab).with_context(|| format!("the probe of {}", self.targets[at].ip()))
    }

    fn lock(&self) -> MutexGuard<'_, (Instant, Vec<Round>)> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many addresses there are.
    pub(crate) fn len(&self) -> usize {
        self.targets.len()
    }

    /// An address.
    pub(crate) fn address(&self, at: usize) -> std::net::IpAddr {
        self.targets[at].ip()
    }

    /// The last part of an address, with its dot: they differ only there.
    pub(crate) fn short(&self, at: usize) -> String {
        let whole = self.address(at).to_string();
        whole.rfind('.').map_or(whole.clone(), |dot| whole[dot..].to_owned())
    }

    /// Begins new traces when the old ones are long, unless something is amiss: then the end of a trace would be waited for.
    pub(crate) fn tend(&self) -> Result<()> {
        if self.lock().0.elapsed() < ROUND || self.owners().iter().any(Option::is_none) {
            return Ok(());
        }
        for at in 0..self.len() {
            let next = self.begin(at)?;
            let mut rounds = self.lock();
            let round = &mut rounds.1[at];
            let last = std::mem::replace(&mut round.now, next);
            round.before = Some(last.finish());
        }
        self.lock().0 = Instant::now();
        Ok(())
    }

    /// The connections to an address that were begun since then, in their order.
    pub(crate) fn since(&self, at: usize, since: Instant) -> Vec<Seen> {
        let rounds = self.lock();
        let Some(round) = rounds.1.get(at) else { return Vec::new() };
        let of = |trace: &TcpTrace| -> Vec<Seen> {
            let tries = trace.tries().iter().rev().take_while(|one| one.started >= since);
            let mut seen: Vec<Seen> = tries.filter_map(|one| seen(trace, one)).collect();
            seen.reverse();
            seen
        };
        let mut all = round.before.as_ref().map(of).unwrap_or_default();
        all.extend(round.now.look(of));
        all
    }

    /// Who has each address, as far as somebody answered just now.
    pub(crate) fn owners(&self) -> Vec<Option<String>> {
        let since = Instant::now().checked_sub(NOW).unwrap_or_else(Instant::now);
        let owner = |at| self.since(at, since).into_iter().rev().find_map(|one| one.by);
        (0..self.len()).map(owner).collect()
    }

    /// The first answer of another machine than that one to a connection that was begun since then.
    pub(crate) fn elsewhere(
        &self,
        at: usize,
        not: &str,
        since: Instant,
    ) -> Option<(String, Duration)> {
        let seen = self.since(at, since);
        let first = seen.into_iter().find(|one| one.by.as_ref().is_some_and(|by| by != not))?;
        Some((first.by?, first.ended.duration_since(since)))
    }

    /// What was seen since then.
    pub(crate) fn summary(&self, since: Instant) -> Summary {
        let mut all = Summary::default();
        for at in 0..self.len() {
            let seen = self.since(at, since);
            all.connections += seen.len();
            all.failed += seen.iter().filter(|one| one.by.is_none()).count();
            let pause = longest_pause(&seen, since);
            if pause > all.longest {
                (all.longest, all.at) = (pause, Some(at));
            }
        }
        all
    }

    /// Who has what, in a few words: `m1 .101 .104  m2 .102  nobody .103`.
    pub(crate) fn map(&self, names: &[String]) -> String {
        let owners = self.owners();
        let of = |who: Option<&String>| {
            let all = owners.iter().enumerate().filter(|(_, owner)| owner.as_ref() == who);
            all.map(|(at, _)| format!(" {}", self.short(at))).collect::<String>()
        };
        let mut parts: Vec<String> = names
            .iter()
            .map(|name| (name, of(Some(name))))
            .filter(|(_, all)| !all.is_empty())
            .map(|(name, all)| format!("{name}{all}"))
            .collect();
        let nobody = of(None);
        if !nobody.is_empty() {
            parts.push(format!("nobody{nobody}"));
        }
        parts.join("  ")
    }
}

/// What came of one; nothing if the probe itself had no means to try.
fn seen(trace: &TcpTrace, one: &Try) -> Option<Seen> {
    let (by, trouble) = match &one.outcome {
        Outcome::Answered(answer) if trace.is_prompt(one) => {
            (Some(answer.owner.clone().unwrap_or_else(|| "?".into())), None)
        }
        Outcome::Answered(answer) if answer.status >= 500 => {
            (None, Some(format!("status {}", answer.status)))
        }
        Outcome::Answered(_) => (None, Some("late".into())),
        Outcome::Lost(Loss::NotTried(_)) => return None,
        Outcome::Lost(loss) => (None, Some(loss.word().into())),
    };
    Some(Seen { started: one.started, ended: one.ended, by, trouble })
}

/// The longest time between the starts of two that were answered; `since` and the last start count as bounds.
fn longest_pause(seen: &[Seen], since: Instant) -> Duration {
    let mut from = since;
    let mut longest = Duration::ZERO;
    for one in seen {
        longest = longest.max(one.started.duration_since(from));
        if one.by.is_some() {
            from = one.started;
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_lasts_from_one_answer_to_the_next() {
        let zero = Instant::now();
        let at = |ms: u64, by: Option<&str>| {
            let started = zero + Duration::from_millis(ms);
            Seen { started, ended: started, by: by.map(Into::into), trouble: None }
        };
        let pause = |seen: &[Seen]| longest_pause(seen, zero).as_millis();
        assert_eq!(pause(&[]), 0);
        assert_eq!(pause(&[at(5, Some("m1")), at(10, None), at(30, Some("m2"))]), 25);
        assert_eq!(pause(&[at(5, None), at(40, None)]), 40);
    }

    #[test]
    fn what_was_seen_is_told_in_a_few_words() {
        let summary = Summary {
            connections: 1_200,
            failed: 3,
            longest: Duration::from_millis(104),
            at: Some(1),
        };
        assert_eq!(summary.to_string(), "1200 connections, 3 failed, longest pause 104 ms");
    }
}
