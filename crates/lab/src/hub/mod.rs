//! The hub: first process of the lab, owner of its switch and parent of all that runs in it.
//!
//! One thread, one loop: an order from the caller, or the end of a child. It ends when the caller closes the control
//! socket or dies, and takes everything along: as first process of a process namespace by dying, otherwise by killing
//! what it has started and what was left to it.

mod children;
mod folders;
mod netlink;
mod network;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, set_child_subreaper, set_parent_process_death_signal};
use rustix::stdio::stdin;

use crate::sockets::Place;
use crate::wire::{self, Reply, Request, Setup};
use children::Children;
use network::{BuildError, Network};

/// How often orphans are reaped, in seconds; the hub's own children are reaped as they end.
const ORPHAN_SECONDS: i64 = 1;

/// Runs the hub; returns its exit status.
pub(crate) fn run(setup: Setup) -> i32 {
    let prepared = if setup.process_namespace {
        // Dies with the starter, which dies with the caller.
        set_parent_process_death_signal(Some(Signal::KILL))
    } else {
        // Lives on until the control socket closes, which is at once, and then cleans up behind itself.
        set_child_subreaper(Pid::from_raw(1))
    };
    let network = match prepared.map_err(|e| format!("prctl: {e}")).map(|()| Network::build(&setup))
    {
        Ok(Ok(network)) => network,
        Ok(Err(BuildError::NoProcessNamespace(why))) => {
            return give_up(&Reply::NoProcessNamespace(why));
        }
        Ok(Err(BuildError::Other(why))) | Err(why) => return give_up(&Reply::Refused(why)),
    };
    if wire::send(stdin(), &Reply::Ready { ipv6: network.has_ipv6() }, &[]).is_err() {
        return 1;
    }
    let mut hub = Hub { network, children: Children::default() };
    hub.serve();
    if !setup.process_namespace {
        hub.children.end_all();
    }
    0
}

fn give_up(reply: &Reply) -> i32 {
    // When the caller is gone, nobody needs to know.
    drop(wire::send(stdin(), reply, &[]));
    1
}

struct Hub {
    network: Network,
    children: Children,
}

impl Hub {
    fn serve(&mut self) {
        loop {
            let ordered = self.wait();
            self.children.reap();
            if !ordered {
                continue;
            }
            let Ok(Some((request, fds))) = wire::receive::<Request>(stdin()) else { return };
            let (reply, fds) = match self.carry_out(request, fds) {
                Ok(answer) => answer,
                Err(why) => (Reply::Refused(why), Vec::new()),
            };
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            if wire::send(stdin(), &reply, &fds).is_err() {
                return;
            }
        }
    }

    /// Waits for an order or the end of a child; says whether there is an order.
    fn wait(&self) -> bool {
        let control = stdin();
        let mut fds = vec![PollFd::new(&control, PollFlags::IN)];
        fds.extend(
            self.children.handles().map(|handle| PollFd::from_borrowed_fd(handle, PollFlags::IN)),
        );
        let timeout = Timespec { tv_sec: ORPHAN_SECONDS, tv_nsec: 0 };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => !fds[0].revents().is_empty(),
            Err(_) => false,
        }
    }

    fn carry_out(
        &mut self,
        request: Request,
        fds: Vec<OwnedFd>,
    ) -> Result<(Reply, Vec<OwnedFd>), String> {
        let done = || Ok((Reply::Done, Vec::new()));
        match request {
            Request::Spawn(order) => {
                let home = self.network.home(order.place)?;
                let started = self.children.spawn(order, fds, home)?;
                Ok((Reply::Spawned(started.number), vec![started.handle, started.status]))
            }
            Request::Signal { process, signal } => {
                self.children.signal(process, signal)?;
                done()
            }
            Request::SignalMachine { machine, signal } => {
                let home = self.network.home(Place::Machine(machine))?;
                self.children.signal_machine(machine, home, signal)?;
                done()
            }
            Request::Socket { place, domain, kind } => {
                let socket = self.network.socket(place, domain, kind)?;
                Ok((Reply::Done, vec![socket]))
            }
            Request::Cut { machine, cut } => self.network.cut(machine, cut).and_then(|()| done()),
            Request::Heal { machine } => self.network.heal(machine).and_then(|()| done()),
            Request::Route { passes } => network::route(passes).and_then(|()| done()),
            Request::Crossed { site } => {
                let (packets, bytes) = network::crossed(site)?;
                Ok((Reply::Crossed(packets, bytes), Vec::new()))
            }
        }
    }
}
