//! The activity log of `-l y`: a line for each membership and session, in the original's form.
//!
//! ```text
//! B <seconds>                                              begin
//! M <seconds> <time of the view> <highest packet> > i -- i who is there, in the order of the file
//! C <seconds> <sequence> <number> <address> <name>         a session begins
//! D <seconds> <sequence> <number> <address> <name> <left>  it ends, with so many messages unread
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use ring::{DaemonName, View};

use crate::clock;
use crate::config::{DaemonConfig, Membership};

/// One thing that happened to a session.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) begins: bool,
    pub(crate) number: usize,
    pub(crate) peer: Option<std::net::IpAddr>,
    pub(crate) name: String,
    pub(crate) left: usize,
}

/// The file. When it cannot be written any more, that is said once and it is left alone.
pub(crate) struct Activity {
    file: Option<File>,
    sequence: u64,
}

impl Activity {
    pub(crate) fn open(name: DaemonName) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(name.as_str())?;
        let mut activity = Self { file: Some(file), sequence: 0 };
        activity.write(&format!("B {}\n", clock::unix_seconds()));
        Ok(activity)
    }

    pub(crate) fn view(&mut self, view: &View, config: &DaemonConfig) {
        let there = |name: &DaemonName| view.members.iter().any(|member| member.name == *name);
        let first = |list: &[DaemonName]| list.iter().position(there).unwrap_or(0);
        let names: Vec<DaemonName> = match &config.membership {
            Membership::Fixed(list) => list.members.iter().map(|member| member.name).collect(),
            Membership::Found { .. } => view.members.iter().map(|member| member.name).collect(),
        };
        let first = first(&names).to_string();
        let marks: Vec<&str> =
            names.iter().map(|name| if there(name) { first.as_str() } else { "--" }).collect();
        let line = format!("M {} {} 0 > {}\n", clock::unix_seconds(), view.time, marks.join(" "));
        self.write(&line);
    }

    pub(crate) fn sessions(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.sequence += 1;
            let kind = if change.begins { 'C' } else { 'D' };
            let address = change.peer.map_or("unix".into(), |peer| peer.to_string());
            let (seconds, sequence) = (clock::unix_seconds(), self.sequence);
            let Change { number, name, left, begins, .. } = change;
            let left = if begins { String::new() } else { format!(" {left}") };
            self.write(&format!("{kind} {seconds} {sequence} {number} {address} {name}{left}\n"));
        }
    }

    fn write(&mut self, line: &str) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(line.as_bytes())
        {
            tracing::warn!(%error, "the activity log cannot be written and is given up");
            self.file = None;
        }
    }
}
