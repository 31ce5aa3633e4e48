//! The section `[bus]` as it stands in the file.
//!
//! The documentation of each field is the reference page of that key. Values that can be judged on their own are
//! judged while reading, so that the reader's error carries line and caret; what depends on several keys is judged in
//! [`BusSection::check`].

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use base::AddrBlock;
use base::units::{Size, Span};
use serde::Deserialize;
use toml::Spanned;

use super::Priority;
use super::values::{Interface, Mode, Owner, Port, Seed, SegmentKey, Site, SocketKey};

/// The daemon through which programs on all machines send each other messages in one order, and know who is there.
///
/// It speaks the protocol of the Spread toolkit with its clients, so programs written for that toolkit connect to it
/// unchanged: `4803` through the Unix socket, `4803@host` by TCP. The daemons of a cluster find each other; a fixed
/// list, as the original had it, can be given with `spread_conf`. Without this section there is no daemon.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BusSection {
    /// What this daemon is called. Clients see it: `#user#name` is the private group of one of its clients.
    ///
    /// No two daemons of a cluster have the same; the younger is refused, and if it was in a view before they met, the
    /// sessions of its clients end. Members of a view are in the order of their names, byte by byte.
    ///
    /// 1 to 19 characters from `$` to `~`, which leaves out space, `!`, `"` and `#`. Default: `cluster.name` or the
    /// host's name up to its first dot; if that is too long or impossible, its first ten characters, `-`, and eight of
    /// a hash. With `spread_conf`: the daemon of that file whose address is on this machine.
    pub name: Option<Spanned<String>>,

    /// Where clients connect by TCP: any number of `"address:port"`.
    ///
    /// `[]` leaves only the Unix socket, and `tls_listen`. A session here is not encrypted and proves nothing, so listen on
    /// the network only where everybody in `accept_clients` may read and send.
    ///
    /// At most 16. Default: `["127.0.0.1:4803", "[::1]:4803"]`, with the port of the key `port`, and as far as this
    /// machine has these addresses.
    pub listen: Option<Vec<Spanned<SocketAddr>>>,

    /// From which addresses clients may connect by TCP without TLS. The Unix socket is guarded by `socket_mode` alone.
    ///
    /// Each entry is one address (`10.0.5.7`), a block (`10.0.5.0/24`, `fd00::/8`) or a dotted prefix (`10.0.`).
    /// Whoever comes from elsewhere is refused before a byte is read.
    ///
    /// At least one. Default: loopback, link-local and private addresses, as for `cluster.accept`.
    pub accept_clients: Option<Vec<AddrBlock>>,

    /// Where clients connect by TLS, each with a certificate: any number of `"address:port"`, on another port than
    /// `listen`.
    ///
    /// The protocol is the same within TLS 1.3 or 1.2. Needs `tls_certificate`, `tls_key` and `tls_client_ca`. The library
    /// and the tools of Backhand connect with `tls:PORT@HOST`; programs of the toolkit through a program such as stunnel.
    /// Beside `spread_conf` it can stand too; the daemon that is started alone, from a spread.conf, has no TLS.
    ///
    /// At most 16. Default: none.
    pub tls_listen: Vec<Spanned<SocketAddr>>,

    /// The file with the certificate that the daemon shows to clients, and behind it those of its issuers up to one that
    /// clients know: PEM.
    ///
    /// It names the hosts and addresses that clients connect to (subjectAltName). An absolute path. SIGHUP takes it again,
    /// for those who connect from then on; that it ends within 14 days or has ended is said in the log, each day.
    ///
    /// Default: none; needed with `tls_listen`.
    pub tls_certificate: Option<Spanned<PathBuf>>,

    /// The file with the key of that certificate: PEM, without a passphrase, not readable by everybody.
    ///
    /// An absolute path. Default: none; needed with `tls_listen`.
    pub tls_key: Option<Spanned<PathBuf>>,

    /// The file with the certificates of those who vouch for clients: PEM.
    ///
    /// A client is let in if one of these, directly or through certificates that the client shows as well, has signed its
    /// certificate, and that has not ended. An authority that signs for others too, such as a public one, lets those in as
    /// well; make one for the bus alone.
    ///
    /// An absolute path. Default: none; needed with `tls_listen`.
    pub tls_client_ca: Option<Spanned<PathBuf>>,

    /// From which addresses clients may connect by TLS, as `accept_clients` says it for those without.
    ///
    /// `["0.0.0.0/0", "::/0"]` leaves it to the certificates.
    ///
    /// At least one. Default: as `accept_clients`.
    pub tls_accept_clients: Option<Vec<AddrBlock>>,

    /// The Unix socket on which clients of this machine connect: an absolute path, or `"none"`.
    ///
    /// Programs of the toolkit look for `/tmp/PORT`, so another path is only found by programs that are told. A
    /// socket that a dead daemon left is replaced; one that a living one listens on is a mistake.
    ///
    /// Default: `/tmp/` and the port of the first address in `listen`, so `/tmp/4803`.
    pub socket: Option<Spanned<SocketKey>>,

    /// Who may connect through the Unix socket: its permission bits, in octal digits.
    ///
    /// A client needs permission to write. `"0660"` with a group in `socket_owner` keeps everybody else out.
    ///
    /// Default `"0666"`, everybody on this machine, as the original has it.
    pub socket_mode: Option<Mode>,

    /// To whom the Unix socket belongs: `"user"`, `"user:group"` or `":group"`, as names or numbers.
    ///
    /// Names are looked up in `/etc/passwd` and `/etc/group`. Another user than the daemon's own takes root.
    ///
    /// Default: the user and group that the daemon runs as.
    pub socket_owner: Option<Spanned<Owner>>,

    /// The address of this machine that it speaks to the other daemons with.
    ///
    /// Needed when a machine has several networks and the daemons shall meet on one of them only.
    ///
    /// Default: every address; without a key `127.0.0.1`.
    pub address: Option<Spanned<IpAddr>>,

    /// The UDP port on which daemons hear each other. Equal on all machines that shall find each other by `segment`.
    ///
    /// 1 to 65535. Default 4803.
    pub port: Port<4803>,

    /// Where the daemons of one network find each other and send what is for all of them: a multicast or
    /// broadcast address without port, or `"none"`.
    ///
    /// Where multicast does not get through, the daemons notice and speak to each other one by one; that costs the
    /// network one copy for each. `"none"` does so from the start; then at least one of two daemons must have the
    /// other among its `seeds`.
    ///
    /// Default: `"239.192.48.3"`, a group that no router passes on; without a key `"none"`.
    pub segment: Option<Spanned<SegmentKey>>,

    /// The interface on which the group of `segment` is joined and spoken to: a name such as `"eth1"` or one of its
    /// addresses.
    ///
    /// Default: the one of `address`, else every interface that does multicast.
    pub segment_interface: Option<Spanned<Interface>>,

    /// Daemons to look for where `segment` does not reach: `"host"`, `"host:port"`, `"10.0.5.7:4803"`.
    ///
    /// It suffices that each daemon leads to one that leads to the others. A name is resolved again and again, so
    /// it may follow machines that come and go; all its addresses count. Without a port, that of `port`.
    ///
    /// At most 64. Default: none.
    pub seeds: Vec<Spanned<Seed>>,

    /// The site this machine stands at, by any name: those with the same name are near each other.
    ///
    /// For a cluster over several places. What is for all daemons goes to each other site once, to the first member
    /// there in the order of names, which passes it on to the others; when it dies the next takes its place. `segment`
    /// then reaches the machines of one site, and `seeds` name at least one machine of another. Because words between
    /// sites take longer and are lost more often, the usual `timeout_floor` is then 500ms and `timeout_ceiling` 5s; the
    /// greatest wish of all daemons of a view is in force, so name the site on every machine.
    ///
    /// 1 to 31 printable characters without a space. Default: none, all machines without the key are at one site. With
    /// `spread_conf` each of its segments is a site.
    pub site: Option<Spanned<Site>>,

    /// A `spread.conf` to take the daemons from: then exactly those in this file belong, in its order, with the
    /// addresses, ports, interfaces and limits that it says.
    ///
    /// An absolute path. `name` then says which of its daemons this one is. `listen`, `address`, `port`, `segment`,
    /// `segment_interface`, `seeds` and `site` cannot stand beside it, since the file says all that.
    ///
    /// Default: none, daemons find each other.
    pub spread_conf: Option<Spanned<PathBuf>>,

    /// The file with the secret of the daemons, if it shall not be that of the whole cluster.
    ///
    /// What daemons say to each other is sealed with keys derived from it, as described at `cluster.key_file`. An
    /// absolute path.
    ///
    /// Default: `cluster.key_file`. Without a key daemons speak over loopback only, unless `insecure`.
    pub key_file: Option<Spanned<PathBuf>>,

    /// Files with earlier secrets that are still believed: for changing the key without an end of service.
    ///
    /// First list the new key here on every machine; then make it the key on every machine and list the old one
    /// here; then take the old one away.
    ///
    /// At most 4, absolute paths. Default: none.
    pub previous_keys: Vec<Spanned<PathBuf>>,

    /// Speak to other daemons on the network without a key.
    ///
    /// Anyone who can send a packet from an accepted address can then be a daemon, read everything and send
    /// anything. For laboratories; every start says in the log that it is on. It has no effect when there is a key.
    ///
    /// Default: that of `cluster.insecure`.
    pub insecure: Option<bool>,

    /// Time between two signs of life to each other daemon.
    ///
    /// 5ms to 25ms. Default 25ms.
    pub heartbeat: Option<Spanned<Span>>,

    /// The shortest silence after which a daemon counts as gone.
    ///
    /// The silence that is allowed follows the jitter that was seen, between this and `timeout_ceiling`; all daemons of
    /// a view use the greatest of theirs. A shorter one notices a dead machine sooner and takes a busy one for dead more
    /// often. At least three times `heartbeat`.
    ///
    /// 20ms to 10s. Default 100ms; 500ms if a `site` is named.
    pub timeout_floor: Option<Spanned<Span>>,

    /// The longest silence that is allowed, whatever jitter was seen. Not less than `timeout_floor`.
    ///
    /// 20ms to 1m. Default 1s; 5s if a `site` is named.
    pub timeout_ceiling: Option<Spanned<Span>>,

    /// Most clients connected at a time. One more is refused with the toolkit's own word for it.
    ///
    /// 1 to 100000. Default 10000.
    pub sessions: Option<Spanned<i64>>,

    /// Most bytes that may wait for a client that reads more slowly than others send. One more message, and it is
    /// disconnected, which the others see and the log says.
    ///
    /// Before that writers wait for it: when a quarter of this, at most 1 MiB, waits for a client, those clients of this daemon
    /// whose messages reach it are not read until half of that is left; nobody else waits. It has to take 64 KiB a second for
    /// that, over two seconds. Writers at other daemons can only be slowed down with the whole ring; for that it has to take
    /// 8 MiB a second, over half a second.
    ///
    /// For all clients together 16 times as much may wait, a message counted once. With more, the client is disconnected for
    /// which most waits. As much again may be kept of messages that clients have begun and not ended; with more, the client is
    /// disconnected that has said nothing for longest in the middle of one.
    ///
    /// 256KiB to 4GiB. Default 16MiB.
    pub backlog: Option<Spanned<Size>>,

    /// Most messages that may wait for a client, besides `backlog`. The original had this limit only, at 1000.
    ///
    /// 1 to 1000000000. Default: as many as `backlog` holds.
    pub backlog_messages: Option<Spanned<i64>>,

    /// How long something may wait for a client that takes nothing at all. Then it is disconnected, as if it had crashed.
    ///
    /// 1s to 1d. Default 5m.
    pub backlog_time: Option<Spanned<Span>>,

    /// How the thread of the token and of the signs of life stands among other work on the machine: `"none"`,
    /// `"adaptive"`, `"nice"` or `"realtime"`.
    ///
    /// `"nice"` puts it before everything of normal priority, at nice -19. `"realtime"` puts it before everything while it
    /// waits for other daemons and answers them (SCHED_FIFO, priority 1); clients are served at nice -19 even then. Measured
    /// on small machines, `"nice"` was the better of the two for latency, but under heavy load of files and new processes a
    /// thread at nice -19 was kept waiting for seconds, and one in real time for 26 ms at most. So `"adaptive"` begins as
    /// `"nice"`, and is `"realtime"` while the machine is short of processors, as the kernel counts it, until a minute after, and
    /// for a minute or more whenever the thread came more than 10 ms too late; then clients are served at it, too, for up to a
    /// tenth of the time. Nice values count only within a control group that has a weight of its own, and within a session where
    /// `kernel.sched_autogroup_enabled` is on, but for a daemon that is a service of its own and lowers its whole session. There
    /// `"adaptive"` is `"realtime"` all the time.
    ///
    /// With any of the three the thread's stack, its buffers and the program's code are locked: about 10 MB, of which only
    /// what is used takes memory. Where permission is missing for any of this (CAP_SYS_NICE; CAP_IPC_LOCK or LimitMEMLOCK=)
    /// it goes on without; the log and the status say what is in force.
    ///
    /// Default "adaptive".
    pub priority: Priority,

    /// Let monitors not only look: with it `backhand bus monitor` of this or another machine may make artificial partitions,
    /// change the window of the ring, and end this daemon.
    ///
    /// Who may ask is decided by the control socket, which only root and the daemon's own user can open, and by the key of the
    /// daemons. For laboratories and tests.
    ///
    /// Default false. With `spread_conf`: what its `DangerousMonitor` says, if that is true.
    pub dangerous_monitor: bool,
}
