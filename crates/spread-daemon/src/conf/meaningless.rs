//! Options that are accepted and change nothing here, each with the reason, for the log to say once.

use super::SpreadConf;

/// One of them, as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaningless {
    /// The option.
    pub name: &'static str,
    /// Where it stands first, from 1.
    pub line: usize,
    /// Why it means nothing; a sentence without a full stop.
    pub reason: &'static str,
}

const BY_VIEWS: &str = "views are agreed on in another way here, which has no such time";

const OPTIONS: [(&str, &str); 15] = [
    ("EventTimeStamp", "every line of the log has its time"),
    ("EventPreciseTimeStamp", "every line of the log has its time, to the microsecond"),
    (
        "DebugFlags",
        "how much is logged follows from EventPriority, or from the variable BACKHAND_LOG",
    ),
    ("HurryTimeout", "an idle token goes straight to whoever asks for it"),
    ("AliveTimeout", "signs of life are sent at least every 25 ms"),
    ("JoinTimeout", BY_VIEWS),
    ("RepTimeout", BY_VIEWS),
    ("SegTimeout", BY_VIEWS),
    ("GatherTimeout", BY_VIEWS),
    ("FormTimeout", BY_VIEWS),
    ("LookupTimeout", "whoever is not there is looked for every second"),
    ("PersonalWindow", "each daemon's share of the window follows from who has something to send"),
    ("SocketPortReuse", "client ports are always opened so that a restart need not wait"),
    ("AccessControlPolicy", "PERMIT is the only policy there is"),
    (
        "IgnoreMulticastJoinErrors",
        "where a group cannot be joined the daemons are spoken to one by one",
    ),
];

impl SpreadConf {
    /// The options of this file that change nothing, in the order of the file.
    pub fn meaningless(&self) -> Vec<Meaningless> {
        let known = |(name, line): &(String, usize)| {
            let &(name, reason) = OPTIONS.iter().find(|(known, _)| known == name)?;
            Some(Meaningless { name, line: *line, reason })
        };
        self.written.iter().filter_map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::conf;

    #[test]
    fn options_without_meaning_are_named_once_with_line_and_reason() {
        let conf = conf(
            "Spread_Segment 127.0.0.255 { localhost 127.0.0.1 }\nPersonalWindow = 10\nDangerousMonitor = true\nPersonalWindow = 9\nSocketPortReuse = ON\n",
        );
        let named: Vec<_> = conf.meaningless().iter().map(|m| (m.name, m.line)).collect();
        assert_eq!(named, [("PersonalWindow", 2), ("SocketPortReuse", 5)]);
        assert!(conf.meaningless().iter().all(|m| !m.reason.is_empty()));
    }
}
