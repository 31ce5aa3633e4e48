//! The answers that are not pages: not you, not so, not here, not yet.
//!
//! A refusal tells the owner what to change and a stranger nothing about the cluster: no machine, no
//! version, no path other than the one that was asked for.

use std::net::IpAddr;

use crate::console::Answer;
use crate::page;

/// The client's address is not among `status.allow`.
pub(crate) fn forbidden(client: IpAddr) -> Answer {
    let client = client.to_canonical();
    Answer::html(
        403,
        page::notice(
            "Not for this address",
            &format!("The internal pages are not shown to {client}."),
            Some((
                "If this machine is yours, add the address to the list in its configuration and restart it:",
                &format!("[status]\nallow = [\"127.0.0.1\", \"{client}\"]"),
            )),
        ),
    )
}

/// Anything but GET and HEAD.
pub(crate) fn method_not_allowed() -> Answer {
    let body = "the internal pages can only be read: use GET or HEAD\n";
    let mut answer = Answer::new(405, "text/plain; charset=utf-8", body);
    answer.header("allow", "GET, HEAD");
    answer
}

/// A name below the path that no page has.
pub(crate) fn not_found(root: &str) -> Answer {
    let text = format!("The status page is at {root}, its data at {root}status.json.");
    Answer::html(404, page::notice("No such page", &text, None))
}

/// Nothing has been gathered yet.
pub(crate) fn starting() -> Answer {
    let text = "This machine is starting and has nothing to show yet.";
    retry(Answer::html(503, page::notice("One moment", text, None)))
}

/// More requests wait than the desk takes.
pub(crate) fn busy() -> Answer {
    retry(Answer::new(503, "text/plain; charset=utf-8", "too many status requests at once\n"))
}

fn retry(mut answer: Answer) -> Answer {
    answer.header("retry-after", "1");
    answer
}
