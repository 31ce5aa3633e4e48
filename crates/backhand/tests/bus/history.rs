//! What clients of real daemons were told, judged by the checker that judges the simulated ones.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Instant;

use simulator::bus::groups::Client;
use simulator::bus::groups::checks::{self, Told};
use simulator::bus::groups::client::{Deed, Item};
use spread_client::GroupName;

use crate::cluster::NAMES;

/// All clients' times are counted from here.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// All that one session did and was told. Messages in it name their senders by the numbers of sessions.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// Its number, unlike all others.
    pub(crate) session: u32,
    pub(crate) client: Client,
}

impl Trace {
    /// A session that joins this group.
    pub(crate) fn new(session: u32, name: GroupName, group: GroupName) -> Self {
        LazyLock::force(&BEGIN);
        let mut client = Client::new(0, name, true);
        client.deeds.push(Deed::Join(group));
        Self { session, client }
    }

    /// It is told something now.
    pub(crate) fn hear(&mut self, item: Item) {
        let at = BEGIN.elapsed().as_nanos() as u64;
        self.client.heard.push((base::Instant::from_nanos(at), item));
    }
}

/// Checks everything, of daemons with the usual list.
///
/// # Errors
/// The first thing that cannot be.
pub(crate) fn check(traces: &[Trace]) -> Result<(), String> {
    let names: Vec<Vec<u8>> = NAMES.map(|name| name.as_bytes().to_vec()).to_vec();
    check_ordered(Some(&names), traces)
}

/// As [`check`], of daemons in this order; in the order of their bytes if it is empty; in any if there is none.
///
/// # Errors
/// The first thing that cannot be.
pub(crate) fn check_ordered(order: Option<&[Vec<u8>]>, traces: &[Trace]) -> Result<(), String> {
    let places: BTreeMap<u32, u32> = traces.iter().map(|trace| trace.session).zip(0..).collect();
    let mut clients: Vec<Client> = traces.iter().map(|trace| trace.client.clone()).collect();
    for (_, item) in clients.iter_mut().flat_map(|client| &mut client.heard) {
        if let Item::Message(id) = item {
            // Of a session that nobody had: of no client.
            id.life = places.get(&id.life).copied().unwrap_or(u32::MAX);
        }
    }
    checks::check(Told { clients: &clients, lives: None, anchored: true, order })
}

/// Whether the check finds that a client that was there to the end was not told a message of its own, and that one was told a
/// message twice: what it is given is what it looks at.
pub(crate) fn finds_what_cannot_be(traces: &[Trace]) -> bool {
    let spoilt = |spoil: fn(&mut Vec<(base::Instant, Item)>, usize)| {
        let mut traces = traces.to_vec();
        let own = traces.iter().enumerate().find_map(|(at, trace)| {
            let own = |(_, item): &(base::Instant, Item)| {
                matches!(item, Item::Message(id) if id.life == trace.session)
            };
            let place = trace.client.heard.iter().position(own)?;
            trace.client.whole.then_some((at, place))
        });
        let Some((at, place)) = own else { return false };
        spoil(&mut traces[at].client.heard, place);
        check_ordered(None, &traces).is_err()
    };
    spoilt(|heard, place| drop(heard.remove(place)))
        && spoilt(|heard, place| heard.insert(place, heard[place].clone()))
}
