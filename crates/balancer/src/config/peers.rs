//! `[peers]`: connections between the machines of the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use base::units::Span;
use candidacy::asking::AskingRules;
use serde::Deserialize;
use toml::Spanned;

use super::found::Found;
use super::http::addresses;
use super::texts::Texts;

/// Most machines to which connections are made ahead.
pub const PRECONNECT_MAX: u32 = 16;

/// Connections between the machines of the cluster: where peers reach this one, and how it reaches them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PeersSection {
    /// Where peers connect.
    ///
    /// `"exchange"` is `announce.exchange_port` by TCP, on `announce.address`. A list names addresses and
    /// ports as `http.listen` does. `"off"` takes nothing from peers: the machine announces itself without
    /// a peer listener, and others send it requests as any client would, on its HTTP port. There it takes each
    /// request from the address of another machine for one that was passed on: serves it itself, and believes
    /// what that machine says of the client. Each packet says where its sender listens. Every connection is authenticated with the cluster key before
    /// anything on it is believed, and only blocks of `cluster.accept` may try. A machine that is alone, with
    /// neither a key nor targets of announcements, opens none of these.
    ///
    /// Default "exchange".
    pub listen: Option<Spanned<Texts>>,

    /// Whether connections to peers are kept for further requests.
    ///
    /// Off means one connection per request, as the historical `BackhandConnectionPools Off`: each
    /// request then pays for a connection and its authentication. For finding faults, mostly.
    ///
    /// Default true.
    pub pool: Option<bool>,

    /// How many resting connections a worker keeps to one machine.
    ///
    /// It should cover the requests that one worker has in flight there at a busy moment; what is above it
    /// is closed after use.
    ///
    /// 1 to 1024. Default 256.
    pub pool_size: Option<Spanned<i64>>,

    /// How long a connection to a peer may rest before it is closed.
    ///
    /// 1s to 1h. Default 60s.
    pub pool_idle: Option<Spanned<Span>>,

    /// To how many machines connections are made ahead: to those used most, so that the next request
    /// finds one ready.
    ///
    /// 0 switches it off; so does `pool = false`. 0 to 16. Default 16.
    pub preconnect: Option<Spanned<i64>>,

    /// Time for a connection to a peer, its authentication included, before the next candidate is tried.
    ///
    /// Machines of one LAN answer within a millisecond; a lost first packet is repeated by the kernel after
    /// one second. 1ms to 30s. Default 250ms.
    pub connect_timeout: Option<Spanned<Span>>,

    /// How many requests this machine relays to peers at one time, all workers together. More get 503.
    ///
    /// Relaying costs little, but each holds two descriptors. It has nothing to do with `local.limit`,
    /// which counts requests served here. 1 to 1000000. Default 16384.
    pub relay_limit: Option<Spanned<i64>>,

    /// The longest wait for answers when machines are asked before one is chosen; see `route.asking`.
    ///
    /// The wait in force is learned from the answers and usually far shorter. Over lines slower than a LAN
    /// asking pays only for slow requests, and needs a longer wait. 100us to 100ms. Default 1ms.
    pub ask_wait: Option<Spanned<Span>>,
}

/// Where peers connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerListen {
    /// On the exchange port of `[announce]`.
    Exchange,
    /// On these addresses.
    At(Vec<SocketAddr>),
    /// Nowhere.
    Off,
}

/// `[peers]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    /// Where peers connect.
    pub listen: PeerListen,
    /// Resting connections kept per machine and worker; 0 when pools are off.
    pub pool_size: usize,
    /// How long a connection rests.
    pub pool_idle: Duration,
    /// Machines to connect to ahead, 0 to [`PRECONNECT_MAX`]; 0 when pools are off.
    pub preconnect: usize,
    /// For connecting and authenticating.
    pub connect_timeout: Duration,
    /// Requests relayed at one time, all workers together.
    pub relay_limit: u32,
    /// When asking is worth it, and how long to wait for answers.
    pub asking: AskingRules,
}

impl PeersSection {
    pub(super) fn check(&self, found: &mut Found) -> Peers {
        let ms = Duration::from_millis;
        let pool = self.pool.unwrap_or(true);
        let pool_size = found.count("peers.pool_size", &self.pool_size, 256, 1..=1024) as usize;
        let preconnect =
            found.count("peers.preconnect", &self.preconnect, PRECONNECT_MAX, 0..=PRECONNECT_MAX);
        Peers {
            listen: self.listen(found),
            asking: self.asking(found),
            pool_size: if pool { pool_size } else { 0 },
            pool_idle: found.span(
                "peers.pool_idle",
                &self.pool_idle,
                ms(60_000),
                ms(1000)..=ms(3_600_000),
            ),
            preconnect: if pool { preconnect as usize } else { 0 },
            connect_timeout: found.span(
                "peers.connect_timeout",
                &self.connect_timeout,
                ms(250),
                ms(1)..=ms(30_000),
            ),
            relay_limit: found.count("peers.relay_limit", &self.relay_limit, 16_384, 1..=1_000_000),
        }
    }

    fn asking(&self, found: &mut Found) -> AskingRules {
        let rules = AskingRules::default();
        let bounds = Duration::from_micros(100)..=Duration::from_millis(100);
        let longest_wait = found.span("peers.ask_wait", &self.ask_wait, rules.longest_wait, bounds);
        AskingRules { longest_wait, ..rules }
    }

    fn listen(&self, found: &mut Found) -> PeerListen {
        let Some(written) = &self.listen else { return PeerListen::Exchange };
        match written.get_ref() {
            Texts::One(word) if word == "exchange" => PeerListen::Exchange,
            Texts::One(word) if word == "off" => PeerListen::Off,
            Texts::One(word) => {
                let message = format!("{word:?} is neither \"exchange\" nor \"off\"");
                let remedy = "write one of these, or a list such as [\"10.0.5.7:4446\"]";
                found.wrong_at(written, "peers.listen", message, remedy);
                PeerListen::Exchange
            }
            Texts::Many(list) => {
                let list = Spanned::new(written.span(), list.clone());
                PeerListen::At(addresses("peers.listen", &list, found))
            }
        }
    }
}
