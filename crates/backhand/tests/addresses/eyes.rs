//! Those who look at one address from outside: clients with warm and with cold neighbour tables, one behind a router, and one who
//! counts owners on the wire.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use lab::{
    Loss, Mac, Outcome, OwnerProbe, OwnerTrace, Place, Probing, Question, TcpProbe, TcpTrace,
};

use crate::stand::{ASKER, BEHIND, COLD, PORT, Stand, WARM};
use crate::support::PATIENCE;

/// Clients' names, in the order of their probes.
const NAMES: [&str; 3] = ["warm", "cold", "distant"];

/// Probes of one address.
pub(crate) struct Eyes {
    ip: IpAddr,
    tcp: Vec<Probing<TcpTrace>>,
    owner: Probing<OwnerTrace>,
}

/// What they have seen.
pub(crate) struct Seen {
    pub(crate) ip: IpAddr,
    pub(crate) tcp: Vec<TcpTrace>,
    pub(crate) owner: OwnerTrace,
}

impl Eyes {
    /// On the usual hosts. Returns when all see the address served.
    pub(crate) fn open(stand: &Stand, ip: IpAddr) -> Self {
        Self::open_every(stand, ip, Duration::from_millis(10))
    }

    /// The same with each client connecting so often.
    pub(crate) fn open_every(stand: &Stand, ip: IpAddr, every: Duration) -> Self {
        let to = (ip, PORT).into();
        let (warm, behind) = (Place::Host(WARM), Place::Host(BEHIND));
        let probes = [
            TcpProbe::new(warm, to),
            TcpProbe::new(Place::Host(COLD), to).cold(Place::Host(COLD)),
            TcpProbe::new(behind, to),
        ];
        let start = |probe| TcpProbe { every, ..probe }.start(&stand.lab).unwrap();
        let tcp = probes.into_iter().map(start).collect();
        let owner = OwnerProbe::new(Place::Host(ASKER), ip).start(&stand.lab).unwrap();
        let eyes = Self { ip, tcp, owner };
        eyes.wait_until_served(stand, Instant::now());
        eyes
    }

    /// Waits until each client was served by a connection begun after this instant.
    pub(crate) fn wait_until_served(&self, stand: &Stand, after: Instant) {
        for (probe, name) in self.tcp.iter().zip(NAMES) {
            stand.until(&format!("{} is served to the {name} client", self.ip), || {
                probe.look(|trace| trace.first_success_after(after).map(drop))
            });
        }
    }

    /// Waits until only this one has answered for so long.
    pub(crate) fn wait_until_only(&self, stand: &Stand, mac: Mac, calm: Duration) {
        stand.until(&format!("only {mac} answers for {}", self.ip), || {
            self.owner.look(|trace| {
                let calm = Instant::now().checked_sub(calm)?;
                let of = trace.owners_between(calm, Instant::now());
                let since = trace.questions().first()?.asked;
                (since < calm && of.len() == 1 && of.contains(&mac)).then_some(())
            })
        });
    }

    pub(crate) fn close(self) -> Seen {
        let Self { ip, tcp, owner } = self;
        Seen { ip, tcp: tcp.into_iter().map(Probing::finish).collect(), owner: owner.finish() }
    }
}

impl Seen {
    /// Prints what was seen since an instant and checks that no client had a pause longer than this.
    pub(crate) fn gap(&self, what: &str, from: Instant, most: Duration) {
        for (trace, name) in self.tcp.iter().zip(NAMES) {
            let part = trace.between(from, from + PATIENCE * 10);
            let pause = part.longest_pause().map(|span| span.length()).unwrap_or(PATIENCE);
            let (lost, late) = (part.lost_by_kind(), part.late().count());
            let blink = part.longest_blink().map(|span| span.length()).unwrap_or_default();
            println!(
                "{what}: {} for the {name} client: pause {pause:?}, lost {lost:?}, late {late}, probe's own pause {blink:?}",
                self.ip
            );
            assert!(
                pause <= most + blink,
                "{what}: the {name} client was not served for {pause:?}"
            );
        }
    }

    /// Nobody lost a connection, but for so many of each client that stood and were reset: where packets are not passed on, one in
    /// each move that was under way when its client heard of the new owner. One that never stood is not among them.
    pub(crate) fn nothing_lost(&self, what: &str, resets: usize) {
        for (trace, name) in self.tcp.iter().zip(NAMES) {
            let (lost, late) = (trace.lost_by_kind(), trace.late().count());
            let pause = trace.longest_pause().map(|span| span.length());
            let all = trace.tries().len();
            println!(
                "{what}: {} for the {name} client: {all} connections, lost {lost:?}, late {late}, pause {pause:?}",
                self.ip
            );
            for one in trace.lost() {
                // How long it took to stand, and in all, tells what it fell between.
                let connected = one.connected.map(|at| at - one.started);
                let took = one.ended - one.started;
                println!("  {:?} in {took:?}, connected in {connected:?}", one.outcome);
            }
            let (reset, others): (Vec<_>, Vec<_>) = trace.lost().partition(|one| {
                let reset =
                    matches!(one.outcome, Outcome::Lost(Loss::ResetBefore | Loss::ResetAfter));
                reset && one.connected.is_some()
            });
            assert!(others.is_empty(), "{what}: the {name} client lost {lost:?}");
            assert!(reset.len() <= resets, "{what}: the {name} client lost {lost:?}");
        }
    }

    /// How long two answered, from the first to the last question to which they did.
    pub(crate) fn doubled(&self, from: Instant, until: Instant) -> Duration {
        let of = |q: &&Question| (from..=until).contains(&q.asked) && q.owners().len() > 1;
        let mut doubled = self.owner.questions().iter().filter(of).map(|q| q.asked);
        let first = doubled.next();
        let last = doubled.next_back().or(first);
        first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first)
    }
}
