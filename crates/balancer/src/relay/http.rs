//! What the relay keeps of a message's head. The reading itself is `http1`'s.

use std::net::IpAddr;

use candidacy::{Report, RequestView};
use http1::{Asked, Decoder, Delivery, Fields, Limits, Name, RequestHead, ResponseHead, Scan};

use super::conn::Entry;
use crate::pages::{PageRequest, is_internal};
use crate::worker::Worker;
use crate::worker::decision::Plan;

/// The mark of a request that was balanced already; its value is the true client.
const PROXIED: &[u8] = b"backhand-proxied";
/// The promise that the request makes use of.
const RESERVATION: &[u8] = b"backhand-reservation";
/// What a machine says of itself with a response.
const REPORT: &[u8] = b"backhand-report";
/// A machine's own refusal, which lets the entry try another.
const REFUSED: &[u8] = b"backhand-refused";
/// Its value when the service behind may have begun.
pub(crate) const FAILED: &[u8] = b"failed";

/// Why a request is refused before it is one.
#[derive(Clone, Debug)]
pub(crate) struct Rejected {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Rejected {
    /// The head did not come in time.
    pub(crate) fn too_slow() -> Self {
        Self { status: 408, text: "The request's head came too slowly.".into() }
    }
}

impl From<http1::Reject> for Rejected {
    fn from(reject: http1::Reject) -> Self {
        Self { status: reject.status(), text: format!("Refused: {reject}.") }
    }
}

/// A request: what was understood of its head, and what was decided.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) head: RequestHead,
    pub(crate) fields: Box<Fields>,
    pub(crate) is_head: bool,
    pub(crate) is_idempotent: bool,
    pub(crate) version_11: bool,
    /// The client wants the connection to go on.
    pub(crate) keep: bool,
    /// Its body, if it has one.
    pub(crate) body: Option<Decoder>,
    /// The true client, by the word of the peer that passed it on.
    pub(crate) marked_client: Option<IpAddr>,
    pub(crate) reservation: Option<u32>,
    /// It is for the internal pages.
    pub(crate) internal: bool,
    /// What was decided about it when it was read.
    pub(crate) plan: Option<Plan>,
    /// Whether this machine decides about it, rather than a peer having done so.
    pub(crate) is_ours: bool,
}

/// A head as routes and candidacy functions see it.
pub(crate) struct Head<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) head: &'a RequestHead,
    pub(crate) fields: &'a Fields,
}

impl RequestView for Head<'_> {
    fn host(&self) -> &[u8] {
        self.head.host.map_or(&[], |host| host.of(self.bytes))
    }
    fn target(&self) -> &[u8] {
        self.head.target.of(self.bytes)
    }
    fn method(&self) -> &[u8] {
        self.head.method.of(self.bytes)
    }
    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields.get(name, self.bytes)
    }
}

impl Request {
    /// The request as routes and functions see it; `bytes` begin with its head.
    pub(crate) fn view<'a>(&'a self, bytes: &'a [u8]) -> Head<'a> {
        Head { bytes, head: &self.head, fields: &self.fields }
    }

    /// Whether a peer has balanced it already.
    pub(crate) fn is_marked(&self) -> bool {
        self.marked_client.is_some()
    }

    fn read_marks(&mut self, bytes: &[u8]) {
        for field in self.fields.iter().filter(|f| f.kind == Name::Backhand) {
            let name = field.name.of(bytes);
            let Ok(value) = std::str::from_utf8(field.value.of(bytes)) else { continue };
            if name.eq_ignore_ascii_case(PROXIED) {
                self.marked_client = value.parse().ok();
            } else if name.eq_ignore_ascii_case(RESERVATION) {
                self.reservation = u32::from_str_radix(value, 16).ok();
            }
        }
    }

    /// The same for the internal pages.
    pub(crate) fn for_page(&self, bytes: &[u8], client: IpAddr) -> PageRequest {
        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        let target = text(self.head.target.of(bytes));
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        PageRequest {
            method: text(self.head.method.of(bytes)),
            path: path.into(),
            query: query.into(),
            headers: self
                .fields
                .iter()
                .map(|f| (text(f.name.of(bytes)), text(f.value.of(bytes))))
                .collect(),
            client,
        }
    }
}

/// Bytes and fields that a machine adds to a head that it passes on: who the client is, marks, reports. Where a peer's are
/// read there is room for them, or a request would fail or not by whom it is given to.
const ADDED_BYTES: usize = 4096;
pub(crate) const ADDED_FIELDS: usize = 16;

/// The longest head that is taken from there.
pub(crate) fn max_head(limit: usize, from: Entry) -> usize {
    if from == Entry::Peer { limit + ADDED_BYTES } else { limit }
}

impl Worker {
    /// Reads a request's head; when it is whole, also finds its route and decides.
    pub(crate) fn parse(
        &self,
        bytes: &[u8],
        (entry, remote): (Entry, IpAddr),
        scan: &mut Scan,
    ) -> Result<Option<Request>, Rejected> {
        let http = &self.config.http;
        let more = if entry == Entry::Peer { ADDED_FIELDS } else { 0 };
        let limits = Limits {
            max_head: max_head(http.max_head, entry),
            max_fields: (http.max_headers + more).min(http1::MAX_FIELDS),
        };
        let mut fields = self.fields.borrow_mut().pop().unwrap_or_default();
        let head = match http1::request::parse(bytes, &limits, scan, &mut fields) {
            Ok(Some(head)) => head,
            other => {
                self.fields.borrow_mut().push(fields);
                return other.map(|_| None).map_err(Rejected::from);
            }
        };
        let body = Decoder::from(head.framing);
        let mut request = Request {
            is_head: head.is_head(bytes),
            is_idempotent: head.is_idempotent(bytes),
            version_11: !head.version_10,
            keep: head.keep_alive,
            body: (!body.is_done()).then_some(body),
            marked_client: None,
            reservation: None,
            internal: false,
            plan: None,
            is_ours: false,
            head,
            fields,
        };
        if entry == Entry::Peer {
            request.read_marks(bytes);
        } else if is_internal(&*self.shared.pages, request.view(bytes).path()) {
            request.internal = true;
            return Ok(Some(request));
        }
        let view = request.view(bytes);
        let route = self.routes.find(&view);
        // One hop is the limit: what a peer passed on is served here or refused.
        let ours = !(request.is_marked() || entry == Entry::Client && self.is_relay(remote));
        let plan = match ours {
            _ if self.forbids(&request, bytes, route, (entry, remote)) => self.forbid(route),
            false => self.serve_for_peer(route),
            true => self.decide(&view, route, self.now()),
        };
        (request.is_ours, request.plan) = (ours, Some(plan));
        Ok(Some(request))
    }

    /// Takes a request's table of fields back for the next one.
    pub(crate) fn reuse(&self, request: Request) {
        let mut kept = self.fields.borrow_mut();
        if kept.len() < 256 {
            kept.push(request.fields);
        }
    }
}

/// What a peer says when it does not serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has done nothing: it is over its limit, drains, or its service cannot be reached.
    NothingDone,
    /// Its service was given the request and failed before a byte of a response.
    Failed,
}

/// What was understood of a response's head.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) head: ResponseHead,
    /// How its body travels on, and whether the client's connection stays.
    pub(crate) plan: http1::Plan,
    pub(crate) report: Option<Report>,
    pub(crate) refused: Option<Refusal>,
    /// An event stream: it goes on for ever, and is not counted as in flight.
    pub(crate) events: bool,
}

impl Response {
    /// Reads a response's head into `fields`.
    pub(crate) fn read(
        bytes: &[u8],
        request: &Request,
        may_stay: bool,
        limits: &Limits,
        scan: &mut Scan,
        fields: &mut Fields,
    ) -> Result<Option<Self>, http1::Reject> {
        let asked = Asked { head: request.is_head, upgrade: request.head.upgrade };
        let parsed = http1::response::parse(bytes, asked, limits, scan, fields)?;
        let Some(head) = parsed else { return Ok(None) };
        let plan = http1::persistence::plan(&request.head, &head, may_stay, true);
        let mut response = Self { head, plan, report: None, refused: None, events: false };
        for field in fields.iter().filter(|f| f.kind == Name::Backhand) {
            let name = field.name.of(bytes);
            if name.eq_ignore_ascii_case(REPORT) {
                response.report = Report::from_text(field.value.of(bytes));
            } else if name.eq_ignore_ascii_case(REFUSED) {
                response.refused = Some(match field.value.of(bytes) {
                    FAILED => Refusal::Failed,
                    _ => Refusal::NothingDone,
                });
            }
        }
        if head.framing == http1::response::Framing::Chunked
            || head.framing == http1::response::Framing::UntilClose
        {
            let kind = fields.first(Name::ContentType, bytes).unwrap_or_default();
            response.events =
                kind.get(..17).is_some_and(|k| k.eq_ignore_ascii_case(b"text/event-stream"));
        }
        Ok(Some(response))
    }

    /// Whether the client knows the end of the body by that of its connection.
    pub(crate) fn ends_with_connection(&self) -> bool {
        match self.plan.delivery {
            Delivery::AsItCame => self.head.framing == http1::response::Framing::UntilClose,
            Delivery::Unchunk => true,
            Delivery::Chunk => false,
        }
    }

    /// Its body, if it has one.
    pub(crate) fn body(&self) -> Option<Decoder> {
        let body = Decoder::from(self.head.framing);
        (!body.is_done()).then_some(body)
    }
}
