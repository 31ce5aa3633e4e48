//! `[http]`: where clients connect, and how much patience and room each gets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::units::{Size, Span};
use base::{AddrBlock, AddrBlocks};
use serde::Deserialize;
use toml::Spanned;

use super::found::Found;

/// The port used when nothing is said.
pub const DEFAULT_PORT: u16 = 8080;
/// Most addresses listened on.
pub const LISTEN_MAX: usize = 64;
/// Most worker threads.
pub const WORKERS_MAX: u32 = 256;

/// Where clients connect, and how much patience and room each of them gets. Nothing here must be equal on
/// all machines.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSection {
    /// The addresses and ports on which clients are heard.
    ///
    /// Each is `"10.0.5.7:80"` or `"[fd00::7]:80"`; `"0.0.0.0:80"` means every IPv4 address and
    /// `"[::]:80"` every address, IPv4 included, so the two are not listed together for one port. Port 0
    /// takes a free one and says which. A port that somebody else listens on is an error, never shared.
    ///
    /// 1 to 64 addresses. Default `["[::]:8080"]`, or `["0.0.0.0:8080"]` where there is no IPv6.
    pub listen: Option<Spanned<Vec<Spanned<String>>>>,

    /// How many worker threads serve requests.
    ///
    /// Each has its own listening sockets, pools and counters. More than there are processors only
    /// costs; fewer leave processors to the application behind.
    ///
    /// 1 to 256. Default: the processors this program may use (affinity and control group considered).
    pub workers: Option<Spanned<i64>>,

    /// Time in which the head of a request must arrive, counted from its first byte, or from the connection
    /// for the first request.
    ///
    /// It bounds what a client that sends a byte now and then can hold, which is one buffer of a few
    /// kilobytes. A client that exceeds it gets 408.
    ///
    /// 1s to 5m. Default 10s.
    pub head_timeout: Option<Spanned<Span>>,

    /// How long a connection may rest between two requests.
    ///
    /// Longer saves clients the handshake; each resting connection costs one descriptor and less than a
    /// kilobyte. The connection is closed without a word, as RFC 9112 section 9.5 wants it. When descriptors are
    /// short, whoever has rested longest is closed for who comes new, those first that never asked for anything.
    ///
    /// 1s to 1h. Default 75s.
    pub idle_timeout: Option<Spanned<Span>>,

    /// How long a body may stand still, in either direction.
    ///
    /// Counted from the last byte that moved, so a large body may take hours as long as it moves. Since the kernel
    /// keeps much for a client, what the client acknowledges counts, and one that has stopped reading is given up after
    /// one to two of these. Upgraded connections have no such limit, nor have event streams whose client reads.
    ///
    /// 1s to 1h. Default 30s.
    pub body_timeout: Option<Spanned<Span>>,

    /// Time from the request's last byte until the response must begin, before another machine is tried or
    /// 504 is answered.
    ///
    /// It is for machines that live but do not answer; a machine that dies is noticed much sooner. A route
    /// may set its own.
    ///
    /// 10ms to 1h. Default 60s.
    pub response_timeout: Option<Spanned<Span>>,

    /// The largest head of a request: request line and header fields together. Larger ones get 431.
    ///
    /// It also bounds the head of a response from a peer or the local service.
    ///
    /// 1KiB to 256KiB. Default 32KiB.
    pub max_head: Option<Spanned<Size>>,

    /// The most header fields in one head. More get 431.
    ///
    /// 8 to 128. Default 100.
    pub max_headers: Option<Spanned<i64>>,

    /// The largest body of a request. A larger one gets 413: at once when its length is announced, else
    /// as soon as it is exceeded.
    ///
    /// Bodies are streamed, so this protects the application behind, not this program's memory.
    ///
    /// 1B to 16384GiB. Default: no limit.
    pub max_body: Option<Spanned<Size>>,

    /// From which addresses `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` are believed.
    ///
    /// For a terminator of TLS or another proxy in front. From everybody else these headers are replaced
    /// by what is known here. Each entry is an address, a block (`10.0.0.0/8`) or a dotted prefix (`10.0.`).
    /// Whoever is listed can claim to be any client: in the log, for address rules, and to the application.
    ///
    /// The client is the last address in `X-Forwarded-For` that is not listed itself; `Forwarded` (RFC 7239) is
    /// read where the former is missing, so a forwarder that writes only `Forwarded` has to remove what
    /// clients send of the other. A client that is not named by an address (`unknown`, `_hidden`) is `0.0.0.0` to log
    /// and rules: let in only where everybody is.
    ///
    /// Default: nobody.
    pub trusted: Option<Vec<AddrBlock>>,

    /// What `Retry-After` says with a 503 that this machine answers itself.
    ///
    /// 1s to 1h; fractions are rounded up. Default 1s.
    pub retry_after: Option<Spanned<Span>>,

    /// How long requests in flight may go on after this program was asked to stop.
    ///
    /// Meanwhile it says to its peers that it drains, takes no new connections, and closes resting ones.
    ///
    /// 0s to 1h. Default 30s.
    pub drain_timeout: Option<Spanned<Span>>,

    /// How many of a hundred requests may be tried again on suspicion: after a timeout, or when a machine
    /// answered with an error of its own.
    ///
    /// A budget keeps a slow cluster from being buried under its own second attempts. Moves away from a
    /// machine that refused, fell silent or said it is unhealthy draw nothing from it.
    ///
    /// 0 to 100. Default 20.
    pub retry_budget: Option<Spanned<i64>>,

    /// Whether responses say which machine served them, in the header `X-Served-By`.
    ///
    /// Useful while looking for a fault, and for pages that show it; it tells every client the names of your machines. The
    /// machine that serves adds it, so it must be set there.
    ///
    /// Default false.
    pub served_by: bool,

    /// Whether a request is given up when its client ends the connection before it was answered.
    ///
    /// A client that left and one that has merely said all it has to say (`nc -N`) look alike until something is
    /// sent. Off, both are answered, and what was asked by a client that left is done in vain, as with Apache.
    /// On, a request that waits or is being served is dropped at the end of its client's direction, as with nginx:
    /// worth it where answers take long and people do not wait for them.
    ///
    /// Default false.
    pub abort_on_close: bool,
}

/// `[http]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where clients are heard: 1 to [`LISTEN_MAX`] addresses, none twice.
    pub listen: Vec<SocketAddr>,
    /// Worker threads, 1 to [`WORKERS_MAX`].
    pub workers: usize,
    /// For the head of a request to arrive.
    pub head_timeout: Duration,
    /// Rest between two requests.
    pub idle_timeout: Duration,
    /// Standstill of a body.
    pub body_timeout: Duration,
    /// Until the response begins; a route may set its own.
    pub response_timeout: Duration,
    /// Bytes of a head.
    pub max_head: usize,
    /// Header fields of a head.
    pub max_headers: usize,
    /// Bytes of a request's body, if limited.
    pub max_body: Option<u64>,
    /// Whose forwarding headers are believed.
    pub trusted: AddrBlocks,
    /// Seconds for `Retry-After`, at least 1.
    pub retry_after_secs: u32,
    /// For requests in flight when stopping.
    pub drain_timeout: Duration,
    /// Retries on suspicion per hundred requests, 0 to 100.
    pub retry_budget_percent: u32,
    /// Whether responses say which machine served them.
    pub served_by: bool,
    /// Whether the end of a client's direction ends its request.
    pub abort_on_close: bool,
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl HttpSection {
    pub(super) fn check(&self, found: &mut Found) -> Http {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let cpus = u32::try_from(cpus).unwrap_or(WORKERS_MAX).min(WORKERS_MAX);
        let workers = found.count("http.workers", &self.workers, cpus, 1..=WORKERS_MAX);
        let max_body = self
            .max_body
            .as_ref()
            .map(|_| found.size("http.max_body", &self.max_body, u64::MAX, 1..=16_384 * (1 << 30)));
        let second = s(1);
        let retry_after =
            found.span("http.retry_after", &self.retry_after, second, second..=s(3600));
        Http {
            listen: self.listen(found),
            workers: workers as usize,
            head_timeout: found.span(
                "http.head_timeout",
                &self.head_timeout,
                s(10),
                second..=s(300),
            ),
            idle_timeout: found.span(
                "http.idle_timeout",
                &self.idle_timeout,
                s(75),
                second..=s(3600),
            ),
            body_timeout: found.span(
                "http.body_timeout",
                &self.body_timeout,
                s(30),
                second..=s(3600),
            ),
            response_timeout: found.span(
                "http.response_timeout",
                &self.response_timeout,
                s(60),
                RESPONSE_MIN..=RESPONSE_MAX,
            ),
            max_head: found.size("http.max_head", &self.max_head, 32 << 10, 1 << 10..=256 << 10)
                as usize,
            max_headers: found.count("http.max_headers", &self.max_headers, 100, 8..=128) as usize,
            max_body,
            trusted: AddrBlocks(self.trusted.clone().unwrap_or_default()),
            retry_after_secs: retry_after.as_secs_f64().ceil() as u32,
            drain_timeout: found.span(
                "http.drain_timeout",
                &self.drain_timeout,
                s(30),
                s(0)..=s(3600),
            ),
            retry_budget_percent: found.count("http.retry_budget", &self.retry_budget, 20, 0..=100),
            served_by: self.served_by,
            abort_on_close: self.abort_on_close,
        }
    }

    fn listen(&self, found: &mut Found) -> Vec<SocketAddr> {
        let Some(list) = &self.listen else {
            let address = SocketAddr::new(default_address(), DEFAULT_PORT);
            found.assumed.push(format!("clients are heard on {address} (http.listen)"));
            return vec![address];
        };
        addresses("http.listen", list, found)
    }
}

/// Shortest time for a response to begin.
pub(super) const RESPONSE_MIN: Duration = Duration::from_millis(10);
/// Longest time for a response to begin.
pub(super) const RESPONSE_MAX: Duration = s(3600);

/// Every address of this machine: the IPv6 wildcard takes IPv4 as well, but needs IPv6 in the kernel.
fn default_address() -> IpAddr {
    match socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::STREAM, None) {
        Ok(_) => [0u16; 8].into(),
        Err(_) => [0, 0, 0, 0].into(),
    }
}

/// A list of addresses to listen on, each judged on its own and beside the others.
pub(super) fn addresses(
    key: &str,
    list: &Spanned<Vec<Spanned<String>>>,
    found: &mut Found,
) -> Vec<SocketAddr> {
    let texts = list.get_ref();
    if texts.is_empty() || texts.len() > LISTEN_MAX {
        let message = format!("{} addresses are listed", texts.len());
        found.wrong_at(list, key, message, format!("list 1 to {LISTEN_MAX}"));
    }
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for (i, text) in texts.iter().enumerate().take(LISTEN_MAX) {
        let key = format!("{key}[{i}]");
        let Ok(address) = text.get_ref().parse::<SocketAddr>() else {
            let message = format!("{:?} is not an address with a port", text.get_ref());
            found.wrong_at(text, key, message, remedy(text.get_ref()));
            continue;
        };
        let twin = addresses.iter().find(|other| collide(**other, address));
        match twin.filter(|_| address.port() != 0) {
            Some(twin) if *twin == address => {
                found.wrong_at(text, key, format!("{address} is listed twice"), "list it once");
            }
            Some(twin) if twin.ip().is_unspecified() != address.ip().is_unspecified() => {
                let (one, all) =
                    if twin.ip().is_unspecified() { (&address, twin) } else { (twin, &address) };
                let message = format!("{one} is one of those that {all} stands for");
                found.wrong_at(text, key, message, "keep one of the two");
            }
            Some(twin) => {
                let message = format!("{address} and {twin} are the same for IPv4 clients");
                let remedy = "keep the one that begins with [::], which takes both families";
                found.wrong_at(text, key, message, remedy);
            }
            None => addresses.push(address),
        }
    }
    addresses
}

/// Whether two addresses cannot both be listened on: equal, or one a wildcard that takes the other. That of IPv6 takes
/// IPv4 too.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let wild = a.ip().is_unspecified() && b.ip().is_unspecified();
    let takes =
        |a: SocketAddr, b: SocketAddr| a.ip().is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    a.port() == b.port() && (a.ip() == b.ip() || wild || takes(a, b) || takes(b, a))
}

/// What was probably meant.
fn remedy(text: &str) -> String {
    let text = text.trim();
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return format!("write \"[::]:{port}\" for every address, or \"10.0.5.7:{port}\" for one");
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => format!("add the port: \"{ip}:{DEFAULT_PORT}\""),
        Ok(IpAddr::V6(ip)) => format!("add brackets and the port: \"[{ip}]:{DEFAULT_PORT}\""),
        Err(_) => {
            "write an address, not a name: \"10.0.5.7:80\", \"[fd00::7]:80\" or \"[::]:80\"".into()
        }
    }
}
