//! Clients that write down all they are told.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Spawn;
use simulator::bus::groups::client::{self, End, Item};
use simulator::bus::trace::MessageId;
use spread_client::blocking::Connection;
use spread_client::{
    Cause, Event, GroupName, Membership, Options, Outgoing, Regular, Service, ServiceType,
};

use crate::cluster::{Bus, SOON};
use crate::history::Trace;

/// The group that all are in.
pub(crate) const GROUP: &[u8] = b"lab";
/// Bytes in front of the filling of a message.
const HEAD: usize = 10;
/// Own messages on their way.
const OUTSTANDING: usize = 32;
/// How often a client without anything to do looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

/// The view a client was told last, and when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Last {
    /// The daemons that have members in it.
    pub(crate) daemons: BTreeSet<String>,
    pub(crate) members: usize,
    pub(crate) cause: Option<Cause>,
    pub(crate) at: Option<Instant>,
    /// How many views there were.
    pub(crate) number: usize,
    /// The session ended, and why.
    pub(crate) ended: Option<String>,
}

#[derive(Default)]
struct Shared {
    last: Mutex<Last>,
    changed: Condvar,
    received: AtomicU64,
    finish: AtomicBool,
    /// Whose last messages are to be waited for.
    companions: AtomicUsize,
}

/// A client at work.
pub(crate) struct Client {
    pub(crate) name: String,
    shared: Arc<Shared>,
    thread: JoinHandle<Trace>,
}

/// Connects to daemon `i`, which may be starting still.
pub(crate) fn connect(bus: &Bus, i: usize, options: &Options) -> Connection {
    crate::support::until("a client is connected", || {
        Connection::connect(&bus.endpoint(i), options).ok()
    })
}

impl Client {
    /// Joins at daemon `i`, and then sends a message each `pace`, if there is one.
    pub(crate) fn start(bus: &Bus, i: usize, pace: Option<Duration>) -> Self {
        let session = bus.session();
        let mut options = Options::named(&format!("c{session}")).unwrap();
        options.outstanding_max = Some(OUTSTANDING);
        let mut connection = connect(bus, i, &options);
        let group = GroupName::new(GROUP).unwrap();
        connection.join(&group).unwrap();
        let (own, name) = (*connection.group().group(), connection.group().to_string());
        let shared = Arc::new(Shared::default());
        let mut work = Work {
            connection,
            trace: Trace::new(session, own, group),
            shared: shared.clone(),
            ends: BTreeSet::new(),
        };
        let thread = std::thread::spawn(move || {
            work.run(pace);
            work.trace.client.end = Some(End::Lost);
            work.trace
        });
        Self { name, shared, thread }
    }

    /// One that sends, at each daemon.
    pub(crate) fn everywhere(bus: &Bus, pace: Duration) -> Vec<Self> {
        (0..bus.machines()).map(|i| Self::start(bus, i, Some(pace))).collect()
    }

    /// The last view.
    pub(crate) fn last(&self) -> Last {
        self.shared.last.lock().unwrap().clone()
    }

    /// Waits until the last view is like this; when it came.
    pub(crate) fn wait_for(&self, what: &str, mut fits: impl FnMut(&Last) -> bool) -> Last {
        let deadline = Instant::now() + SOON;
        let mut last = self.shared.last.lock().unwrap();
        while !fits(&last) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} waited in vain for {what}: {last:?}", self.name);
            last = self.shared.changed.wait_timeout(last, left).unwrap().0;
        }
        last.clone()
    }

    /// Waits until exactly these daemons have members in the view.
    pub(crate) fn wait_for_daemons(&self, these: &BTreeSet<String>) -> Last {
        self.wait_for(&format!("{these:?}"), |last| last.daemons == *these)
    }

    /// Waits until the session has ended.
    pub(crate) fn wait_for_end(&self) {
        self.wait_for("the end", |last| last.ended.is_some());
    }

    /// Waits for `n` more messages.
    pub(crate) fn wait_for_messages(&self, n: u64) {
        let enough = self.shared.received.load(Relaxed) + n;
        crate::support::until(&format!("{} gets {n} more messages", self.name), || {
            (self.shared.received.load(Relaxed) >= enough).then_some(())
        });
    }

    /// Ends these clients, who can all hear each other; each has then been told all that any of them sent.
    pub(crate) fn finish(clients: Vec<Self>) -> Vec<Trace> {
        let living = clients.iter().filter(|client| client.last().ended.is_none()).count();
        for client in &clients {
            client.shared.companions.store(living, Relaxed);
            client.shared.finish.store(true, Relaxed);
        }
        clients.into_iter().map(|client| client.thread.join().unwrap()).collect()
    }
}

/// The connection string of a client that is a process of its own.
const ALONE: &str = "BACKHAND_BUS_CLIENT";

/// A process that connects in its machine by `endpoint`, joins, and receives until it is killed.
pub(crate) fn alone(endpoint: &str) -> Spawn {
    Spawn::myself().env(ALONE, endpoint).cwd("/")
}

/// Takes over when this process is to be such a client; otherwise returns at once.
pub(crate) fn alone_if_asked() {
    let Ok(endpoint) = std::env::var(ALONE) else { return };
    let connected = Connection::connect(&endpoint.parse().unwrap(), &Options::default());
    let mut connection = connected.unwrap_or_else(|error| panic!("{endpoint}: {error}"));
    connection.join(&GroupName::new(GROUP).unwrap()).unwrap();
    while connection.receive().is_ok() {}
    std::process::exit(0);
}

struct Work {
    connection: Connection,
    trace: Trace,
    shared: Arc<Shared>,
    /// Sessions whose last message came.
    ends: BTreeSet<u32>,
}

impl Work {
    fn run(&mut self, pace: Option<Duration>) {
        let mut due = Instant::now();
        let mut deadline = None;
        loop {
            let finish = self.shared.finish.load(Relaxed);
            if finish {
                if deadline.is_none() {
                    deadline = Some(Instant::now() + SOON);
                    self.send(true);
                }
                if self.ends.len() >= self.shared.companions.load(Relaxed) {
                    self.trace.client.whole = true;
                    return;
                }
                if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                    let missing = format!("the last messages of {:?} only", self.ends);
                    self.trace.client.corrupt = Some(missing);
                    return;
                }
            } else if let Some(pace) = pace
                && Instant::now() >= due
            {
                due = Instant::now() + pace;
                self.send(false);
            }
            let left = pace.map_or(LOOK, |_| due.saturating_duration_since(Instant::now()));
            match self.connection.receive_within(left.min(LOOK)) {
                Ok(Some(event)) => self.record(event),
                Ok(None) => {}
                Err(error) => {
                    self.shared.last.lock().unwrap().ended = Some(error.to_string());
                    self.shared.changed.notify_all();
                    return;
                }
            }
        }
    }

    /// Every third message is safe, every tenth is long. An error is seen when receiving.
    fn send(&mut self, last: bool) {
        let number = self.trace.client.sent.len() as u32 + 1;
        let safe = number.is_multiple_of(3);
        let length = if number.is_multiple_of(10) { 5000 } else { HEAD + number as usize % 200 };
        let mut body = Vec::with_capacity(length);
        body.extend_from_slice(&self.trace.session.to_be_bytes());
        body.extend_from_slice(&number.to_be_bytes());
        body.extend_from_slice(&[u8::from(safe), u8::from(last)]);
        body.resize(length, number as u8);
        let service = if safe { Service::Safe } else { Service::Agreed };
        let groups = &[GroupName::new(GROUP).unwrap()];
        self.trace.client.say(groups.to_vec(), ServiceType::from(service));
        let message = Outgoing { service, self_discard: false, kind: 7, groups, body: &body };
        let _ = self.connection.send(&message);
    }

    fn record(&mut self, event: Event) {
        let item = match event {
            Event::Regular(message) => {
                self.shared.received.fetch_add(1, Relaxed);
                self.read(&message)
            }
            Event::Membership(view) => Ok(self.view(&view)),
            Event::Transitional(signal) => Ok(Item::Signal(signal.group, signal.id)),
            other => Err(format!("{other:?}")),
        };
        match item {
            Ok(item) => self.trace.hear(item),
            Err(what) => {
                self.trace.client.corrupt.get_or_insert(what);
            }
        }
    }

    fn read(&mut self, message: &Regular) -> Result<Item, String> {
        let body = &message.body[..];
        let wrong = || format!("{} bytes that nobody sent so: {message:?}", body.len());
        let (head, filling) = body.split_at_checked(HEAD).ok_or_else(wrong)?;
        let word = |at: usize| head[at..].first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        let (Some(session), Some(number)) = (word(0), word(4)) else { return Err(wrong()) };
        let safe = head[8] == 1;
        let length = if number.is_multiple_of(10) { 5000 } else { HEAD + number as usize % 200 };
        let service = if safe { Service::Safe } else { Service::Agreed };
        let sound = filling.iter().all(|byte| *byte == number as u8)
            && body.len() == length
            && message.service() == Some(service)
            && message
                .sender
                .is_some_and(|sender| sender.to_string().starts_with(&format!("#c{session}#")));
        if !sound {
            return Err(wrong());
        }
        if head[9] == 1 {
            self.ends.insert(session);
        }
        Ok(Item::Message(MessageId { life: session, number }))
    }

    fn view(&mut self, view: &Membership) -> Item {
        let daemon = |name: GroupName| {
            let name = name.to_string();
            name.rsplit('#').next().unwrap_or_default().to_owned()
        };
        let mut last = self.shared.last.lock().unwrap();
        last.daemons = view.members.iter().map(daemon).collect();
        last.members = view.members.iter().count();
        last.cause = Some(view.cause);
        last.at = Some(Instant::now());
        last.number += 1;
        self.shared.changed.notify_all();
        Item::View(Box::new(client::View::from(view)))
    }
}
