//! The thread that answers: one desk, one queue, one view at a time.
//!
//! Requests wait in a bounded queue; when it is full the answer is 503 at once, so a flood of status
//! requests costs the flooder and nobody else. The desk samples the figures once per interval whether
//! or not anybody looks, since sparklines need a past.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use balancer::{PageReply, PageRequest, Pages};

use crate::config::{Config, may_see};
use crate::events::Viewers;
use crate::history::History;
use crate::view::StatusView;
use crate::{access, assets, metrics, page};

/// Requests that may wait for the desk.
const QUEUE: usize = 128;
/// A view at most this old is shown again instead of being gathered anew.
const FRESH: Duration = Duration::from_millis(100);

/// Where the figures come from. See [`crate::gather`] for the real one.
pub trait Source: Send + 'static {
    /// Everything as it is now. Trends, rates and recent quantiles may be left empty: the console
    /// fills them in from what it saw before. `decisions` says whether somebody will see the recent
    /// decisions: explaining costs something, so nothing need be explained for nobody.
    fn view(&mut self, decisions: bool) -> StatusView;
}

enum Message {
    Request(PageRequest, PageReply),
    Watch(Box<dyn Source>),
    Stop,
}

/// The internal pages. Give it to the balancer, then tell it what to [`watch`](Self::watch).
#[derive(Debug)]
pub struct Console {
    path: String,
    also: Vec<String>,
    to: SyncSender<Message>,
}

impl Console {
    /// Starts the desk. Until it is told what to watch it answers 503.
    ///
    /// # Errors
    /// The operating system refused a thread.
    pub fn start(config: Config) -> std::io::Result<Arc<Self>> {
        let (to, from) = sync_channel(QUEUE);
        let path = config.path.clone().unwrap_or_default();
        let also = config.metrics.iter().cloned().collect();
        std::thread::Builder::new()
            .name("console".into())
            .spawn(move || Desk::new(config).serve(from))?;
        Ok(Arc::new(Self { path, also, to }))
    }

    /// From now on the pages show what `source` says.
    pub fn watch(&self, source: impl Source) {
        // The desk lives as long as this value, so somebody receives it.
        let _ = self.to.send(Message::Watch(Box::new(source)));
    }

    /// Ends the desk, its viewers and the watching. What it watches may hold this value in turn, so
    /// dropping alone would not end it. Requests that still come are answered 503.
    pub fn stop(&self) {
        // If it has ended already there is nothing to end.
        let _ = self.to.send(Message::Stop);
    }
}

impl Pages for Console {
    fn path(&self) -> &str {
        &self.path
    }

    fn also(&self) -> &[String] {
        &self.also
    }

    fn handle(&self, request: PageRequest, reply: PageReply) {
        let back = match self.to.try_send(Message::Request(request, reply)) {
            Ok(()) => return,
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => back,
        };
        if let Message::Request(_, reply) = back {
            access::busy().send(reply);
        }
    }
}

/// An answer that is complete.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![
            ("content-type".into(), content_type.into()),
            ("cache-control".into(), "no-store".into()),
            ("x-content-type-options".into(), "nosniff".into()),
        ];
        Self { status, headers, body: body.into() }
    }

    pub(crate) fn html(status: u16, page: maud::Markup) -> Self {
        let mut answer = Self::new(status, "text/html; charset=utf-8", page.into_string());
        answer.header("content-security-policy", page::POLICY);
        answer.header("referrer-policy", "no-referrer");
        answer
    }

    pub(crate) fn json<T: serde::Serialize>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::new(200, "application/json", body),
            Err(error) => Self::new(500, "text/plain; charset=utf-8", format!("{error}\n")),
        }
    }

    /// Sets a header field, replacing the one of that name.
    pub(crate) fn header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.into(), value.into()));
    }

    pub(crate) fn send(self, reply: PageReply) {
        reply.whole(self.status, self.headers, self.body);
    }
}

/// A view and when it was gathered.
struct Seen {
    at: Instant,
    decisions: bool,
    view: StatusView,
}

struct Desk {
    config: Config,
    source: Option<Box<dyn Source>>,
    history: History,
    viewers: Viewers,
    view: Option<Seen>,
    tick: Instant,
}

impl Desk {
    fn new(config: Config) -> Self {
        let history = History::new(config.interval);
        let tick = Instant::now();
        Self { config, source: None, history, viewers: Viewers::default(), view: None, tick }
    }

    /// Answers until it is told to stop or nobody can ask any more. The queue ends before what is watched is
    /// let go of, so nobody waits for an answer then.
    fn serve(mut self, from: Receiver<Message>) {
        loop {
            match from.recv_timeout(self.tick.saturating_duration_since(Instant::now())) {
                Ok(Message::Request(request, reply)) => self.answer(&request, reply),
                Ok(Message::Watch(source)) => {
                    self.source = Some(source);
                    self.tick = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
            // Outside of the match: requests without pause must not keep the clock from ticking.
            if Instant::now() >= self.tick {
                self.tick();
            }
        }
    }

    /// Takes a sample and tells those who watch.
    fn tick(&mut self) {
        let now = Instant::now();
        // A machine that was asleep does not catch up: the missed samples are missing.
        self.tick = (self.tick + self.config.interval).max(now);
        let Some(source) = &mut self.source else { return };
        let decisions = self.viewers.any();
        let mut view = source.view(decisions);
        self.history.push(&view, now);
        self.history.fill_in(&mut view);
        self.viewers.show(&view, now);
        self.view = Some(Seen { at: now, decisions, view });
    }

    /// The view for an answer, at most [`FRESH`] old.
    fn view(&mut self, decisions: bool) -> Option<&StatusView> {
        let now = Instant::now();
        let good =
            |seen: &Seen| now.duration_since(seen.at) <= FRESH && (seen.decisions || !decisions);
        if !self.view.as_ref().is_some_and(good)
            && let Some(source) = &mut self.source
        {
            let mut view = source.view(decisions);
            self.history.fill_in(&mut view);
            self.view = Some(Seen { at: now, decisions, view });
        }
        self.view.as_ref().map(|seen| &seen.view)
    }

    fn answer(&mut self, request: &PageRequest, reply: PageReply) {
        if reply.is_unwanted() {
            return;
        }
        if let Some(refusal) = self.refusal(request, request.client) {
            return refusal.send(reply);
        }
        if self.config.metrics.as_deref() == Some(request.path.as_str()) {
            let view = self.view(false);
            return view.map_or_else(access::starting, metrics::answer).send(reply);
        }
        let root = self.config.path.clone().unwrap_or_default();
        let Some(name) = request.path.strip_prefix(&root) else {
            // The path without its last slash: relative links of the page need it.
            let mut moved = Answer::new(308, "text/plain; charset=utf-8", "");
            moved.header("location", &root);
            return moved.send(reply);
        };
        match name {
            "" => {
                let still = request.query == "still";
                self.show(|view, config| Answer::html(200, page::whole(view, config, still)))
            }
            "status.json" => self.show(|view, _| Answer::json(view)),
            "decisions.json" => self.show(|view, _| Answer::json(&view.decisions)),
            "events" if request.method == "HEAD" => Answer::new(200, "text/event-stream", ""),
            "events" => {
                self.view(true);
                let view = self.view.as_ref().map(|seen| &seen.view);
                return self.viewers.admit(reply, view);
            }
            _ => assets::answer(name, request.header("if-none-match"))
                .unwrap_or_else(|| access::not_found(&root)),
        }
        .send(reply);
    }

    fn show(&mut self, render: impl FnOnce(&StatusView, &Config) -> Answer) -> Answer {
        let config = self.config.clone();
        self.view(true).map_or_else(access::starting, |view| render(view, &config))
    }

    fn refusal(&self, request: &PageRequest, client: IpAddr) -> Option<Answer> {
        if !may_see(&self.config, client) {
            return Some(access::forbidden(client));
        }
        if request.method != "GET" && request.method != "HEAD" {
            return Some(access::method_not_allowed());
        }
        None
    }
}
