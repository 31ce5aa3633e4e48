//! Crowds: ten thousand groups whose daemons part and come together again, ten thousand clients of one daemon.
//!
//! Times and memory are printed, not judged: what a machine that tests can do says little.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Cut;
use spread_client::{Connection, Endpoint, Event, GroupName, Options};
use testkit::trial::Failed;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::cluster::Bus;

pub(crate) const TRIALS: &[crate::Named] = &[
    ("ten_thousand_groups_of_ten_resume_their_clients_after_a_cut_and_after_a_merge", groups),
    ("ten_thousand_clients_come_join_leave_and_go", clients),
];

/// Groups of the first test.
const GROUPS: usize = 10_000;
/// Clients of the second; fewer where the system gives fewer descriptors.
const CLIENTS: usize = 10_000;
/// Descriptors that are needed for other things.
const DESCRIPTORS: u64 = 500;
/// Members of each group.
const MEMBERS: usize = 10;
/// Groups that a client of the first test is in.
const GROUPS_EACH: usize = 100;
/// The longest that any step may take; what is slow is printed, and what hangs is given up.
const GIVE_UP: Duration = Duration::from_secs(120);

/// What the clients of a crowd have seen, all together.
#[derive(Default)]
struct Seen {
    /// Pairs of a client and a group whose view has so many members, by that number.
    members: [AtomicUsize; MEMBERS + 1],
    /// Views told.
    views: AtomicU64,
    connected: AtomicUsize,
    /// Clients whose session ended by itself.
    lost: AtomicUsize,
    over: AtomicBool,
}

impl Seen {
    /// How many pairs see at least `least` and at most `most` members.
    fn between(&self, least: usize, most: usize) -> usize {
        self.members[least..=most].iter().map(|count| count.load(Relaxed)).sum()
    }
}

/// What a client is to do.
enum Word {
    Join(GroupName),
    Leave(GroupName),
    Go,
}

/// Clients on one thread, each a task.
struct Crowd {
    seen: Arc<Seen>,
    to: Vec<UnboundedSender<Word>>,
    thread: JoinHandle<()>,
}

impl Crowd {
    /// Connects a client to each endpoint, a few at a time.
    fn start(endpoints: Vec<Endpoint>) -> Self {
        let seen = Arc::new(Seen::default());
        let (to, from): (Vec<_>, Vec<_>) = endpoints.iter().map(|_| unbounded_channel()).unzip();
        let shared = seen.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                // A daemon has places for a thousand that have not said who they are.
                let doors = Arc::new(tokio::sync::Semaphore::new(200));
                let mut tasks = Vec::new();
                for (at, (endpoint, from)) in endpoints.into_iter().zip(from).enumerate() {
                    let (seen, doors) = (shared.clone(), doors.clone());
                    tasks.push(tokio::spawn(async move {
                        let door = doors.acquire().await.unwrap();
                        let connection = connect(at, &endpoint).await;
                        drop(door);
                        seen.connected.fetch_add(1, Relaxed);
                        if work(connection, from, &seen).await.is_err() && !seen.over.load(Relaxed)
                        {
                            seen.lost.fetch_add(1, Relaxed);
                        }
                    }));
                }
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
        Self { seen, to, thread }
    }

    fn tell(&self, client: usize, word: Word) {
        // One that was lost is counted as such.
        let _ = self.to[client].send(word);
    }

    /// Waits until it is so; how long that took.
    fn until(&self, what: &str, fits: impl Fn(&Seen) -> bool) -> Duration {
        let began = Instant::now();
        while !fits(&self.seen) {
            assert_eq!(self.seen.lost.load(Relaxed), 0, "clients were lost before {what}");
            let pairs: Vec<usize> = self.seen.members.iter().map(|n| n.load(Relaxed)).collect();
            assert!(began.elapsed() < GIVE_UP, "never {what}: {pairs:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        began.elapsed()
    }

    /// All say goodbye.
    fn end(self) {
        self.seen.over.store(true, Relaxed);
        for to in &self.to {
            let _ = to.send(Word::Go);
        }
        self.thread.join().unwrap();
    }
}

async fn connect(at: usize, endpoint: &Endpoint) -> Connection {
    let options = Options {
        // Many come at once, to a machine that tests.
        timeout: GIVE_UP,
        ..Options::named(&format!("c{at}")).unwrap()
    };
    Connection::connect(endpoint, &options).await.unwrap()
}

/// Does what is said and counts what is seen, until the word to go.
async fn work(
    mut connection: Connection,
    mut from: UnboundedReceiver<Word>,
    seen: &Seen,
) -> Result<(), spread_client::Error> {
    let mut views: BTreeMap<GroupName, usize> = BTreeMap::new();
    loop {
        tokio::select! {
            word = from.recv() => match word {
                Some(Word::Join(group)) => connection.join(&group).await?,
                Some(Word::Leave(group)) => connection.leave(&group).await?,
                Some(Word::Go) | None => return connection.disconnect().await,
            },
            event = connection.receive() => {
                let (group, members) = match event? {
                    Event::Membership(view) => (view.group, view.members.len()),
                    Event::SelfLeave(group) => (group, 0),
                    _ => continue,
                };
                seen.views.fetch_add(1, Relaxed);
                if let Some(before) = views.insert(group, members) {
                    seen.members[before.min(MEMBERS)].fetch_sub(1, Relaxed);
                }
                seen.members[members.min(MEMBERS)].fetch_add(1, Relaxed);
            }
        }
    }
}

fn group(number: usize) -> GroupName {
    GroupName::new(format!("crowd{number}").as_bytes()).unwrap()
}

/// A thousand clients at three daemons; each is in a hundred groups and each group has ten of them, so that every group has members
/// everywhere.
fn groups() -> Result<(), Failed> {
    balancer::sockets::raise_fd_limit();
    let (groups, clients) = (GROUPS, GROUPS * MEMBERS / GROUPS_EACH);
    let bus = Bus::new(3);
    bus.wait_until_said(0, &["a view is installed", "gamma"]);
    // The members of a group are a tenth of all clients apart: three or four of them are at each daemon.
    let stride = clients / MEMBERS;
    let endpoints = (0..clients).map(|client| bus.endpoint(client / stride % 3)).collect();
    let crowd = Crowd::start(endpoints);
    let took = crowd.until("all are connected", |seen| seen.connected.load(Relaxed) == clients);
    println!("{clients} clients connected in {took:?}");
    for number in 0..groups {
        for member in 0..MEMBERS {
            crowd.tell(number % stride + member * stride, Word::Join(group(number)));
        }
    }
    let pairs = groups * MEMBERS;
    let whole = |seen: &Seen| seen.between(MEMBERS, MEMBERS) == pairs;
    let took = crowd.until("all groups are whole", whole);
    let views = crowd.seen.views.load(Relaxed);
    println!("{groups} groups of {MEMBERS} were joined in {took:?}, {views} views told");

    bus.lab.machine(2).cut(Cut::Carrier)?;
    // Gamma's own see themselves, the others see each other.
    let took = crowd.until("the cut", |seen| seen.between(1, MEMBERS - 1) == pairs);
    println!("cut off: all groups have their views after {took:?}");
    bus.lab.machine(2).heal()?;
    let found = crowd.until("a merged view", |seen| seen.between(MEMBERS, MEMBERS) > 0);
    let took = crowd.until("the merge", whole);
    println!("healed: the first group is whole after {found:?}, and all {took:?} after it");
    for i in 0..3 {
        println!("memory of daemon {i}: {} KiB", bus.memory(i));
    }
    crowd.end();
    for (i, at) in (0..3).zip(["alpha", "beta", "gamma"]) {
        println!("after they went, memory of {at}: {} KiB", bus.memory(i));
    }
    bus.all_live()?;
    Ok(())
}

/// Each comes, joins one group, leaves it, and goes.
fn clients() -> Result<(), Failed> {
    let allowed = balancer::sockets::raise_fd_limit().saturating_sub(DESCRIPTORS);
    // Each group has its members.
    let many = CLIENTS.min(allowed as usize / MEMBERS * MEMBERS);
    let bus = Bus::new(1);
    bus.wait_until_said(0, &["a view is installed"]);
    println!("before: {} KiB", bus.memory(0));
    for round in 0..2 {
        let crowd = Crowd::start(vec![bus.endpoint(0); many]);
        let took = crowd.until("all are connected", |seen| seen.connected.load(Relaxed) == many);
        println!("{many} clients connected in {took:?}: {} KiB", bus.memory(0));
        let name = |client: usize| group(client % (many / MEMBERS));
        (0..many).for_each(|client| crowd.tell(client, Word::Join(name(client))));
        let took =
            crowd.until("all groups are whole", |seen| seen.between(MEMBERS, MEMBERS) == many);
        println!("each is in a group after {took:?}: {} KiB", bus.memory(0));
        (0..many).for_each(|client| crowd.tell(client, Word::Leave(name(client))));
        let took = crowd.until("all have left", |seen| seen.between(0, 0) == many);
        println!("all have left after {took:?}: {} KiB", bus.memory(0));
        let began = Instant::now();
        crowd.end();
        crate::support::until("all descriptors are closed", || {
            (bus.descriptors(0) < 50).then_some(())
        });
        println!("round {round}: all are gone after {:?}: {} KiB", began.elapsed(), bus.memory(0));
    }
    bus.all_live()?;
    Ok(())
}
