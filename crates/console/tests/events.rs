//! The event stream as a browser reads it.
#![allow(clippy::unwrap_used)] // A failed unwrap in a helper of tests is a failed test with its line.

mod sample;
mod support;

use std::collections::BTreeMap;

use balancer::pages::PageBody;
use console::Console;
use sample::Sample;
use support::{ask, console, request};

fn stream(console: &Console) -> tokio::sync::mpsc::Receiver<bytes::Bytes> {
    let head = ask(console, request("GET", "/backhand/events", "127.0.0.1"));
    assert_eq!(head.status, 200);
    assert!(head.headers.contains(&("content-type".into(), "text/event-stream".into())));
    assert!(head.headers.contains(&("cache-control".into(), "no-store".into())));
    match head.body {
        PageBody::Stream(chunks) => chunks,
        PageBody::Whole(body) => panic!("no stream but {body:?}"),
    }
}

/// Events as section 9.2.6 of the HTML standard interprets a stream: (type, data).
fn events(stream: &str) -> Vec<(String, String)> {
    let mut events = Vec::new();
    let (mut kind, mut data) = (String::new(), Vec::new());
    for line in stream.split('\n') {
        assert!(!line.contains('\r'));
        if line.is_empty() {
            if !data.is_empty() {
                events.push((std::mem::take(&mut kind), data.join("\n")));
                data.clear();
            }
            continue;
        }
        match line.split_once(':').unwrap_or((line, "")) {
            ("event", value) => kind = value.trim_start().into(),
            ("data", value) => data.push(value.trim_start().to_owned()),
            ("retry", value) => assert!(value.trim().parse::<u32>().is_ok()),
            ("", _) => {}
            (field, _) => panic!("an unknown field {field:?}"),
        }
    }
    events
}

fn next(chunks: &mut tokio::sync::mpsc::Receiver<bytes::Bytes>) -> BTreeMap<String, String> {
    let chunk = chunks.blocking_recv().unwrap();
    let all = events(std::str::from_utf8(&chunk).unwrap());
    let [(kind, data)] = &all[..] else { panic!("{all:?}") };
    assert_eq!(kind, "parts");
    serde_json::from_str(data).unwrap()
}

#[test]
fn a_stream_begins_with_everything_and_goes_on_with_what_changed() {
    let console = console(Sample::new(5));
    let mut chunks = stream(&console);
    let first = next(&mut chunks);
    let names = [
        "address-decisions",
        "address-list",
        "addresses",
        "banner",
        "bus",
        "decisions",
        "machines",
        "routes",
        "tiles",
        "totals",
        "warnings",
    ];
    assert_eq!(first.keys().collect::<Vec<_>>(), names);
    for (id, html) in &first {
        assert!(html.contains(&format!(" id=\"{id}\"")), "{id} has no element of its own: {html}");
    }
    // The second brings everything once more to all viewers; from the third on only what changed.
    next(&mut chunks);
    let third = next(&mut chunks);
    assert!(
        third.contains_key("machines") && !third.contains_key("warnings"),
        "{:?}",
        third.keys()
    );
}

#[test]
fn the_parts_are_those_of_the_page() {
    let console = console(support::Fixed(console::Source::view(&mut Sample::new(5), true)));
    let page = support::get(&console, "/backhand/").body;
    for (id, html) in next(&mut stream(&console)) {
        // Samples are taken meanwhile, so figures of trends may differ; the element may not.
        let begin = &html[..html.find('>').unwrap()];
        assert!(page.contains(begin), "{id}: {begin}");
    }
}

#[test]
fn viewers_are_limited_and_their_places_are_given_back() {
    let console = console(Sample::new(5));
    let mut all: Vec<_> = (0..64).map(|_| stream(&console)).collect();
    let refused = ask(&console, request("GET", "/backhand/events", "127.0.0.1"));
    assert_eq!(refused.status, 503);
    all.pop();
    assert_eq!(ask(&console, request("GET", "/backhand/events", "127.0.0.1")).status, 200);
}
