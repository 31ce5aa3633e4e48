//! What a daemon says, in the words of the historical tools. Scripts read them.

use std::borrow::Cow;
use std::io::{self, Write};

use spread_client::{
    Cause, ErrorCode, Event, GroupName, Hint, Membership, Regular, Reject, Service,
};

/// Where a tool writes.
pub(crate) struct Screen<'a> {
    out: &'a mut dyn Write,
    /// Whether a person looks at it through a terminal, which what others send must not steer.
    terminal: bool,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, terminal: bool) -> Self {
        Self { out, terminal }
    }

    /// Writes `text` as it is.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    /// Shows what was written so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// An error, as the original's library prints it.
    pub(crate) fn error(&mut self, code: ErrorCode) -> io::Result<()> {
        writeln!(self.out, "SP_error: {code}")
    }

    /// Everything about `event` for the session whose private group is `own`.
    pub(crate) fn event(&mut self, event: &Event, own: &GroupName) -> io::Result<()> {
        match event {
            Event::Regular(message) => self.regular(message),
            Event::Membership(view) => {
                self.members(view, own)?;
                self.cause(view)
            }
            Event::Transitional(_) | Event::SelfLeave(_) => self.signal(event),
            Event::Reject(reject) => self.reject(reject),
        }
    }

    /// The members of a group, without what made them so.
    pub(crate) fn members(&mut self, view: &Membership, own: &GroupName) -> io::Result<()> {
        // The original's library gives the place as the type of the message, -1 if there is none.
        let place = view.position(own).map_or(-1, |place| place as i64);
        writeln!(
            self.out,
            "Received REGULAR membership for group {} with {} members, where I am member {place}:",
            view.group,
            view.members.len(),
        )?;
        self.names(view.members.iter())
    }

    fn cause(&mut self, view: &Membership) -> io::Result<()> {
        let id = view.id;
        writeln!(self.out, "grp id is {} {} {}", id.proc, id.time, id.index)?;
        let changed = name(view.changed());
        match view.cause {
            Cause::Join => writeln!(self.out, "Due to the JOIN of {changed}"),
            Cause::Leave => writeln!(self.out, "Due to the LEAVE of {changed}"),
            Cause::Disconnect => writeln!(self.out, "Due to the DISCONNECT of {changed}"),
            Cause::Network => {
                writeln!(self.out, "Due to NETWORK change with {} VS sets", view.sets.len())?;
                for (at, set) in view.sets.iter().enumerate() {
                    let whose = if view.own == Some(at) { "LOCAL" } else { "OTHER" };
                    writeln!(self.out, "{whose} VS set {at} has {} members:", set.len())?;
                    self.names(set.iter())?;
                }
                Ok(())
            }
        }
    }

    fn names(&mut self, names: impl Iterator<Item = GroupName>) -> io::Result<()> {
        names.into_iter().try_for_each(|name| writeln!(self.out, "\t{name}"))
    }

    /// A transitional signal, or that this session left a group.
    pub(crate) fn signal(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Transitional(signal) => {
                let group = signal.group;
                writeln!(self.out, "received TRANSITIONAL membership for group {group}")
            }
            Event::SelfLeave(group) => {
                writeln!(self.out, "received membership message that left group {group}")
            }
            Event::Regular(_) | Event::Membership(_) | Event::Reject(_) => Ok(()),
        }
    }

    fn regular(&mut self, message: &Regular) -> io::Result<()> {
        write!(self.out, "received {}message from ", service(message))?;
        self.message(message, "")
    }

    /// The message without its service. `when` stands before its sender.
    pub(crate) fn message(&mut self, message: &Regular, when: &str) -> io::Result<()> {
        let kind = message.hint.kind();
        write!(self.out, "{when}{}, of type {kind}, ", name(message.sender))?;
        self.body(message.hint, message.groups.len(), &message.body)
    }

    pub(crate) fn reject(&mut self, reject: &Reject) -> io::Result<()> {
        let service = reject.service | spread_client::ServiceType::REJECT_MESS;
        write!(
            self.out,
            "REJECTED message from {}, of servicetype {service} messtype {}, ",
            name(reject.sender),
            reject.hint.kind(),
        )?;
        self.body(reject.hint, reject.groups.len(), &reject.body)
    }

    fn body(&mut self, hint: Hint, groups: usize, body: &[u8]) -> io::Result<()> {
        let foreign = i32::from(hint.order() != Hint::default().order());
        // The blank behind "groups" is the original's.
        write!(self.out, "(endian {foreign}) to {groups} groups \n({} bytes): ", body.len())?;
        // As the original prints it: text, so up to the first NUL.
        let text = body.split(|&byte| byte == 0).next().unwrap_or_default();
        self.out.write_all(&if self.terminal { harmless(text) } else { Cow::Borrowed(text) })?;
        self.out.write_all(b"\n")
    }
}

/// The service of a message with a blank behind it; nothing if it names not exactly one.
pub(crate) fn service(message: &Regular) -> &'static str {
    match message.service() {
        Some(Service::Unreliable) => "UNRELIABLE ",
        Some(Service::Reliable) => "RELIABLE ",
        Some(Service::Fifo) => "FIFO ",
        Some(Service::Causal) => "CAUSAL ",
        Some(Service::Agreed) => "AGREED ",
        Some(Service::Safe) => "SAFE ",
        None => "",
    }
}

fn name(name: Option<GroupName>) -> String {
    name.map(|name| name.to_string()).unwrap_or_default()
}

/// The text with every character that could steer a terminal escaped.
pub(crate) fn harmless(text: &[u8]) -> Cow<'static, [u8]> {
    let mut shown = String::with_capacity(text.len());
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            _ if character.is_control() => shown.extend(character.escape_default()),
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_send_cannot_steer_a_terminal() {
        let shown = harmless("a\u{1b}[2J\u{9b}b\r\n\tä".as_bytes());
        assert_eq!(String::from_utf8_lossy(&shown), "a\\u{1b}[2J\\u{9b}b\\r\n\tä");
    }
}
