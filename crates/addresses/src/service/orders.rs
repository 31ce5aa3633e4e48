//! What operators ask.

use base::Instant;
use spread_client::{Backoff, Session};
use vip::Vip;

use super::clock;
use super::drained::{Found, now_ms};
use super::handle::Command;
use crate::control::lasting;

use super::run::{Leaving, Service};
use super::setup::options;

/// Begins as the run before ended: drained, if it was. What is to be said of that.
pub(super) fn begin(
    vip: &mut Vip,
    now: Instant,
    found: &Found,
    able: &Result<(), String>,
) -> Option<String> {
    if let Err(why) = able {
        tracing::info!("a drain of this machine would not outlive its program: {why}");
    }
    vip.handle_keeps(now, able.is_ok());
    let said = match found {
        Found::Nothing => return None,
        Found::Since(at) => format!(
            "this machine has been drained for {}, by order; `backhand vip undrain` ends it",
            lasting(now_ms().saturating_sub(*at))
        ),
        Found::Unclear(why) => format!(
            "{why}; somebody has drained this machine, so it is drained; `backhand vip undrain` ends it"
        ),
    };
    vip.begin_drained();
    Some(said)
}

impl Service {
    /// What became of writing down that this machine is drained, or is not.
    pub(super) fn kept(&mut self, outcome: Result<(), String>) {
        self.vip.handle_keeps(clock::now(), outcome.is_ok());
        if let Err(why) = outcome {
            let what = if self.vip.is_drained() {
                "this machine takes part again when its program is started again"
            } else {
                "this machine is drained again when its program is started again"
            };
            self.alarm(None, format!("{why}; {what}"));
        }
    }

    pub(super) async fn ordered(&mut self, command: Command) {
        let now = clock::now();
        match command {
            Command::Report(answer) => drop(answer.send(Box::new(self.report(now)))),
            Command::Decisions(above, answer) => {
                let _ = answer.send(self.decisions.above(above));
            }
            Command::Order { machine, order, answer } => {
                // Whoever asked may have given up.
                let _ = answer.send(self.vip.order(&machine, order));
            }
            Command::Away(away, answer) => {
                self.go_away(now, away).await;
                let _ = answer.send(());
            }
            Command::Leave { back_within, left } => {
                let had = !(self.holdings.sets.is_empty() && self.stopping.is_empty());
                let what = match had {
                    true => "leaving: what is held here goes to others first",
                    false => "leaving: nothing is held here",
                };
                self.note(None, what.into());
                self.vip.leave(now, back_within);
                let until = now + self.config.stop_within;
                self.leaving = Some(Leaving { until, had, answer: left });
            }
            Command::HandOver { within, answer } => {
                self.handed_over = Some((within, answer));
                self.ends = true;
            }
            // What is being given away is not listed again.
            Command::Reload(_) if self.ends => {}
            Command::Reload(config) => self.reload(now, *config),
            Command::End => {
                self.ends_at_once = self.ends;
                self.ends = true;
            }
        }
    }

    pub(super) async fn go_away(&mut self, now: Instant, away: bool) {
        if away {
            self.away = true;
            let options = options(&self.config);
            let Some(endpoint) = self.endpoint() else { return };
            let fresh = Session::new(endpoint, options, Backoff::default());
            let session = std::mem::replace(&mut self.session, fresh);
            let _ = session.disconnect().await;
            let _ = self.session.join(&self.group).await;
            self.lost(now, "away from the bus, as an operator told it to be".into());
        } else {
            self.away = false;
        }
    }

    pub(super) fn endpoint(&self) -> Option<spread_client::Endpoint> {
        Some(self.session.endpoint().clone())
    }
}
