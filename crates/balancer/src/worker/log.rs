//! The record of a request, when it is over.

use base::Instant;
use candidacy::{RequestView, RouteId};

use super::Worker;
use crate::access_log::Record;
use crate::relay::conn::{Conn, Entry};
use crate::relay::http::{Rejected, Request};
use crate::relay::request::Trace;

impl Worker {
    /// Leaves one record, if the log wants it.
    pub(crate) fn log(
        &self,
        conn: &Conn,
        request: &Request,
        (status, bytes): (u16, u64),
        trace: &Trace,
        begun: Instant,
    ) {
        let (head, client) = (conn.head.bytes(), conn.client);
        let mut recorder = self.recorder.borrow_mut();
        let peer = conn.entry == Entry::Peer;
        if !recorder.is_on() || peer && !recorder.wants_peers() {
            return;
        }
        let now = self.now();
        let snapshot = self.snapshot();
        let machine = trace.machine.and_then(|slot| snapshot.machine(candidacy::Slot(slot)));
        let view = request.view(head);
        let record = Record {
            client,
            method: view.method(),
            target: view.target(),
            version: u8::from(request.version_11),
            host: request.head.host.map(|host| host.of(head)),
            status,
            bytes,
            referer: view.header(b"referer"),
            user_agent: view.header(b"user-agent"),
            duration: now.since(begun),
            machine: machine.map_or("", |m| m.name.as_str()),
            decision: trace.reason,
            information_age: trace.age,
            attempts: trace.attempts,
            route: if request.internal {
                ""
            } else {
                &self.routes.get(RouteId(trace.route as u16)).name
            },
            peer,
        };
        recorder.record(&record, now);
    }
}

impl Conn {
    /// Leaves a record of something that was not a request.
    pub(crate) fn log_reject(&self, reject: &Rejected) {
        let mut recorder = self.w.recorder.borrow_mut();
        if !recorder.is_on() || self.entry == Entry::Peer {
            return;
        }
        let now = self.w.now();
        let record = Record {
            client: self.remote,
            method: b"",
            target: b"",
            version: 1,
            host: None,
            status: reject.status,
            bytes: 0,
            referer: None,
            user_agent: None,
            duration: std::time::Duration::ZERO,
            machine: "",
            decision: "",
            information_age: None,
            attempts: 0,
            route: "",
            peer: false,
        };
        recorder.record(&record, now);
    }
}
