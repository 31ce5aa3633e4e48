//! The head of the page: which machine answers, and what to know first.

use maud::{Markup, html};

use super::figures;
use crate::view::StatusView;

/// Which machine answers, and whether the page is live.
pub(super) fn banner(view: &StatusView) -> Markup {
    html! {
        header #banner {
            (mark())
            div.who {
                h1 { (view.this) }
                p {
                    "Backhand " (view.version) " · up " (figures::uptime(view.uptime_seconds))
                    @if view.draining { " · " strong.tone-warn { "draining" } }
                }
            }
        }
        // Not part of the banner: the script alone knows whether events arrive.
        p #live role="status" hidden { "connecting" }
    }
}

/// What a reader should know before the figures.
pub(super) fn warnings(view: &StatusView) -> Markup {
    html! {
        div #warnings {
            @for warning in &view.warnings {
                p.warning { strong { "Note" } " " (warning) }
            }
        }
    }
}

/// The product's mark: a ball that comes in and leaves for where it is best received.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 32 32" aria-hidden="true" focusable="false" {
            path.stroke d="M4 7 C15 7 20 11 20 16 C20 21 15 25 6 25" {}
            path.stroke d="M11 20 L5.5 25 L11 29.5" {}
            circle.dot cx="26" cy="16" r="3" {}
        }
    }
}
