//! The hub: first process of the lab, owner of its switch and parent of all that runs in it.
//!
//! One thread, one loop: an order from the caller, or the end of a child. It ends when the caller closes the control
//! socket or dies, and takes everything along: as first process of a process namespace by dying, otherwise by killing
//! what it has started and what was left to it.

mod building;
mod cable;
mod children;
mod folders;
mod home;
mod netlink;
mod network;
mod tables;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, set_child_subreaper, set_parent_process_death_signal};
use rustix::stdio::stdin;

use crate::chore::Chore;
use crate::one::Which;
use crate::sockets::Place;
use crate::wire::{self, MAX_FDS, Reply, Request, Setup};
use building::BuildError;
use children::Children;
use network::Network;

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
            Request::SignalAlone { process, signal } => {
                self.children.signal_alone(process, signal)?;
                done()
            }
            Request::SignalPlace { place, signal } => {
                let home = self.network.home(place)?;
                self.children.signal_place(place, home, signal)?;
                done()
            }
            Request::SignalOne { place, which, signal } => {
                self.signal_one(place, &which, signal)?;
                done()
            }
            Request::Sockets { place, domain, kind, protocol, count } => {
                let kind = (domain, kind, protocol);
                let sockets = self.network.sockets(place, kind, count.min(MAX_FDS))?;
                Ok((Reply::Done, sockets))
            }
            Request::Cut { place, network, cut } => {
                self.network.cut(place, network, cut)?;
                done()
            }
            Request::Heal { place, network } => {
                self.network.heal(place, network)?;
                done()
            }
            Request::Part { network, groups } => {
                self.network.part(network, &groups)?;
                done()
            }
            Request::Chore { place, chore } => match self.chore(place, chore)? {
                Some(list) => Ok((Reply::Listed, vec![list])),
                None => done(),
            },
            Request::Route { passes } => network::route(passes).and_then(|()| done()),
            Request::Crossed { site } => {
                let (packets, bytes) = network::crossed(site)?;
                Ok((Reply::Crossed(packets, bytes), Vec::new()))
            }
        }
    }

    /// Carries out an order about the inside of a place; the list it was for, if it was for one.
    fn chore(&mut self, place: Place, chore: Chore) -> Result<Option<OwnedFd>, String> {
        let network = &mut self.network;
        match chore {
            Chore::RemoveCable { network: which } => {
                network.remove_cable(place, which).map(|()| None)
            }
            Chore::AddCable { network: which } => network.add_cable(place, which).map(|()| None),
            Chore::Neighbours => network.inside(place, tables::neighbours).map(Some),
            Chore::Addresses => network.inside(place, tables::addresses).map(Some),
            Chore::Links => network.inside(place, tables::links).map(Some),
            other => network.inside(place, || change(other)).map(|()| None),
        }
    }

    fn signal_one(&mut self, place: Place, which: &Which, signal: i32) -> Result<(), String> {
        let file =
            match which {
                // Read in the place's own folders, which may be private.
                Which::PidFile(path) => Some(self.network.in_all_of(place, || {
                    std::fs::read_to_string(path).map_err(|e| e.to_string())
                })?),
                Which::Named(_) | Which::Saying(_) => None,
            };
        let home = self.network.home(place)?;
        children::signal_one(home, which, file.as_deref(), signal)
    }
}

/// Changes something in the network in which the hub is.
fn change(chore: Chore) -> Result<(), String> {
    match chore {
        Chore::FlushNeighbours => tables::flush_neighbours(),
        Chore::AddAddress { interface, address, prefix, valid } => {
            tables::add_address(&interface, address, prefix, valid)
        }
        Chore::DeleteAddress { interface, address } => tables::delete_address(&interface, address),
        Chore::Rename { from, to } => tables::rename(&from, &to),
        Chore::SetUp { interface, up } => tables::set_up(&interface, up),
        Chore::Sysctl { name, value } => tables::set_sysctl(&name, &value),
        other => Err(format!("{other:?} is no change")),
    }
}
