//! Those who watch: server-sent events with the rendered parts of the page.
//!
//! Each event is one line of JSON: the parts of the page that changed, by the id of the element they
//! replace. The HTML is the one the page itself was made of, so the script needs to know nothing
//! about machines or routes.
//!
//! Nothing is rendered while nobody watches. A large cluster is rendered less often, so that one viewer
//! costs at most about [`BYTES_PER_SECOND`]. A viewer who reads too slowly is let go and comes back by
//! itself, which begins with everything anew: so no backlog can grow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use balancer::{PageReply, PageStream};

use crate::access;
use crate::page;
use crate::view::StatusView;

/// Most viewers at once.
const VIEWERS: usize = 64;
/// What one viewer's stream may carry on average, before the interval is stretched.
const BYTES_PER_SECOND: usize = 256 * 1024;
/// How long a browser waits before it connects again, in milliseconds.
const RETRY_MS: u32 = 1000;

/// Everybody who watches now.
#[derive(Debug, Default)]
pub(crate) struct Viewers {
    streams: Vec<PageStream>,
    shown: BTreeMap<&'static str, String>,
    next: Option<Instant>,
}

impl Viewers {
    /// Begins a stream with the whole page, or refuses it.
    pub(crate) fn admit(&mut self, reply: PageReply, view: Option<&StatusView>) {
        self.streams.retain(|stream| !stream.is_gone());
        let Some(view) = view else { return access::starting().send(reply) };
        if self.streams.len() >= VIEWERS {
            return access::busy().send(reply);
        }
        let headers = [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            // nginx in front of us would hold events back otherwise.
            ("x-accel-buffering", "no"),
        ];
        let headers = headers.map(|(name, value)| (name.into(), value.into()));
        let stream = reply.stream(200, headers.into());
        // The next event brings every part to everybody: then all have seen the same.
        self.shown.clear();
        let parts = page::parts(view);
        let hello = format!("retry: {RETRY_MS}\n{}", frame(&parts.iter().collect()));
        if stream.send(hello).is_ok() {
            self.streams.push(stream);
        }
    }

    /// Whether somebody watches.
    pub(crate) fn any(&mut self) -> bool {
        self.streams.retain(|stream| !stream.is_gone());
        !self.streams.is_empty()
    }

    /// Sends what changed since the last event to all.
    pub(crate) fn show(&mut self, view: &StatusView, now: Instant) {
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        if !self.any() {
            self.shown.clear();
            return;
        }
        let parts = page::parts(view);
        let changed: BTreeMap<_, _> =
            parts.iter().filter(|(id, html)| self.shown.get(*id) != Some(*html)).collect();
        // An empty comment finds out whether the viewer is still there.
        let event = if changed.is_empty() { ":\n\n".into() } else { frame(&changed) };
        self.next = Some(now + pause(event.len()));
        self.streams.retain(|stream| stream.send(event.clone()).is_ok());
        self.shown = parts;
    }
}

/// How long to wait after an event of this size, beyond the usual interval.
fn pause(bytes: usize) -> Duration {
    // A small event is no reason to wait at all: the sampling interval rules.
    if bytes <= BYTES_PER_SECOND / 8 {
        return Duration::ZERO;
    }
    Duration::from_secs_f64(bytes as f64 / BYTES_PER_SECOND as f64)
}

/// One event in the format of the HTML standard, section 9.2. JSON has no raw line ends, so the data is
/// one line whatever the parts contain.
fn frame(parts: &BTreeMap<&&'static str, &String>) -> String {
    let data = serde_json::to_string(parts).unwrap_or_else(|_| "{}".into());
    format!("event: parts\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use balancer::pages::{PageBody, STREAM_BACKLOG};

    #[test]
    fn an_event_is_one_line_of_data_whatever_it_carries() {
        let html = "<p>a\nb\r\ndata: x\n\nevent: evil\u{2028}</p>".to_owned();
        let text = frame(&BTreeMap::from([(&"totals", &html)]));
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines[0], "event: parts");
        assert_eq!(&lines[2..], ["", ""]);
        let data: BTreeMap<String, String> =
            serde_json::from_str(lines[1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["totals"], html);
    }

    #[test]
    fn a_viewer_who_does_not_read_is_let_go() {
        let (mut viewers, mut view) = (Viewers::default(), StatusView::default());
        let [slow, quick] = [(); 2].map(|()| {
            let (reply, head) = PageReply::new();
            viewers.admit(reply, Some(&view));
            head.blocking_recv().unwrap().body
        });
        let PageBody::Stream(mut slow) = slow else { panic!("{slow:?}") };
        let PageBody::Stream(mut quick) = quick else { panic!("{quick:?}") };
        for n in 0..STREAM_BACKLOG + 10 {
            view.this = format!("name {n}");
            viewers.show(&view, Instant::now());
            assert!(quick.try_recv().is_ok());
        }
        let mut taken = 0;
        while slow.try_recv().is_ok() {
            taken += 1;
        }
        assert_eq!((taken, slow.is_closed()), (STREAM_BACKLOG, true));
        assert!(viewers.any() && !quick.is_closed());
    }

    #[test]
    fn large_pages_are_sent_less_often() {
        assert_eq!(pause(8_000), Duration::ZERO);
        assert_eq!(pause(BYTES_PER_SECOND * 3), Duration::from_secs(3));
    }
}
