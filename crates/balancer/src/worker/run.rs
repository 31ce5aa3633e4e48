//! The life of a worker's thread: accept, sweep, drain.
//!
//! ```text
//! Serving ──drain──► Draining: empty the accept queues, close the listeners, let idle connections end
//!                        │ nothing left, or the time is over
//!                        ▼
//!                      Over: cut what is left, end the thread
//! ```

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{broadcast, watch};

use super::accept::{Accepted, Acceptor};
use super::control::{Slot, TICK};
use super::learned::Learned;
use super::vital::spawn_vital;
use super::{Phase, Worker};
use crate::peers::handshake;
use crate::peers::pool::Key;
use crate::peers::warden;
use crate::relay::conn::{Conn, Entry, Next};
use crate::relay::reply::Reply;
use crate::relay::stream::Stream;
use crate::sockets::WorkerSockets;

/// How long a peer may take to introduce itself.
const INTRODUCTION: Duration = Duration::from_secs(2);
/// How long connections that were cut may take to notice.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Runs a worker until it has drained.
pub(crate) async fn run(w: Rc<Worker>, sockets: WorkerSockets) -> io::Result<()> {
    let mut phase = w.shared.phase.clone();
    let mut acceptors = Vec::new();
    for (listeners, entry) in [(sockets.clients, Entry::Client), (sockets.peers, Entry::Peer)] {
        for listener in listeners {
            let acceptor = Acceptor::new(listener)?;
            let task = accept(w.clone(), acceptor, entry, phase.clone());
            acceptors.push(spawn_vital(task));
        }
    }
    spawn_vital(sweep(w.clone()));
    spawn_vital(w.gate.clone().keep_door());
    spawn_vital(warden::watch(w.clone()));
    spawn_vital(warden::connect_ahead(w.clone()));
    spawn_vital(crate::asking::listen(w.clone()));
    spawn_vital(crate::asking::keep_time(w.clone()));
    spawn_vital(deaths(w.clone(), w.shared.deaths.subscribe()));
    spawn_vital(super::parting::watch(w.clone(), w.shared.going.clone()));
    reach(&mut phase, Phase::Draining).await;
    w.phase.set(Phase::Draining);
    // Acceptors see the same change; they empty their queues before they close. Nothing may be counted as the last
    // connection before that.
    for acceptor in acceptors {
        acceptor.await.map_err(io::Error::other)?;
    }
    w.controls.wake_idle();
    let mut look = tokio::time::interval(TICK);
    loop {
        look.tick().await;
        if w.controls.count() == 0 || *phase.borrow() == Phase::Over {
            break;
        }
    }
    w.phase.set(Phase::Over);
    w.controls.end_all();
    let cut = async {
        while w.controls.count() > 0 {
            look.tick().await;
        }
    };
    // Whoever is left after this is waiting for a kernel that does not answer.
    let _ = tokio::time::timeout(LAST_MOMENT, cut).await;
    w.pool.clear();
    w.recorder.borrow_mut().flush();
    Ok(())
}

/// Waits until the phase is at least this one. A supervisor that is gone counts as the last.
pub(crate) async fn reach(phase: &mut watch::Receiver<Phase>, at_least: Phase) {
    let _ = phase.wait_for(|now| *now == at_least || *now == Phase::Over).await;
}

async fn accept(
    w: Rc<Worker>,
    mut acceptor: Acceptor,
    entry: Entry,
    mut phase: watch::Receiver<Phase>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = acceptor.accept() => accepted,
            () = reach(&mut phase, Phase::Draining) => break,
        };
        match accepted {
            Ok(Accepted::Connection(stream, address)) => {
                let made_room = w.stats.counters.made_room.get();
                begin(&w, stream, address, entry);
                if made_room != w.stats.counters.made_room.get() {
                    // Whoever has to go goes before the next one comes.
                    tokio::task::yield_now().await;
                }
            }
            Ok(Accepted::Exhausted) if w.make_room() => tokio::task::yield_now().await,
            Ok(Accepted::Exhausted) => {
                w.turned_away();
                acceptor.turn_away().await;
            }
            Err(error) => {
                tracing::error!(%error, "a listening socket failed and was closed");
                return;
            }
        }
    }
    while let Some((stream, address)) = acceptor.accept_queued() {
        begin(&w, stream, address, entry);
    }
}

/// A place for a client's connection, given back when dropped; `None` if none can be had.
struct Place(Rc<Worker>);

impl Place {
    fn take(w: &Rc<Worker>) -> Option<Self> {
        let place = Self(w.clone());
        if w.shared.room.enter() {
            return Some(place);
        }
        if w.end_longest_idle() {
            return Some(place);
        }
        w.turned_away();
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.shared.room.leave();
    }
}

fn begin(w: &Rc<Worker>, stream: TcpStream, address: std::net::SocketAddr, entry: Entry) {
    let place = match entry {
        Entry::Client => match Place::take(w) {
            None => return,
            place => place,
        },
        // What is kept back is for these too.
        Entry::Peer => None,
    };
    let w = w.clone();
    let stream = Stream::accepted(stream);
    // Counted from here on, so that a drain that begins now waits for it.
    let slot = w.controls.open();
    if entry == Entry::Client {
        slot.set_yields();
        slot.set_idle(true);
    }
    tokio::task::spawn_local(async move {
        let _place = place;
        let counters = &w.stats.counters;
        match entry {
            Entry::Client => {
                counters.accepted.bump();
                counters.open.bump();
                serve(Conn::new(w.clone(), slot, stream, address, entry).await).await;
                counters.open.sub(1);
            }
            Entry::Peer if !w.shared.resources.accepts(address.ip().to_canonical()) => {
                counters.handshakes_refused.bump();
                tracing::debug!(%address, "a peer connection came from an address that is not accepted");
            }
            Entry::Peer => {
                counters.peers_in.bump();
                welcome(&w, slot, stream, address).await;
                counters.peers_in.sub(1);
            }
        }
    });
}

/// Lets a machine prove itself, then serves its requests.
async fn welcome(w: &Rc<Worker>, slot: Slot, stream: Stream, address: std::net::SocketAddr) {
    let mut conn = Conn::new(w.clone(), slot, stream, address, Entry::Peer).await;
    let (me, key) = (w.shared.me(), w.shared.peer_key());
    let proof = handshake::welcome(&mut conn.stream, me, key, &mut conn.inbox, &w.buffers);
    match tokio::time::timeout(INTRODUCTION, proof).await {
        Ok(Ok(_)) => serve(conn).await,
        Ok(Err(error)) => {
            w.stats.counters.handshakes_refused.bump();
            tracing::debug!(%address, %error, "a peer connection was refused");
        }
        Err(_) => {
            w.stats.counters.handshakes_refused.bump();
            tracing::debug!(%address, "a peer connection introduced nobody in time");
        }
    }
}

async fn serve(mut conn: Conn) {
    loop {
        match conn.next().await {
            Next::Request(request) => {
                if !conn.serve(request).await {
                    break;
                }
            }
            Next::Reject(reject) => {
                conn.w.stats.counters.rejected.bump();
                conn.log_reject(&reject);
                let (status, text) = (reject.status, &*reject.text);
                let reply =
                    Reply { status, headers: b"", text, keep: false, old: false, head_only: false };
                // Whoever sent this may not be listening.
                let _ = conn.reply(reply).await;
                break;
            }
            Next::End => break,
        }
    }
    conn.finish().await;
}

/// Moves the requests of machines that die, and forgets their connections.
async fn deaths(w: Rc<Worker>, mut deaths: broadcast::Receiver<resources::Death>) {
    loop {
        match deaths.recv().await {
            Ok(death) => {
                w.pool.forget(Key::Machine(death.slot.0));
                w.count_pool();
                w.controls.died(death.slot.0);
            }
            // More died than anybody could tell: whoever waits finds out by his own deadline.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Looks at deadlines and at what else is due some times a second.
async fn sweep(w: Rc<Worker>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0u32;
    let mut learned = Learned::default();
    loop {
        tick.tick().await;
        let now = w.now();
        w.controls.sweep(now.as_nanos());
        w.recorder.borrow_mut().tick(now);
        count = count.wrapping_add(1);
        if count.is_multiple_of(20) {
            warden::expire(&w, now);
            learned.update(&w);
        }
    }
}
