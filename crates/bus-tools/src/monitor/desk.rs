//! Asking the daemon, and what its words are in the original's.

use std::io;
use std::path::PathBuf;

use spread_client::Version;
use spread_daemon::monitor::{Answer, Report, Request, ask};

use crate::status::Status;

/// Whom to ask.
pub(super) struct Desk {
    control: PathBuf,
}

impl Desk {
    pub(super) fn new(control: PathBuf) -> Self {
        Self { control }
    }

    /// All answers, without the end.
    pub(super) fn ask(&self, request: &Request) -> io::Result<Vec<Answer>> {
        let mut all = Vec::new();
        ask(&self.control, request, |answer| all.push(answer)).map_err(io::Error::other)?;
        all.retain(|answer| *answer != Answer::End);
        Ok(all)
    }
}

/// A report in the original's words. What it has no word for is in the JSON.
pub(super) fn status(report: &Report) -> Status {
    let Version { major, minor, patch } = Version::SPOKEN;
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    // 1 is at work; the others of the original are steps of a protocol that is not spoken here.
    let state = |works: bool| if works { 1 } else { 2 };
    Status {
        name: report.name.clone(),
        version: [major, minor, patch].map(u16::from),
        state: state(report.stands),
        group_state: state(report.settled),
        seconds: report.seconds,
        daemons: small(report.daemons),
        segments: small(report.segments),
        leader: report.leader.clone(),
        accelerated: report.accelerated > 0,
        token_rounds: report.token_visits,
        token_hurries: report.tokens_resent,
        membership_changes: report.views,
        packets_sent: report.packets_sent,
        packets_received: report.packets_received,
        retransmissions: report.packets_resent,
        // What is sent again goes to all who might miss it.
        retransmissions_segment: report.packets_resent,
        own_received_up_to: report.received_up_to,
        all_received_up_to: report.stable_up_to,
        highest: report.highest,
        sessions: report.sessions,
        groups: report.groups,
        window: small(report.window),
        messages_delivered: report.messages_delivered,
        packets_delivered: report.packets_sent.saturating_add(report.packets_received),
        personal_window: small(report.window),
        accelerated_window: small(report.accelerated),
        ..Status::default()
    }
}
