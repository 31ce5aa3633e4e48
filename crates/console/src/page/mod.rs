//! The status page: HTML that is complete without JavaScript.
//!
//! Every part that changes is an element with an id, rendered by one function; [`whole`] puts them into
//! the page and [`parts`] hands them to the event stream, so what is live is what was loaded.
//!
//! All text passes through maud, which escapes it; nothing here is ever marked as already escaped. The
//! content security policy forbids inline script and style, so even an escape that failed could not run.

mod addresses;
mod banner;
mod bus;
mod decisions;
mod figures;
mod machines;
mod routes;
mod spark;
mod tiles;
mod totals;

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, html};

use crate::config::Config;
use crate::view::StatusView;

/// Names below the path that are answered, besides the page itself.
pub(crate) const NAMES: [&str; 7] =
    ["", "status.json", "decisions.json", "events", "status.css", "status.js", "icon.svg"];

/// What the page may load and do: its own files, nothing inline, nobody may frame it.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Seconds between reloads for a browser without JavaScript.
const RELOAD_SECONDS: u32 = 10;

/// The whole page. `still` asks for one that never reloads by itself.
pub(crate) fn whole(view: &StatusView, config: &Config, still: bool) -> Markup {
    let title = format!("{} – Backhand", view.this);
    let content = html! {
        (banner::banner(view))
        main {
            (banner::warnings(view))
            (tiles::tiles(view))
            section aria-labelledby="machines-title" {
                h2 id="machines-title" { "Machines" }
                (machines::table(view))
            }
            section aria-labelledby="routes-title" {
                h2 id="routes-title" { "Routes" }
                (routes::table(view))
            }
            (addresses::section(view))
            (bus::section(view))
            section aria-labelledby="decisions-title" {
                h2 id="decisions-title" { "Recent decisions" }
                p.lead { "Why each request went where it went: who came in, who went out, who won. A sample: at most 50 a second." }
                (decisions::list(view))
            }
            section aria-labelledby="totals-title" {
                h2 id="totals-title" { "Since the start" }
                (totals::totals(view))
            }
        }
        footer {
            nav aria-label="Data" {
                a href="status.json" { "All of this as JSON" }
                a href="decisions.json" { "Decisions as JSON" }
                @if let Some(metrics) = &config.metrics {
                    a href=(metrics) { "Metrics" }
                }
            }
            noscript {
                p {
                    @if still { a href="?" { "Reload by itself" } }
                    @else {
                        "Without JavaScript this page reloads every " (RELOAD_SECONDS) " seconds. "
                        a href="?still" { "Hold it still" }
                    }
                }
            }
        }
    };
    let head = html! {
        link rel="icon" href="icon.svg" type="image/svg+xml";
        link rel="stylesheet" href="status.css";
        @if !still {
            noscript { meta http-equiv="refresh" content=(RELOAD_SECONDS); }
        }
        script src="status.js" defer {}
    };
    document(&title, &head, &content)
}

/// The parts that change, by the id of their element.
pub(crate) fn parts(view: &StatusView) -> BTreeMap<&'static str, String> {
    let render = |markup: Markup| markup.into_string();
    let mut parts = BTreeMap::from([
        ("banner", render(banner::banner(view))),
        ("warnings", render(banner::warnings(view))),
        ("tiles", render(tiles::tiles(view))),
        ("machines", render(machines::rows(view))),
        ("routes", render(routes::rows(view))),
        ("decisions", render(decisions::list(view))),
        ("totals", render(totals::totals(view))),
    ]);
    if let Some(addresses) = &view.addresses {
        parts.insert("addresses", render(addresses::map(addresses)));
        parts.insert("address-list", render(addresses::list(addresses)));
        parts.insert("address-decisions", render(addresses::decisions(addresses)));
    }
    if view.bus.is_some() {
        parts.insert("bus", render(bus::part(view)));
    }
    parts
}

/// A page that says one thing, for refusals. It names no file of the real page, which the client may not
/// be allowed to load either.
pub(crate) fn notice(title: &str, text: &str, remedy: Option<(&str, &str)>) -> Markup {
    let content = html! {
        main.notice {
            h1 { (title) }
            p { (text) }
            @if let Some((say, code)) = remedy {
                p { (say) }
                pre { code { (code) } }
            }
        }
    };
    document(title, &html! {}, &content)
}

fn document(title: &str, head: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                (head)
            }
            body { (content) }
        }
    }
}
