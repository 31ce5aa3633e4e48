//! The full screen: what came last, looked at as the keys say, until one of them or a signal ends it.

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

use super::keys::{Key, keys};
use super::line::{Line, Tone};
use super::picture::{self, Sort};
use super::sample::{Between, Sample};
use super::signals;
use super::terminal::Terminal;

/// What may wait to be looked at; those who have more to say wait.
const EVENTS: usize = 16;
/// Lines that a page has in common with the next.
const OVERLAP: usize = 2;
/// How long a signal to this process may take to come.
const SIGNAL: Duration = Duration::from_millis(50);

const HELP: &[&str] = &[
    "q, Ctrl-C       end",
    "space           hold the picture; again: go on",
    "s               next order of the daemons: view, name, round trip, silence, resent",
    "arrows, j, k    scroll; page up and down, home and end as well",
    "h               this help; again: back",
    "Ctrl-L          draw anew",
    "",
    "The daemon that is asked is marked with *. Round trips and silence are those that it sees; what is sent, sent",
    "again (RESENT), asked for because it was missing (MISSED) and given to clients is what each daemon counts itself.",
    "Rates are over the time between two looks.",
];

/// What can happen.
pub(super) enum Event {
    Typed(Vec<u8>),
    Looked(Box<io::Result<Sample>>),
    Resized,
    /// It was stopped and goes on.
    Continued,
    End,
}

/// What is shown, and how.
#[derive(Default)]
pub(super) struct View {
    now: Option<Sample>,
    before: Option<Sample>,
    /// Why there is nothing newer.
    trouble: Option<String>,
    sort: Sort,
    scroll: usize,
    held: bool,
    help: bool,
}

impl View {
    /// Takes a look at the daemon.
    pub(super) fn look(&mut self, sample: io::Result<Sample>) {
        match sample {
            Ok(_) if self.held => {}
            Ok(sample) => {
                self.before = self.now.replace(sample);
                self.trouble = None;
            }
            Err(error) => self.trouble = Some(error.to_string()),
        }
    }

    /// Does what a key says. `false` ends.
    pub(super) fn press(&mut self, key: Key, height: usize) -> bool {
        let page = height.saturating_sub(2 + OVERLAP).max(1);
        match key {
            Key::Quit => return false,
            Key::Suspend | Key::Redraw => {}
            Key::Pause => self.held = !self.held,
            Key::Sort => self.sort = self.sort.next(),
            Key::Help => (self.help, self.scroll) = (!self.help, 0),
            Key::Up => self.scroll = self.scroll.saturating_sub(1),
            Key::Down => self.scroll = self.scroll.saturating_add(1),
            Key::PageUp => self.scroll = self.scroll.saturating_sub(page),
            Key::PageDown => self.scroll = self.scroll.saturating_add(page),
            Key::Home => self.scroll = 0,
            Key::End => self.scroll = usize::MAX,
        }
        true
    }

    /// Exactly `height` lines of at most `width` columns.
    pub(super) fn lines(&mut self, width: usize, height: usize, colors: bool) -> Vec<String> {
        let room = height.saturating_sub(2);
        let body = match (&self.now, self.help) {
            (_, true) => HELP.iter().map(|line| Line::plain(*line)).collect(),
            (Some(now), _) => {
                picture::body(Between::new(now, self.before.as_ref()), self.sort, width)
            }
            (None, _) => Vec::new(),
        };
        // No further than to the last line, so that the way back is no longer than the way there.
        self.scroll = self.scroll.min(body.len().saturating_sub(room));
        let end = (self.scroll + room).min(body.len());
        let title = match &self.trouble {
            None => Line::of(Tone::Bar, picture::title(self.now.as_ref())),
            Some(why) => Line::of(Tone::Bad, format!("no answer, trying on: {why}")),
        };
        // First what a narrow terminal must not lose.
        let lines = match body.len() > room {
            true => format!("lines {} to {end} of {}  ", self.scroll + 1, body.len()),
            false => String::new(),
        };
        let space = if self.held { "go on" } else { "hold" };
        let order = self.sort.word();
        let foot = format!("{lines}q end  space {space}  s order: {order}  h help");
        let foot = Line::of(Tone::Bar, foot);
        let mut lines = vec![title.filled(width)];
        lines.extend(body[self.scroll..end].iter().cloned());
        lines.resize(room + 1, Line::default());
        lines.push(foot.filled(width));
        // On a terminal of one line there is the title.
        lines.truncate(height);
        lines.iter().map(|line| line.text(width, colors)).collect()
    }
}

/// Shows the daemon of this control socket until it is told to end.
pub(super) fn run(
    control: PathBuf,
    interval: Duration,
    input: impl BufRead + Send + 'static,
    colors: bool,
) -> io::Result<()> {
    let (to, events) = sync_channel(EVENTS);
    let terminal = Terminal::enter()?;
    signals::listen(to.clone())?;
    type_into(to.clone(), input);
    look_into(to, control, interval);
    watch(&terminal, &events, colors)
}

fn watch(terminal: &Terminal, events: &Receiver<Event>, colors: bool) -> io::Result<()> {
    let mut view = View::default();
    loop {
        let (width, height) = terminal.size();
        terminal.show(&view.lines(width, height, colors))?;
        // The threads that tell live as long as this does.
        let Ok(event) = events.recv() else { return Ok(()) };
        match event {
            Event::Typed(bytes) if bytes.is_empty() => return Ok(()),
            Event::Typed(bytes) => {
                for key in keys(&bytes) {
                    if !view.press(key, height) {
                        return Ok(());
                    }
                    if key == Key::Suspend {
                        terminal.release();
                        kill_process(getpid(), Signal::TSTP)?;
                        // Another thread may have been given the signal. Where nobody could continue it, it does not stop at all.
                        std::thread::sleep(SIGNAL);
                        terminal.again()?;
                    }
                }
            }
            Event::Looked(sample) => view.look(*sample),
            Event::Resized => {}
            // Whoever stopped it may have changed the terminal.
            Event::Continued => terminal.again()?,
            Event::End => return Ok(()),
        }
    }
}

/// Hands on what is typed; nothing at its end.
fn type_into(to: SyncSender<Event>, mut input: impl BufRead + Send + 'static) {
    std::thread::spawn(move || {
        loop {
            let bytes = input.fill_buf().map(<[u8]>::to_vec).unwrap_or_default();
            input.consume(bytes.len());
            let over = bytes.is_empty();
            if to.send(Event::Typed(bytes)).is_err() || over {
                return;
            }
        }
    });
}

/// Looks once in each interval. Asking may take longer than that; then the next look is the sooner.
fn look_into(to: SyncSender<Event>, control: PathBuf, interval: Duration) {
    std::thread::spawn(move || {
        loop {
            let begun = Instant::now();
            let sample = Sample::take(&control);
            if to.send(Event::Looked(Box::new(sample))).is_err() {
                return;
            }
            std::thread::sleep(interval.saturating_sub(begun.elapsed()));
        }
    });
}
