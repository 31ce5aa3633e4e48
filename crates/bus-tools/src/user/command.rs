//! The commands of `spuser`.

use std::io;

use spread_client::{Error, GroupName, Outgoing, Service};

use super::User;
use super::desk::{LINE_MAX, Word};

/// Groups that one message can be sent to.
const GROUPS_MAX: usize = 10;
/// Messages of a burst.
const BURST: usize = 10;

/// As the original prints it, with a blank at the end.
const INVALID: &str = " invalid group \n";

impl User<'_> {
    pub(super) fn menu(&mut self) -> io::Result<()> {
        // Some lines end with a blank, and some words are not spelled right: it is what the original prints.
        self.screen.say(
            "
==========
User Menu:
----------

\tj <group> -- join a group
\tl <group> -- leave a group

\ts <group> -- send a message
\tm <group> -- send a multiline message to group. Terminate with empty line
\tb <group> -- send a burst of messages

\tr -- receive a message (stuck)\x20
\tp -- poll for a message\x20
\te -- enable asynchonous read (default)
\td -- disable asynchronous read\x20

\tq -- quit
",
        )?;
        self.screen.flush()
    }

    /// Does what the user asks. An exit status ends the program.
    pub(super) fn command(&mut self, line: &[u8]) -> io::Result<Option<u8>> {
        // What the command is applied to begins at the third character, whatever the second is.
        let rest = line.get(2..).unwrap_or_default();
        let ended = match line.first() {
            Some(b'j') => self.member(rest, |user, group| user.sending.join(group))?,
            Some(b'l') => self.member(rest, |user, group| user.sending.leave(group))?,
            Some(b's') => self.send(rest, false)?,
            Some(b'm') => self.send(rest, true)?,
            Some(b'b') => self.burst(rest)?,
            Some(b'r') => {
                let word = self.desk.next_event();
                self.show(word)?
            }
            Some(b'p') => {
                let waiting = self.desk.waiting();
                self.screen.say(&format!("Polling sais: {waiting}\n"))?;
                None
            }
            Some(b'e') => {
                self.asynchronous = true;
                None
            }
            Some(b'd') => {
                self.asynchronous = false;
                None
            }
            Some(b'q') => Some(self.bye(0)?),
            _ => {
                self.screen.say("\nUnknown commnad\n")?;
                self.menu()?;
                None
            }
        };
        if ended.is_none() {
            self.prompt()?;
        }
        Ok(ended)
    }

    fn member(
        &mut self,
        rest: &[u8],
        ask: impl FnOnce(&mut Self, &GroupName) -> Result<(), Error>,
    ) -> io::Result<Option<u8>> {
        let Some(word) = words(rest).next() else {
            self.screen.say(INVALID)?;
            return Ok(None);
        };
        // The library's code for a group that cannot be; asked of the client, which refuses what nobody may join.
        let outcome = match GroupName::destination(word) {
            Ok(group) => ask(self, &group).map_err(|error| error.code()),
            Err(_) => Err(spread_client::ErrorCode::IllegalGroup),
        };
        if let Err(code) = outcome {
            self.screen.error(code)?;
        }
        Ok(None)
    }

    fn send(&mut self, rest: &[u8], several: bool) -> io::Result<Option<u8>> {
        let groups: Result<Vec<GroupName>, _> =
            words(rest).take(GROUPS_MAX).map(GroupName::destination).collect();
        let Some(groups) = groups.ok().filter(|groups| !groups.is_empty()) else {
            self.screen.say(INVALID)?;
            return Ok(None);
        };
        let Some(body) = self.ask("enter message: ", several)? else {
            return self.bye(0).map(Some);
        };
        let message = Outgoing {
            service: Service::Safe,
            self_discard: false,
            kind: 1,
            groups: &groups,
            body: &body,
        };
        if let Some(ended) = self.deliver(&message)? {
            return Ok(Some(ended));
        }
        self.sent += 1;
        Ok(None)
    }

    fn burst(&mut self, rest: &[u8]) -> io::Result<Option<u8>> {
        let word = words(rest).next().unwrap_or(b"dummy_group_name");
        let Ok(group) = GroupName::destination(word) else {
            self.screen.say(INVALID)?;
            return Ok(None);
        };
        let Some(answer) = self.ask("enter size of each message: ", false)? else {
            return self.bye(0).map(Some);
        };
        self.length = number(&answer).unwrap_or(self.length).min(LINE_MAX);
        let length = self.length;
        self.screen.say(&format!("sending {BURST} messages of {length} bytes\n"))?;
        for number in 1..=BURST {
            self.sent += 1;
            let mut body = format!("mess num {} ", self.sent).into_bytes();
            body.resize(length, 0);
            let groups = &[group];
            let message = Outgoing {
                service: Service::Fifo,
                self_discard: false,
                kind: 2,
                groups,
                body: &body,
            };
            if let Some(ended) = self.deliver(&message)? {
                return Ok(Some(ended));
            }
            self.screen.say(&format!("sent message {number} (total {})\n", self.sent))?;
        }
        Ok(None)
    }

    /// Sends. A message that cannot be sent ends the program, as in the original.
    fn deliver(&mut self, message: &Outgoing<'_>) -> io::Result<Option<u8>> {
        match self.sending.send(message) {
            Ok(()) => Ok(None),
            Err(error) => {
                self.screen.error(error.code())?;
                self.bye(1).map(Some)
            }
        }
    }

    /// Asks the user for a line with its end, or for `several` up to an empty one. `None` if the input ends.
    fn ask(&mut self, question: &str, several: bool) -> io::Result<Option<Vec<u8>>> {
        self.screen.say(question)?;
        self.screen.flush()?;
        let mut text = Vec::new();
        loop {
            let Word::Line(line) = self.desk.next(false) else { return Ok(None) };
            if !several {
                return Ok(Some(line));
            }
            if line == b"\n" {
                return Ok(Some(text));
            }
            text.extend_from_slice(&line);
            if text.len() >= LINE_MAX {
                text.truncate(LINE_MAX);
                return Ok(Some(text));
            }
        }
    }
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

/// The number a line begins with. One too large is the largest.
fn number(line: &[u8]) -> Option<usize> {
    let digits = line.trim_ascii_start();
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let digits = std::str::from_utf8(&digits[..end]).ok().filter(|digits| !digits.is_empty())?;
    Some(digits.parse().unwrap_or(usize::MAX))
}
