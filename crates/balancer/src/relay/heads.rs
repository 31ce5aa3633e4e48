//! The heads that are sent on, with what this hop has to say: to whoever serves the request, and back to the
//! client.

use std::io::Write;

use candidacy::{Flags, Report};
use http1::Fields;
use http1::forward::{self, Back, Forwarding, Onward};

use super::conn::{Conn, Entry};
use super::http::{Request, Response};
use crate::worker::Worker;

impl Conn {
    /// Writes the request's head for whoever serves it. `mark` is for one that believes marks: the reservation
    /// to use, or 0.
    pub(crate) fn onward(&self, request: &Request, mark: Option<u32>, out: &mut Vec<u8>) {
        let mut lines = self.w.lines.borrow_mut();
        lines.clear();
        if let Some(reservation) = mark {
            // Writing to memory cannot fail.
            let _ = write!(lines, "backhand-proxied: {}\r\n", self.client);
            if reservation != 0 {
                let _ = write!(lines, "backhand-reservation: {reservation:08x}\r\n");
            }
        }
        let forwarding = match self.entry {
            Entry::Client if self.w.config.http.trusted.contains(self.remote) => Forwarding::Append,
            // The machine that the client came to has written them.
            Entry::Peer => Forwarding::Keep,
            Entry::Client if self.w.is_relay(self.remote) => Forwarding::Keep,
            Entry::Client => Forwarding::Replace,
        };
        let authority = match request.head.host {
            Some(_) => String::new(),
            None => self.stream.local_addr().map_or_else(|| "localhost".into(), |a| a.to_string()),
        };
        let onward = Onward {
            from: self.remote,
            client: self.client,
            proto: "http",
            forwarding,
            authority: &authority,
            lines: &lines,
        };
        forward::request(out, self.head.bytes(), &request.head, &request.fields, &onward);
    }

    /// Writes the response's head for the client. `served_here` says that the local service answered, not a peer.
    pub(crate) fn backward(
        &self,
        served_here: bool,
        request: &Request,
        response: &Response,
        bytes: &[u8],
        fields: &Fields,
        out: &mut Vec<u8>,
    ) {
        let w = &self.w;
        let mut lines = w.lines.borrow_mut();
        lines.clear();
        if self.entry == Entry::Peer && response.head.status >= 200 {
            w.append_report_at_end(&mut lines);
        }
        if served_here && response.head.status >= 200 {
            w.append_served_by(&mut lines);
        }
        w.date.with(|date| {
            let (client_10, plan) = (!request.version_11, response.plan);
            let back = Back { client_10, plan, date, lines: &lines };
            forward::response(out, bytes, &response.head, fields, &back);
        });
    }
}

impl Worker {
    /// Appends the header line that names this machine, where it is wanted.
    pub(crate) fn append_served_by(&self, out: &mut Vec<u8>) {
        if self.config.http.served_by {
            out.extend_from_slice(b"X-Served-By: ");
            out.extend_from_slice(self.shared.resources.name().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends the header line with which this machine tells a peer how it is.
    pub(crate) fn append_report(&self, out: &mut Vec<u8>) {
        write_report(self.shared.resources.local().report(), out);
    }

    /// The same with a response: the request that it answers gives its place back, so this machine is only over its
    /// limit if somebody waits for that place.
    pub(crate) fn append_report_at_end(&self, out: &mut Vec<u8>) {
        let mut report = self.shared.resources.local().report();
        if self.shared.admission.waiting() == 0 {
            report.flags = report.flags.without(Flags::OVER_LIMIT);
        }
        write_report(report, out);
    }
}

fn write_report(report: Report, out: &mut Vec<u8>) {
    out.extend_from_slice(b"backhand-report: ");
    out.extend_from_slice(&report.to_text());
    out.extend_from_slice(b"\r\n");
}
