//! Asking the console as the balancer does.
#![allow(dead_code)] // Each test uses a part of it.
#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

use std::sync::Arc;
use std::time::{Duration, Instant};

use balancer::pages::{PageBody, PageHead};
use balancer::{PageReply, PageRequest, Pages};
use console::{Config, Console, Source, StatusView};

/// A source that always says the same.
pub(crate) struct Fixed(pub(crate) StatusView);

impl Source for Fixed {
    fn view(&mut self, _: bool) -> StatusView {
        self.0.clone()
    }
}

pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
}

pub(crate) fn console(source: impl Source) -> Arc<Console> {
    let interval = Config::INTERVAL_MIN;
    let console = Console::start(Config { interval, ..Config::default() }).unwrap();
    console.watch(source);
    console
}

pub(crate) fn request(method: &str, target: &str, client: &str) -> PageRequest {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    PageRequest {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers: Vec::new(),
        client: client.parse().unwrap(),
    }
}

pub(crate) fn ask(console: &Console, request: PageRequest) -> PageHead {
    let (reply, head) = PageReply::new();
    console.handle(request, reply);
    head.blocking_recv().expect("every request is answered")
}

pub(crate) fn whole(console: &Console, request: PageRequest) -> Got {
    let head = ask(console, request);
    let PageBody::Whole(body) = head.body else { panic!("a stream where a page was expected") };
    let body = String::from_utf8(body.to_vec()).unwrap();
    Got { status: head.status, headers: head.headers, body }
}

pub(crate) fn get(console: &Console, target: &str) -> Got {
    whole(console, request("GET", target, "127.0.0.1"))
}

/// Waits until `done`, or fails after five seconds.
pub(crate) fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(5), "it did not happen");
        std::thread::yield_now();
    }
}
