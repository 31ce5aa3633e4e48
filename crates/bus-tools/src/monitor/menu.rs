//! The menu, as the original has it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use spread_daemon::monitor::{Answer, Request, Whom};

use super::command::REFRESH;
use super::desk::{Desk, status};
use crate::status::{Status, report};

/// Bytes of a line; what is longer is taken as several.
const LINE_MAX: u64 = 4096;
/// Lines that may wait.
const LINES_MAX: usize = 16;

const MENU: &str = "
=============
Monitor Menu:
-------------
\t0. Activate/Deactivate Status {all, none, Proc, CR}

\t1. Define Partition
\t2. Send   Partition
\t3. Review Partition
\t4. Cancel Partition Effects

\t5. Define Flow Control
\t6. Send   Flow Control
\t7. Review Flow Control

\t8. Terminate Spread Daemons {all, none, Proc, CR}

\tr. Reload Configuration File

\t9. Exit

Monitor> ";

/// That the input is over, which ends the program wherever it stands.
struct Over;

/// What a step comes to: go on, or the input is over.
type Step = io::Result<Result<(), Over>>;

macro_rules! line {
    ($menu:expr) => {
        match $menu.line()? {
            Ok(line) => line,
            Err(over) => return Ok(Err(over)),
        }
    };
}

/// Windows: that of all, and of each daemon its own and the accelerated one.
#[derive(Clone, Debug, Default)]
struct Flow {
    window: Option<u16>,
    each: BTreeMap<String, [Option<u16>; 2]>,
}

struct Menu<'a> {
    desk: Desk,
    output: &'a mut dyn Write,
    lines: Receiver<String>,
    interval: Duration,
    watched: BTreeSet<String>,
    next_status: Option<Instant>,
    before: BTreeMap<String, Status>,
    planned: BTreeMap<String, i16>,
    sent: BTreeMap<String, i16>,
    next_partition: Option<Instant>,
    planned_flow: Flow,
    sent_flow: Flow,
}

/// Works until the input ends or says so.
pub(super) fn run(
    desk: Desk,
    interval: Duration,
    input: impl BufRead + Send + 'static,
    output: &mut dyn Write,
) -> io::Result<u8> {
    let (to, lines) = sync_channel(LINES_MAX);
    std::thread::spawn(move || {
        let mut input = input;
        loop {
            let mut line = Vec::new();
            match input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
                Ok(count) if count > 0 => {}
                _ => return,
            }
            let line = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            if to.send(line).is_err() {
                return;
            }
        }
    });
    let mut menu = Menu {
        desk,
        output,
        lines,
        interval,
        watched: BTreeSet::new(),
        next_status: None,
        before: BTreeMap::new(),
        planned: BTreeMap::new(),
        sent: BTreeMap::new(),
        next_partition: None,
        planned_flow: Flow::default(),
        sent_flow: Flow::default(),
    };
    // Who is there has to be known for what follows, and that nobody is there should be said at once.
    menu.daemons()?;
    menu.say(MENU)?;
    while menu.command()?.is_ok() {}
    menu.say("Bye.\n")?;
    Ok(0)
}

impl Menu<'_> {
    fn say(&mut self, text: &str) -> io::Result<()> {
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }

    /// The next line; meanwhile what is due is done.
    fn line(&mut self) -> io::Result<Result<String, Over>> {
        loop {
            let due = [self.next_status, self.next_partition].into_iter().flatten().min();
            let left =
                due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
            let line = match left {
                Duration::MAX => self.lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
                left => self.lines.recv_timeout(left),
            };
            match line {
                Ok(line) => return Ok(Ok(line)),
                Err(RecvTimeoutError::Disconnected) => return Ok(Err(Over)),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = Instant::now();
            if self.next_status.is_some_and(|at| at <= now) {
                self.query()?;
            }
            if self.next_partition.is_some_and(|at| at <= now) {
                self.send_partition()?;
            }
        }
    }

    /// One command. `Over` ends.
    fn command(&mut self) -> Step {
        let line = line!(self);
        match line.bytes().next() {
            Some(b'0') => {
                if self.activate()?.is_err() {
                    return Ok(Err(Over));
                }
                self.prompt()?;
            }
            Some(b'1') => {
                if self.define_partition()?.is_err() {
                    return Ok(Err(Over));
                }
                let planned = self.planned.clone();
                self.show_partition(&planned)?;
            }
            Some(b'2') => {
                self.sent = self.planned.clone();
                self.send_partition()?;
                self.prompt()?;
            }
            Some(b'3') => {
                let sent = self.sent.clone();
                self.show_partition(&sent)?;
            }
            Some(b'4') => {
                self.planned.values_mut().for_each(|component| *component = 0);
                self.sent = self.planned.clone();
                self.next_partition = None;
                self.say("Monitor: send partition\n")?;
                self.order(&Request::Heal)?;
                self.prompt()?;
            }
            Some(b'5') => {
                if self.define_flow()?.is_err() {
                    return Ok(Err(Over));
                }
                let planned = self.planned_flow.clone();
                self.show_flow(&planned)?;
            }
            Some(b'6') => {
                self.send_flow()?;
                self.prompt()?;
            }
            Some(b'7') => {
                let sent = self.sent_flow.clone();
                self.show_flow(&sent)?;
            }
            Some(b'8') => {
                if self.terminate()?.is_err() {
                    return Ok(Err(Over));
                }
                self.prompt()?;
            }
            Some(b'r') => {
                self.say("Monitor: reload configuration files\n")?;
                self.order(&Request::Reload { of: Whom::All })?;
                self.prompt()?;
            }
            Some(b'9' | b'q') => return Ok(Err(Over)),
            _ => {
                // The original's spelling.
                self.say("\nUnknown commnad\n")?;
                self.say(MENU)?;
            }
        }
        Ok(Ok(()))
    }

    fn prompt(&mut self) -> io::Result<()> {
        self.say("\nMonitor> ")
    }

    /// All daemons that are known, in the order of their names.
    fn daemons(&mut self) -> io::Result<Vec<String>> {
        let answers = self.desk.ask(&Request::Status { of: Whom::All })?;
        let names = answers.into_iter().filter_map(|answer| match answer {
            Answer::Report(report) => Some(report.name),
            Answer::Silent { daemon } | Answer::Refused { daemon, .. } => Some(daemon),
            _ => None,
        });
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Asks for names until an empty line; `all` and `none` stand for all and none.
    fn names(
        &mut self,
        prompt: &str,
        mut chosen: BTreeSet<String>,
    ) -> io::Result<Result<BTreeSet<String>, Over>> {
        let daemons = self.daemons()?;
        loop {
            self.say(prompt)?;
            let line = match self.line()? {
                Ok(line) => line,
                Err(over) => return Ok(Err(over)),
            };
            let Some(word) = line.split_whitespace().next() else {
                if line.is_empty() {
                    return Ok(Ok(chosen));
                }
                self.say("Please enter a legal proc name, none, or all\n")?;
                continue;
            };
            match word {
                "all" => chosen.extend(daemons.iter().cloned()),
                "none" => chosen.clear(),
                name if daemons.iter().any(|known| known == name) => {
                    chosen.insert(name.into());
                }
                _ => self.say("Please! enter a legal proc name, none, or all\n")?,
            }
        }
    }

    fn activate(&mut self) -> Step {
        self.say("\n=============\nActivate Status\n-------------\n\n")?;
        let watched = self.watched.clone();
        match self.names("\tEnter Proc Name: ", watched)? {
            Ok(watched) => self.watched = watched,
            Err(over) => return Ok(Err(over)),
        }
        self.next_status = None;
        if !self.watched.is_empty() {
            self.query()?;
        }
        Ok(Ok(()))
    }

    fn query(&mut self) -> io::Result<()> {
        self.say("Monitor: send status query\n")?;
        self.next_status = Some(Instant::now() + self.interval);
        let answers = match self.desk.ask(&Request::Status { of: Whom::All }) {
            Ok(answers) => answers,
            // It may come back; whoever looks sees that it is away.
            Err(error) => return self.say(&format!("Monitor: {error}\n")),
        };
        for answer in answers {
            match answer {
                Answer::Report(of) if self.watched.contains(&of.name) => {
                    let status = status(&of).after(self.before.get(&of.name));
                    self.say(&report(&status))?;
                    self.before.insert(of.name, status);
                }
                Answer::Silent { daemon } if self.watched.contains(&daemon) => {
                    self.say(&format!("Monitor: no answer from {daemon}\n"))?;
                }
                Answer::Refused { daemon, why } if self.watched.contains(&daemon) => {
                    self.say(&format!("Monitor: {daemon}: {why}\n"))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Asks for something to be done, and says who does not.
    fn order(&mut self, request: &Request) -> io::Result<()> {
        let answers = match self.desk.ask(request) {
            Ok(answers) => answers,
            Err(error) => return self.say(&format!("Monitor: {error}\n")),
        };
        for answer in answers {
            match answer {
                Answer::Refused { daemon, why } => {
                    self.say(&format!("Monitor: {daemon}: {why}\n"))?
                }
                Answer::Silent { daemon } => {
                    self.say(&format!("Monitor: no answer from {daemon}\n"))?;
                }
                Answer::Mistake { why } => self.say(&format!("Monitor: {why}\n"))?,
                _ => {}
            }
        }
        Ok(())
    }

    fn define_partition(&mut self) -> Step {
        self.say("\n=============\nDefine Partition\n-------------\n\n")?;
        let daemons = self.daemons()?;
        self.planned.retain(|name, _| daemons.contains(name));
        for name in daemons {
            loop {
                self.say(&format!("\t{name}\t"))?;
                let line = line!(self);
                if let Some(Ok(component)) = line.split_whitespace().next().map(str::parse) {
                    self.planned.insert(name, component);
                    break;
                }
                self.say("Please enter a number\n")?;
            }
        }
        self.say("\n")?;
        Ok(Ok(()))
    }

    fn show_partition(&mut self, partition: &BTreeMap<String, i16>) -> io::Result<()> {
        let mut text = String::from("\n=============\nPartition Map:\n-------------\n\n");
        for (name, component) in partition {
            text.push_str(&format!("\t{name}\t{component}\n"));
        }
        text.push_str("\n\nMonitor> ");
        self.say(&text)
    }

    fn send_partition(&mut self) -> io::Result<()> {
        self.say("Monitor: send partition\n")?;
        self.next_partition = Some(Instant::now() + REFRESH);
        let components = self.sent.clone();
        self.order(&Request::Partition { components })
    }

    /// A number, or nothing for an empty line.
    fn number(&mut self, prompt: &str) -> io::Result<Result<Option<u16>, Over>> {
        loop {
            self.say(prompt)?;
            let line = match self.line()? {
                Ok(line) => line,
                Err(over) => return Ok(Err(over)),
            };
            match line.split_whitespace().next().map(str::parse::<i32>) {
                None => return Ok(Ok(None)),
                // -1 leaves it as it is.
                Some(Ok(number)) => return Ok(Ok(u16::try_from(number).ok())),
                Some(Err(_)) => self.say("Please enter a number\n")?,
            }
        }
    }

    fn define_flow(&mut self) -> Step {
        self.say("\n===================\nDefine Flow Control\n-------------------\n\n")?;
        let window = match self.number("    Window size: ")? {
            Ok(window) => window,
            Err(over) => return Ok(Err(over)),
        };
        let mut flow = Flow { window, each: BTreeMap::new() };
        self.say("\n")?;
        for name in self.daemons()? {
            let mut both = [None; 2];
            for (value, kind) in both.iter_mut().zip(["personal", "accelerated"]) {
                match self.number(&format!("\t{name} {kind} window\t"))? {
                    Ok(number) => *value = number,
                    Err(over) => return Ok(Err(over)),
                }
            }
            flow.each.insert(name, both);
        }
        self.say("\n")?;
        self.planned_flow = flow;
        Ok(Ok(()))
    }

    fn show_flow(&mut self, flow: &Flow) -> io::Result<()> {
        let number = |value: Option<u16>| value.map_or(-1, i32::from);
        let mut text = String::from(
            "\n========================\nFlow Control Parameters:\n------------------------\n\n",
        );
        text.push_str(&format!("Window size:  {}\n\n", number(flow.window)));
        for (name, [personal, accelerated]) in &flow.each {
            text.push_str(&format!("\t{name} personal window\t{}\n", number(*personal)));
            text.push_str(&format!("\t{name} accelerated window\t{}\n", number(*accelerated)));
        }
        text.push_str("\n\nMonitor> ");
        self.say(&text)
    }

    fn send_flow(&mut self) -> io::Result<()> {
        self.sent_flow = self.planned_flow.clone();
        self.say("Monitor: send flow control params\n")?;
        let Flow { window, each } = self.sent_flow.clone();
        if each.values().any(|[personal, _]| personal.is_some()) {
            self.say("Monitor: personal windows change nothing: a daemon may use what is left of the window\n")?;
        }
        if window.is_some() {
            self.order(&Request::Flow { of: Whom::All, window, accelerated: None })?;
        }
        for (name, [_, accelerated]) in each {
            if accelerated.is_some() {
                self.order(&Request::Flow { of: Whom::Named(name), window: None, accelerated })?;
            }
        }
        Ok(())
    }

    fn terminate(&mut self) -> Step {
        match self.names("\tEnter Proc Name to Terminate: ", BTreeSet::new())? {
            Ok(names) => {
                // The one that is asked goes last, since it tells the others.
                let all = self.daemons()?;
                if names.len() == all.len() {
                    self.order(&Request::Terminate { of: Whom::All })?;
                } else {
                    for name in names {
                        self.order(&Request::Terminate { of: Whom::Named(name) })?;
                    }
                }
                Ok(Ok(()))
            }
            Err(over) => Ok(Err(over)),
        }
    }
}
