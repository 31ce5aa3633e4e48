//! The metrics page: the same view in the OpenMetrics text format, version 1.0.
//!
//! Each machine reports what it sees: its own counters, and its own view of each other machine (condition,
//! requests in flight, turnaround). Facts about a machine's hardware are reported by that machine alone,
//! or a cluster of a thousand would be scraped a million times.

mod addresses;
mod bus;
mod families;
mod text;

use crate::console::Answer;
use crate::view::StatusView;

/// The media type that the format's specification names.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The whole exposition.
pub(crate) fn answer(view: &StatusView) -> Answer {
    Answer::new(200, CONTENT_TYPE, exposition(view))
}

/// The text of the exposition, ending with `# EOF`.
pub(crate) fn exposition(view: &StatusView) -> String {
    let mut text = text::Text::default();
    families::write(view, &mut text);
    bus::write(view.bus.as_ref(), &mut text);
    addresses::write(view.addresses.as_ref(), &mut text);
    text.finish()
}
