//! What was counted since the start, in groups that belong together.

use maud::{Markup, html};

use super::figures::{bytes, count};
use crate::view::StatusView;

/// The groups: the part that changes.
pub(super) fn totals(view: &StatusView) -> Markup {
    let (c, cluster) = (&view.totals.counters, &view.totals.cluster);
    html! {
        div #totals {
            (group("Requests", &[
                ("from clients", count(c.requests)),
                ("from peers", count(c.peer_requests)),
                ("answered 2xx", count(c.status_2xx)),
                ("answered 3xx", count(c.status_3xx)),
                ("answered 4xx", count(c.status_4xx)),
                ("answered 5xx", count(c.status_5xx)),
                ("malformed heads", count(c.rejected)),
                ("not for their address", count(c.forbidden)),
                ("to clients", bytes(c.bytes_out)),
                ("from clients", bytes(c.bytes_in)),
            ]))
            (group("Decisions", &[
                ("served here", count(c.decided_here)),
                ("passed on", count(c.decided_proxy)),
                ("redirected", count(c.decided_redirect)),
                ("refused", count(c.decided_refused)),
                ("machines asked first", count(c.asked)),
                ("asked, no answer", count(c.asked_silent)),
                ("freshness probes", count(c.probes)),
                ("reports in responses", count(c.reports)),
            ]))
            (group("Failures", &[
                ("tried again elsewhere", count(c.retries)),
                ("no budget to retry", count(c.retries_denied)),
                ("refused by a peer", count(c.peer_refused)),
                ("moved off a dead machine", count(c.moved_by_death)),
                ("failed for good", count(c.failed)),
                ("over the limit", count(c.over_limit)),
                ("machines ejected", count(c.ejections)),
                ("log records lost", count(c.log_lost)),
            ]))
            (group("Connections", &[
                ("clients now", count(c.open)),
                ("clients so far", count(c.accepted)),
                ("peers now", count(c.peers_in)),
                ("opened by us", count(c.connects)),
                ("taken from the pool", count(c.pool_hits)),
                ("resting in the pool", count(c.pool_idle)),
                ("streams and upgrades", count(c.tunnels)),
                ("too slow, closed", count(c.timed_out)),
            ]))
            (group("Cluster", &[
                ("announcements sent", count(cluster.announcement_packets_sent)),
                ("could not be sent", count(cluster.announcement_packets_unsent)),
                ("before their time", count(cluster.announcements_early)),
                ("accepted", count(cluster.heard)),
                ("datagrams refused", count(refused(cluster))),
                ("machines admitted", count(cluster.admitted)),
                ("machines found dead", count(cluster.deaths)),
                ("probes answered", count(cluster.answered)),
            ]))
        }
    }
}

/// Reasons of which a healthy cluster gives plenty: its own multicast, the same word by two ways, the first
/// word of a new machine, a late answer.
const USUAL: [&str; 4] = ["own", "duplicate", "unadmitted", "unasked"];

/// Datagrams that changed nothing and should not have come; the metrics tell them apart.
fn refused(stats: &resources::Stats) -> u64 {
    stats.each_refused().filter(|(why, _)| !USUAL.contains(why)).map(|(_, n)| n).sum()
}

fn group(name: &str, rows: &[(&str, String)]) -> Markup {
    html! {
        div.group {
            h3 { (name) }
            dl { @for (label, value) in rows { div { dt { (label) } dd { (value) } } } }
        }
    }
}
