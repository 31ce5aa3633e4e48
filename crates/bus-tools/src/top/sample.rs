//! What a daemon and those it knows say at one moment, and what came about between two of these.

use std::io;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use spread_daemon::monitor::detail::Traffic;
use spread_daemon::monitor::{Answer, Detail, Report, Request, Whom, ask};

/// One look.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sample {
    /// The daemon that is asked.
    pub(super) daemon: Detail,
    /// All daemons that it knows and that answered, itself among them.
    pub(super) reports: Vec<Report>,
    /// Those that did not answer.
    pub(super) silent: Vec<String>,
    /// When it was taken.
    #[serde(skip)]
    pub(super) at: Instant,
}

impl Sample {
    /// Asks the daemon of this control socket, and through it the others.
    ///
    /// # Errors
    /// Nobody is there, or it does not know what is asked.
    pub(super) fn take(control: &Path) -> io::Result<Self> {
        let at = Instant::now();
        let (mut daemon, mut mistake) = (None, None);
        ask(control, &Request::Detail, |answer| match answer {
            Answer::Detail(detail) => daemon = Some(*detail),
            Answer::Mistake { why } => mistake = Some(why),
            _ => {}
        })
        .map_err(io::Error::other)?;
        let daemon = daemon.ok_or_else(|| {
            let why = mistake.unwrap_or_else(|| "it says nothing of itself".into());
            io::Error::other(format!("the daemon is of an earlier version that cannot be looked at like this ({why}); update it, or ask it with monitor status"))
        })?;
        let mut sample = Self { daemon, reports: Vec::new(), silent: Vec::new(), at };
        ask(control, &Request::Status { of: Whom::All }, |answer| match answer {
            Answer::Report(report) => sample.reports.push(report),
            Answer::Silent { daemon } => sample.silent.push(daemon),
            _ => {}
        })
        .map_err(io::Error::other)?;
        Ok(sample)
    }

    /// What that daemon said of itself.
    pub(super) fn report(&self, name: &str) -> Option<&Report> {
        self.reports.iter().find(|report| report.name == name)
    }

    pub(super) fn traffic(&self, service: &str) -> Traffic {
        self.daemon.services.get(service).copied().unwrap_or_default()
    }
}

/// Two looks at the same life of a daemon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between<'a> {
    pub(super) now: &'a Sample,
    before: Option<&'a Sample>,
}

impl<'a> Between<'a> {
    /// Without `before`, or with one of another life, there are no rates.
    pub(super) fn new(now: &'a Sample, before: Option<&'a Sample>) -> Self {
        let same = |before: &&Sample| {
            let (one, other) = (&before.daemon, &now.daemon);
            one.name == other.name && one.up_micros < other.up_micros
        };
        Self { now, before: before.filter(same) }
    }

    /// How many of something per second.
    pub(super) fn rate(&self, of: impl Fn(&Sample) -> u64) -> Option<f64> {
        let before = self.before?;
        let micros = self.now.daemon.up_micros - before.daemon.up_micros;
        Some(of(self.now).checked_sub(of(before))? as f64 * 1e6 / micros as f64)
    }

    /// How many of something a daemon counted per second.
    pub(super) fn rate_at(&self, name: &str, of: impl Fn(&Report) -> u64) -> Option<f64> {
        let (now, before) = (self.now.report(name)?, self.before?.report(name)?);
        // They count from their start, which may have been between the two.
        let more = of(now).checked_sub(of(before)).filter(|_| before.seconds <= now.seconds)?;
        let time = self.now.at.saturating_duration_since(self.before?.at).as_secs_f64();
        (time > 0.0).then(|| more as f64 / time)
    }
}
