//! The report on a daemon that `spmonitor` prints, and the same as JSON.
//!
//! Scripts find the numbers by the labels before them, so these and their places are the original's, to the byte.

use std::fmt::Write;

use serde::Serialize;

/// What a daemon tells of itself. Counters count from its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The daemon's name.
    pub name: String,
    /// Its version: major, minor, patch.
    pub version: [u16; 3],
    /// The state of the membership; 1 is at work.
    pub state: i32,
    /// The state of the groups; 1 is at work.
    pub group_state: i32,
    /// Seconds since its start.
    pub seconds: u64,
    /// Daemons of its view.
    pub daemons: u32,
    /// Segments of its view.
    pub segments: u32,
    /// The name of the daemon that leads the view.
    pub leader: String,
    /// Whether the ring is the accelerated one.
    pub accelerated: bool,
    /// Rounds of the token.
    pub token_rounds: u64,
    /// Times that the token was hurried.
    pub token_hurries: u64,
    /// Views since its start.
    pub membership_changes: u64,
    /// Packets that it sent.
    pub packets_sent: u64,
    /// Packets that it received.
    pub packets_received: u64,
    /// Packets that it sent again, for whatever reason.
    pub retransmissions: u64,
    /// Packets that it sent again to one daemon.
    pub retransmissions_unicast: u64,
    /// Packets that it sent again to a segment.
    pub retransmissions_segment: u64,
    /// Packets that it sent again to all segments.
    pub retransmissions_broadcast: u64,
    /// The highest packet up to which this daemon has received all.
    pub own_received_up_to: u64,
    /// The highest packet up to which all daemons have received all.
    pub all_received_up_to: u64,
    /// The highest packet of the view.
    pub highest: u64,
    /// Clients of this daemon.
    pub sessions: u64,
    /// Groups of all daemons.
    pub groups: u64,
    /// Packets that all daemons may send in one round of the token.
    pub window: u32,
    /// Messages that it delivered.
    pub messages_delivered: u64,
    /// Packets that it delivered.
    pub packets_delivered: u64,
    /// Packets that it may send in one round of the token.
    pub personal_window: u32,
    /// Packets of these that it may send after the token.
    pub accelerated_window: u32,
    /// What came since an earlier report; since the start of the daemon if there was none.
    pub since: Since,
}

/// What came since an earlier report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Since {
    /// Messages that were delivered. Negative if the daemon was started again meanwhile.
    pub messages: i64,
    /// Packets that all daemons have received. Negative after a new view, which counts from 1.
    pub packets: i64,
    /// Seconds.
    pub seconds: i64,
}

impl Status {
    /// Fills in [`Self::since`].
    #[must_use]
    pub fn after(mut self, earlier: Option<&Self>) -> Self {
        let difference = |of: fn(&Self) -> u64| {
            let before = earlier.map_or(0, of);
            of(&self).wrapping_sub(before) as i64
        };
        self.since = Since {
            messages: difference(|status| status.messages_delivered),
            packets: difference(|status| status.all_received_up_to),
            seconds: difference(|status| status.seconds),
        };
        self
    }

    /// One line of JSON, without its end.
    pub fn json(&self) -> String {
        // A struct of numbers and strings can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The report, as `spmonitor` prints it.
pub fn report(status: &Status) -> String {
    let mut text = String::from("\n============================\n");
    // Writing to a string cannot fail.
    let _ = lines(status, &mut text);
    text.push_str("==================================\n");
    text
}

fn lines(status: &Status, text: &mut String) -> std::fmt::Result {
    let s = status;
    let [major, minor, patch] = s.version;
    writeln!(
        text,
        "Status at {} V{major:2}.{minor:02}.{patch:2} (state {}, gstate {}) after {} seconds :",
        s.name, s.state, s.group_state, s.seconds
    )?;
    let protocol = if s.accelerated { "accelerated" } else { "regular" };
    writeln!(
        text,
        "Membership  :  {}  procs in {} segments, leader is {}, {protocol} protocol",
        s.daemons, s.segments, s.leader
    )?;
    let rows = [
        [
            ("rounds   ", s.token_rounds),
            ("tok_hurry ", s.token_hurries),
            ("memb change", s.membership_changes),
        ],
        [
            ("sent pack", s.packets_sent),
            ("recv pack ", s.packets_received),
            ("retrans    ", s.retransmissions),
        ],
        [
            ("u retrans", s.retransmissions_unicast),
            ("s retrans ", s.retransmissions_segment),
            ("b retrans  ", s.retransmissions_broadcast),
        ],
        [
            ("My_aru   ", s.own_received_up_to),
            ("Aru       ", s.all_received_up_to),
            ("Highest seq", s.highest),
        ],
        [("Sessions ", s.sessions), ("Groups    ", s.groups), ("Window     ", s.window.into())],
    ];
    for [(a, one), (b, two), (c, three)] in rows {
        writeln!(text, "{a}: {one:7}\t{b}: {two:7}\t{c}: {three:7}")?;
    }
    writeln!(
        text,
        "Deliver M: {:7}\tDeliver Pk: {:7}\tP/A Window : {:7}/{}",
        s.messages_delivered, s.packets_delivered, s.personal_window, s.accelerated_window
    )?;
    let Since { messages, packets, seconds } = s.since;
    writeln!(text, "Delta Mes: {messages:7}\tDelta Pk  : {packets:7}\tDelta sec  : {seconds:7}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            name: "localhost".into(),
            version: [5, 0, 1],
            state: 1,
            group_state: 1,
            seconds: 4,
            daemons: 1,
            segments: 1,
            leader: "localhost".into(),
            token_rounds: 10,
            token_hurries: 4,
            membership_changes: 1,
            window: 160,
            personal_window: 20,
            accelerated_window: 15,
            ..Status::default()
        }
    }

    #[test]
    fn the_report_is_the_one_of_the_original() {
        // As the original 5.0.1 printed it (tools reference, 4.3).
        let expected = "
============================
Status at localhost V 5.00. 1 (state 1, gstate 1) after 4 seconds :
Membership  :  1  procs in 1 segments, leader is localhost, regular protocol
rounds   :      10\ttok_hurry :       4\tmemb change:       1
sent pack:       0\trecv pack :       0\tretrans    :       0
u retrans:       0\ts retrans :       0\tb retrans  :       0
My_aru   :       0\tAru       :       0\tHighest seq:       0
Sessions :       0\tGroups    :       0\tWindow     :     160
Deliver M:       0\tDeliver Pk:       0\tP/A Window :      20/15
Delta Mes:       0\tDelta Pk  :       0\tDelta sec  :       4
==================================
";
        assert_eq!(report(&status().after(None)), expected);
        assert!(
            report(&Status { accelerated: true, ..status() }).contains(", accelerated protocol\n")
        );
    }

    #[test]
    fn differences_are_those_to_the_report_before() {
        let earlier = Status { messages_delivered: 100, all_received_up_to: 50, ..status() };
        let later =
            Status { messages_delivered: 160, all_received_up_to: 3, seconds: 14, ..status() };
        let since = later.after(Some(&earlier)).since;
        assert_eq!(since, Since { messages: 60, packets: -47, seconds: 10 });
    }

    #[test]
    fn every_number_is_in_its_own_place() {
        let status = Status {
            token_rounds: 1,
            token_hurries: 2,
            membership_changes: 3,
            packets_sent: 4,
            packets_received: 5,
            retransmissions: 6,
            retransmissions_unicast: 7,
            retransmissions_segment: 8,
            retransmissions_broadcast: 9,
            own_received_up_to: 10,
            all_received_up_to: 11,
            highest: 12,
            sessions: 13,
            groups: 14,
            window: 15,
            messages_delivered: 16,
            packets_delivered: 17,
            personal_window: 18,
            accelerated_window: 19,
            since: Since { messages: 20, packets: 21, seconds: 22 },
            ..Status::default()
        };
        let text = report(&status);
        let numbers: Vec<u32> = text
            .lines()
            .skip(4)
            .flat_map(|line| line.split(['\t', '/']))
            .filter_map(|cell| cell.rsplit(' ').next()?.parse().ok())
            .collect();
        assert_eq!(numbers, (1..=22).collect::<Vec<_>>());
    }

    #[test]
    fn json_tells_the_same() {
        let value: serde_json::Value = serde_json::from_str(&status().after(None).json()).unwrap();
        assert_eq!(value["version"], serde_json::json!([5, 0, 1]));
        assert_eq!((&value["window"], &value["since"]["seconds"]), (&160.into(), &4.into()));
    }
}
