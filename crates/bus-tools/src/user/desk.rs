//! What waits for the user's program: events of the session and lines of the user, each collected by a thread.
//!
//! Both are bounded. A reader that finds its place full waits, so a daemon whose messages nobody reads finds its own
//! queue filling up and ends the session, as it does with the original program.

use std::collections::VecDeque;
use std::io::{BufRead, ErrorKind, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use spread_client::blocking::ReceiveHalf;
use spread_client::{Error, Event};

/// Bytes of events that may wait; one event may be larger.
const EVENTS_MAX: usize = 1 << 20;
/// Lines that may wait.
const LINES_MAX: usize = 16;
/// Bytes of the longest line (`MAX_MESSLEN` of the original); what is longer is taken as several.
pub(super) const LINE_MAX: usize = 102_400;

/// The next thing to do.
pub(super) enum Word {
    Event(Box<Event>),
    Lost(Error),
    /// A line, with its end if it has one.
    Line(Vec<u8>),
    /// There will be no more lines.
    End,
}

/// See the module.
pub(super) struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<(Box<Event>, usize)>,
    /// Bytes of `events`, as the daemon sent them.
    bytes: usize,
    lost: Option<Error>,
    lines: VecDeque<Vec<u8>>,
    lines_end: bool,
    closed: bool,
}

impl Desk {
    /// Begins to collect.
    pub(super) fn open(receiving: ReceiveHalf, input: impl BufRead + Send + 'static) -> Arc<Self> {
        let desk = Arc::new(Self { state: Mutex::default(), changed: Condvar::new() });
        let there = desk.clone();
        thread::spawn(move || there.collect_events(receiving));
        let there = desk.clone();
        thread::spawn(move || there.collect_lines(input));
        desk
    }

    /// Ends the collecting, as soon as the threads come back from what they wait for.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Waits for a line, or for an event if `events` are wanted too: these come first.
    pub(super) fn next(&self, events: bool) -> Word {
        self.wait(|state| {
            if events && let Some(word) = state.take_event() {
                return Some(word);
            }
            match state.lines.pop_front() {
                Some(line) => Some(Word::Line(line)),
                None => state.lines_end.then_some(Word::End),
            }
        })
    }

    /// Waits for an event.
    pub(super) fn next_event(&self) -> Word {
        self.wait(State::take_event)
    }

    /// Bytes of events that wait.
    pub(super) fn waiting(&self) -> usize {
        self.state().bytes
    }

    fn collect_events(&self, mut receiving: ReceiveHalf) {
        loop {
            let received = receiving.receive();
            let mut state = self.state();
            match received {
                Ok(event) => {
                    let size = size(&event);
                    while !state.closed && state.bytes > 0 && state.bytes + size > EVENTS_MAX {
                        state = self.rest(state);
                    }
                    state.bytes += size;
                    state.events.push_back((Box::new(event), size));
                }
                Err(error) => state.lost = Some(error),
            }
            self.changed.notify_all();
            if state.closed || state.lost.is_some() {
                return;
            }
        }
    }

    fn collect_lines(&self, mut input: impl BufRead) {
        loop {
            let mut line = Vec::new();
            let read = (&mut input).take(LINE_MAX as u64).read_until(b'\n', &mut line);
            let mut state = self.state();
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => state.lines_end = true,
                Ok(_) => {
                    while !state.closed && state.lines.len() >= LINES_MAX {
                        state = self.rest(state);
                    }
                    state.lines.push_back(line);
                }
            }
            self.changed.notify_all();
            if state.closed || state.lines_end {
                return;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, mut take: impl FnMut(&mut State) -> Option<Word>) -> Word {
        let mut state = self.state();
        loop {
            if let Some(word) = take(&mut state) {
                // A collector may have waited for this place.
                self.changed.notify_all();
                return word;
            }
            state = self.rest(state);
        }
    }
}

impl State {
    fn take_event(&mut self) -> Option<Word> {
        if let Some((event, size)) = self.events.pop_front() {
            self.bytes -= size;
            return Some(Word::Event(event));
        }
        // Told once; whoever asks again is told that the session is closed.
        self.lost.as_mut().map(|lost| Word::Lost(std::mem::replace(lost, Error::Closed)))
    }
}

/// Bytes of an event as the daemon sent it.
fn size(event: &Event) -> usize {
    const HEADER: usize = 48;
    const NAME: usize = 32;
    match event {
        Event::Regular(message) => message.encoded_len(),
        Event::Membership(view) => {
            let sets: usize = view.sets.iter().map(|set| 4 + set.as_bytes().len()).sum();
            HEADER + view.members.as_bytes().len() + 20 + sets
        }
        Event::Transitional(_) => HEADER + 12,
        Event::SelfLeave(_) => HEADER,
        Event::Reject(reject) => HEADER + 4 + reject.groups.len() * NAME + reject.body.len(),
    }
}
