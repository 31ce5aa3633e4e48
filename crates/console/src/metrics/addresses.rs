//! The families of the addresses. There is no series for each address: which is where, the page and its JSON tell; what is counted here
//! is this machine's part, and how many are nowhere.

use super::families::{counter, gauge};
use super::text::{Kind, Text};
use crate::view::{AddressMember, AddressesView};

/// The stages in which a machine can be.
const STAGES: [&str; 4] = ["away", "gathering", "immature", "running"];

/// Writes everything, if there are addresses.
pub(super) fn write(addresses: Option<&AddressesView>, text: &mut Text) {
    let Some(addresses) = addresses else { return };
    let help = "1 if the service of the addresses answered; if not, its other figures are what it knew last.";
    gauge(text, "backhand_addresses_answers", help, addresses.answers.into());
    this_machine(addresses, text);
    group(addresses, text);
    owned(addresses, text);
    moves(addresses, text);
    air(addresses, text);
    leases(addresses, text);
    hooks(addresses, text);
}

fn this_machine(a: &AddressesView, text: &mut Text) {
    let help = "How far this machine is: it holds addresses while it is running.";
    let mut family = text.family("backhand_addresses_stage", Kind::StateSet, "", help);
    for stage in STAGES {
        family.count(&[("backhand_addresses_stage", stage)], (stage == a.stage).into());
    }
    gauge(text, "backhand_addresses_on_bus", "1 with a session at the bus.", a.on_bus.into());
    gauge(text, "backhand_addresses_healthy", "1 if its checks pass.", a.healthy.into());
    gauge(text, "backhand_addresses_guarded", "1 while a guardian watches.", a.guarded.into());
    let help = "1 if packets are passed on while addresses move.";
    gauge(text, "backhand_addresses_passes_on", help, a.passes_on.into());
    if let Some(majority) = a.majority {
        let help = "1 while a majority of the configured machines is here.";
        gauge(text, "backhand_addresses_quorum", help, majority.into());
    }
}

fn group(a: &AddressesView, text: &mut Text) {
    let help = "Machines in the group, in all and by what is said of them.";
    let count = |is: fn(&AddressMember) -> bool| a.members.iter().filter(|m| is(m)).count() as u64;
    text.family("backhand_addresses_members", Kind::Gauge, "", help)
        .count(&[("which", "all")], a.members.len() as u64)
        .count(&[("which", "mature")], count(|m| m.mature))
        .count(&[("which", "healthy")], count(|m| m.healthy))
        .count(&[("which", "drained")], count(|m| m.drained))
        .count(&[("which", "silent")], count(|m| m.silent));
}

fn owned(a: &AddressesView, text: &mut Text) {
    let here = || a.sets.iter().filter(|set| set.here);
    let nowhere = a.nowhere().count() as u64;
    let moving = a.sets.iter().filter(|set| set.moving_to.is_some()).count() as u64;
    let help = "Sets of addresses: on this machine's interfaces, at nobody here, on their way, and all that are known.";
    text.family("backhand_addresses_sets", Kind::Gauge, "", help)
        .count(&[("which", "here")], here().count() as u64)
        .count(&[("which", "nowhere")], nowhere)
        .count(&[("which", "moving")], moving)
        .count(&[("which", "all")], a.sets.len() as u64);
    let help = "Addresses on this machine's interfaces.";
    let owned = here().map(|set| set.addresses.len() as u64).sum();
    gauge(text, "backhand_addresses_owned", help, owned);
    let help = "Sets that this machine cannot hold now.";
    let unable = a.sets.iter().filter(|set| set.unable.is_some()).count() as u64;
    gauge(text, "backhand_addresses_unable", help, unable);
}

fn moves(a: &AddressesView, text: &mut Text) {
    let help = "Sets that came to this machine or went from it, by reason.";
    let mut family = text.family("backhand_addresses_moves", Kind::Counter, "", help);
    for (direction, counts) in [("came", &a.counters.came), ("went", &a.counters.went)] {
        for (reason, n) in &counts.0 {
            family.count(&[("direction", direction), ("reason", reason)], *n);
        }
    }
}

fn air(a: &AddressesView, text: &mut Text) {
    let c = &a.counters;
    let help = "Announcements of addresses, to whole networks and to single hosts.";
    text.family("backhand_addresses_announcements", Kind::Counter, "", help)
        .count(&[("to", "network")], c.announced)
        .count(&[("to", "host")], c.told);
    let unsent = "Announcements that could not be sent.";
    counter(text, "backhand_addresses_announcements_unsent", unsent, c.unsent);
    let help = "Others heard with an address of ours: members during a move, machines of another part of the cluster, strangers, and \
        whoever had it when it was asked for.";
    let mut family = text.family("backhand_addresses_conflicts", Kind::Counter, "", help);
    for (kind, n) in &c.conflicts.0 {
        family.count(&[("kind", kind)], *n);
    }
    let defended = "Strangers that were answered with a defence.";
    counter(text, "backhand_addresses_defended", defended, c.defended);
    let put_back = "Addresses that somebody else took off and that were put back.";
    counter(text, "backhand_addresses_put_back", put_back, c.put_back);
    let passed = "Packets of connections of the other machine of a move that were passed on to it.";
    counter(text, "backhand_addresses_packets_passed_on", passed, c.passed_on);
    let reset = "Connections reset because their address went.";
    counter(text, "backhand_addresses_connections_reset", reset, c.reset);
}

fn leases(a: &AddressesView, text: &mut Text) {
    let c = &a.counters;
    let missed = "Renewals of leases that were due and not made, since the bus was not fresh.";
    counter(text, "backhand_addresses_renewals_missed", missed, c.renewals_missed);
    let late = "Renewals that came after the lease had run out.";
    counter(text, "backhand_addresses_renewals_late", late, c.renewals_late);
    let gaps = "Times when everything was taken off, since the bus was not fresh after a renewal.";
    counter(text, "backhand_addresses_gaps", gaps, c.gaps);
    let fenced = "Times the guardian took everything off.";
    counter(text, "backhand_addresses_fenced", fenced, c.fenced);
    counter(text, "backhand_addresses_guardians", "Guardians started.", c.guardians);
    let heard = "Last words heard of other machines' guardians: the lease of what they had was not waited for.";
    counter(text, "backhand_addresses_farewells", heard, c.farewells);
    let refused =
        "Datagrams at the port of last words that were none, or that the key does not open.";
    counter(text, "backhand_addresses_farewells_refused", refused, c.farewells_refused);
}

fn hooks(a: &AddressesView, text: &mut Text) {
    let all = &a.counters.hooks;
    let help = "Runs of hooks that have ended.";
    let mut family = text.family("backhand_addresses_hook_runs", Kind::Counter, "", help);
    for hook in all {
        family.count(&[("hook", &hook.name)], hook.runs);
    }
    let help = "Of these, those that failed or were killed.";
    let mut family = text.family("backhand_addresses_hook_failures", Kind::Counter, "", help);
    for hook in all {
        family.count(&[("hook", &hook.name)], hook.failures);
    }
    let help = "How long they took together.";
    let mut family = text.family("backhand_addresses_hook_seconds", Kind::Counter, "seconds", help);
    for hook in all {
        family.number(&[("hook", &hook.name)], hook.seconds);
    }
}
