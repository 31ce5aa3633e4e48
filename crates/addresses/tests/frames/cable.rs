//! A cable between two hosts: the near one, where our sockets are, and the far one, a thread in a namespace of its own.

use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use addresses::frames::{Event, Family, Frame, Mac, PacketSocket};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The longest that anything on a cable in memory may take.
const PATIENCE: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// The far host. Its interface `two` is the other end of the near host's `one`.
pub(crate) struct Far(Sender<Work>);

/// Lays the cable: `one` has 10.77.0.1/24 and fd77::1/64, `two` has 10.77.0.2/24 and fd77::2/64.
pub(crate) fn lay() -> Far {
    let (work, todo) = channel::<Work>();
    let (tell, told) = channel();
    thread::spawn(move || {
        // SAFETY: a network namespace of its own for this thread leaves all descriptors and memory as they are.
        #[allow(unsafe_code)]
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
        tell.send(rustix::thread::gettid()).unwrap();
        todo.iter().for_each(|work| work());
    });
    let far = told.recv().unwrap().as_raw_nonzero();
    ip("link set lo up");
    ip("link add one type veth peer name two");
    ip(&format!("link set two netns {far}"));
    let far = Far(work);
    far.run(|| up("two", 2));
    up("one", 1);
    carrier("one");
    far.run(|| carrier("two"));
    far
}

/// Waits until the kernel has worked off that an interface has a carrier: until then what it sends is dropped.
fn carrier(name: &str) {
    let begin = Instant::now();
    while !ip(&format!("link show {name}")).contains("state UP") {
        assert!(begin.elapsed() < PATIENCE, "{name} has no carrier");
    }
}

fn up(name: &str, host: u8) {
    ip(&format!("link set {name} addrgenmode none"));
    ip(&format!("link set {name} up"));
    ip(&format!("addr add 10.77.0.{host}/24 dev {name}"));
    ip(&format!("addr add fd77::{host}/64 dev {name} nodad"));
}

impl Far {
    /// Does something on the far host, and waits for it.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (give, take) = channel();
        self.0.send(Box::new(move || give.send(work()).unwrap())).unwrap();
        take.recv().unwrap()
    }

    /// Makes the far host believe that `address` is at another Ethernet address.
    pub(crate) fn believe(&self, address: &'static str) {
        self.run(move || {
            ip(&format!("neigh replace {address} lladdr 02:00:00:00:00:99 dev two nud stale"));
        });
    }

    /// The Ethernet address at which the far host has `address`.
    pub(crate) fn believes(&self, address: &'static str) -> String {
        let table = self.run(move || ip(&format!("neigh show {address} dev two")));
        let words: Vec<_> = table.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "lladdr");
        at.map_or_else(String::new, |at| words[at + 1].to_owned())
    }

    /// Waits until the far host has `address` at `mac`.
    pub(crate) fn learns(&self, address: &'static str, mac: Mac) {
        let begin = Instant::now();
        while self.believes(address) != mac.to_string() {
            assert!(begin.elapsed() < PATIENCE, "{address} is at {}", self.believes(address));
        }
    }
}

/// Runs `ip` in the namespace of this thread; what it prints.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The kernel's number and the Ethernet address of an interface of this thread's namespace.
pub(crate) fn interface(name: &str) -> (u32, Mac) {
    let line = ip(&format!("-o link show {name}"));
    let words: Vec<_> = line.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "link/ether").unwrap();
    (words[0].trim_end_matches(':').parse().unwrap(), words[at + 1].parse().unwrap())
}

/// A socket on an interface of this thread's namespace.
pub(crate) fn open(name: &str, family: Family) -> PacketSocket {
    PacketSocket::open(interface(name).0, family).unwrap()
}

/// Sends all of the frames, waiting for room.
pub(crate) fn send(socket: &PacketSocket, mut frames: &[Frame]) {
    use addresses::frames::Hindrance;
    loop {
        let (sent, hindrance) = socket.send(frames);
        frames = &frames[sent..];
        match hindrance {
            None => return assert!(frames.is_empty()),
            Some(Hindrance::Full) => assert!(ready(socket, PollFlags::OUT, PATIENCE)),
            Some(other) => panic!("{other}"),
        }
    }
}

/// Waits for what `wanted` lets through; everything else is passed over.
pub(crate) fn hear(socket: &mut PacketSocket, wanted: impl Fn(&Event) -> bool) -> Event {
    let begin = Instant::now();
    loop {
        let left = PATIENCE.checked_sub(begin.elapsed()).expect("it was not heard");
        assert!(ready(socket, PollFlags::IN, left), "nothing was heard");
        let mut found = None;
        socket.receive(|event| found = found.or(Some(event).filter(&wanted))).unwrap();
        if let Some(event) = found {
            return event;
        }
    }
}

/// Whether a socket is ready within a time.
pub(crate) fn ready(socket: &PacketSocket, flags: PollFlags, within: Duration) -> bool {
    let within = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::new(socket, flags)], Some(&within)).unwrap() > 0
}

/// Waits at most for a time until one of two sockets has something.
pub(crate) fn ready_any(sockets: &[PacketSocket; 2], within: Duration) {
    let within = Timespec::try_from(within).unwrap();
    let mut either = sockets.each_ref().map(|socket| PollFd::new(socket, PollFlags::IN));
    poll(&mut either, Some(&within)).unwrap();
}
