//! The section `[addresses]` as it stands in the file.
//!
//! The documentation of each field is the reference page of that key. Values that can be judged on their own are
//! judged while reading; what depends on several keys is judged in [`AddressesSection::check`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use base::units::Span;
use serde::Deserialize;

use super::values::{AddressItem, ListItem, NotifyItem, PreferItem, StatusItem};
use super::{PerRound, WhenAllUnhealthy};

/// Addresses that are always held by exactly one living machine of those that name the same group.
///
/// The machines meet on the bus, so this needs a section `[bus]`, or `daemon`. Each of them lists the same addresses. A
/// machine that dies loses its addresses to the others; they are spread evenly, and no machine is the first.
///
/// ```toml
/// [addresses]
/// list = ["10.0.0.10", "eth0:10.0.0.11/24", ["10.0.0.1", "eth1:192.168.0.1"]]
/// notify = ["neighbours"]
/// ```
///
/// Without this section no address is held.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AddressesSection {
    /// The group on the bus in which the machines meet. Machines that hold other addresses use another group.
    ///
    /// 1 to 31 characters from `$` to `~`, which leaves out space, `!`, `"` and `#`. Default `"addresses"`.
    pub group: Option<String>,

    /// The daemon of the bus, if it is not the one of this program: `"4803"` is the Unix socket `/tmp/4803`, `"/path"`
    /// another Unix socket, `"4803@host"` a TCP port, `"tls:4804@host"` one with TLS.
    ///
    /// It should be a daemon on this machine: one that is lost takes the addresses with it.
    ///
    /// Default: the daemon of the section `[bus]`.
    pub daemon: Option<String>,

    /// The name of this machine's session at the daemon of the bus; others see it in `#name#daemon`.
    ///
    /// 1 to 10 characters as for `group`. Default: chosen by the program.
    pub private_name: Option<String>,

    /// The longest time between two attempts to reach the daemon of the bus: the first come faster. While it cannot be reached nothing
    /// is held.
    ///
    /// 100ms to 1h. Default 5s.
    pub retry_interval: Option<Span>,

    /// How long a machine waits that finds nobody who has begun to hold addresses, so that one that starts alone does not
    /// take everything and give it back at once. Whoever comes to others that hold addresses does not wait.
    ///
    /// 0s to 1h. Default 5s.
    pub mature: Option<Span>,

    /// How long the kernel keeps an address that the program does not renew. It is renewed several times in this time; when
    /// everything of the program is dead or stopped, the address is gone after it and at most 1.1s more.
    ///
    /// Whole seconds, 1s to 60s. Default 3s.
    pub lease: Option<Span>,

    /// The addresses. Each entry is one address, or a list of addresses that are always held by the same machine.
    ///
    /// An address is `"10.0.0.10"`, with any name of its interface before it if that shall not be the one whose network it is in:
    /// `"eth0:10.0.0.10"`, with the length of its prefix if the interface shall have its network by it:
    /// `"eth0:10.0.0.10/24"`, and with the network whose hosts are told of a new holder if that is another:
    /// `"10.0.0.10/32n22"`. IPv6: `"fd00::10"`, `"eth0:[fd00::10]/64"`. A table says that this machine may open connections
    /// from it: `{ address = "10.0.0.10", source = true }`.
    ///
    /// The first address of an entry names it in `prefer`, in logs and towards other machines. Interfaces, lengths and
    /// `source` may differ between machines; addresses and how they are grouped may not: an entry that differs stays where it is,
    /// which is said on every machine.
    ///
    /// At most 4096 addresses, with those of `[[addresses.set]]`, and at most 64 in one entry; none twice; no network's own, broadcast,
    /// loopback or multicast address; a link-local one of IPv6 only with its interface. The length is 1 to 32, or 1 to 128. Default: none; at least
    /// one address is needed here or in `[[addresses.set]]`. Default of the length: /32 and /128. Default of the network: the
    /// length if it is written, else /24 and /64.
    pub list: Vec<ListItem>,

    /// Addresses of which there is more to say, one table each: see `[[addresses.set]]` below.
    ///
    /// Default: none.
    pub set: Vec<SetSection>,

    /// What this machine wants to hold, by first addresses: `["10.0.0.10"]`. Balance leaves it there.
    ///
    /// Name an entry on one machine only. It costs its clients two moves for each death of that machine instead of one.
    ///
    /// Each must be the first address of an entry. Default: none, and no machine is better than another.
    pub prefer: Vec<PreferItem>,

    /// How long this machine must have been there without an end before it gets what it prefers.
    ///
    /// 0s to 1d. Default 30s.
    pub prefer_after: Option<Span>,

    /// How much this machine takes beside the others: with 200 it holds twice as much as one with 100.
    ///
    /// 1 to 1000. Default 100.
    pub weight: Option<i64>,

    /// The most sets this machine takes while another can take them, for a machine that can serve only so many. It may be another
    /// number on each machine.
    ///
    /// An address that is served by a machine with too many is better than one that nobody serves: when all machines that are left
    /// have as many as this allows, the rest is shared evenly among them, and goes where there is room as soon as there is.
    ///
    /// 0 to 4096; 0 is any number. Default 0.
    pub capacity: Option<i64>,

    /// How the addresses are spread evenly: see `[addresses.balance]` below.
    ///
    /// Default: every 4s, all at once.
    pub balance: BalanceSection,

    /// Who is told of a new holder one by one, besides the announcement to the whole network, which is always made.
    ///
    /// `"neighbours"` is everybody that any of the machines knows by hardware address. `"10.0.0.1"` or `"eth0:10.0.0.0/24"` are
    /// hosts: those that lie in the network of the address are told. A table says more: `{ hosts = "10.0.0.0/24",
    /// throttle = 16, ping = true }`. `throttle` is the most hosts a second when announcements are repeated; the first goes to all
    /// at once. `ping` asks each for an answer besides, for equipment that learns from nothing else.
    ///
    /// At most 1024 entries, each of at most 65536 hosts of an address's network. `throttle` is 1 to 1000000; default: no limit.
    /// `ping` is true or false; default false. Default: none.
    pub notify: Vec<NotifyItem>,

    /// How often this machine tells the others which hosts it knows by hardware address, so that a new holder can tell them.
    ///
    /// 1s to 1d. Default 60s with `"neighbours"` in `notify`, else never.
    pub share_neighbours_every: Option<Span>,

    /// Whether packets that reach the wrong one of two machines while an address moves from one to the other in order are passed on to
    /// the right one, so that no client in the middle of its handshake or its request is reset.
    ///
    /// A small program in the kernel does it (eBPF, Linux 6.6 or newer, with CAP_BPF at the start). Where it cannot be had that is logged
    /// once, and the others are as good as they can be without: what is sent after the announcement of the new holder is reset.
    ///
    /// true or false. Default true.
    pub pass_on: Option<bool>,

    /// How long a machine goes on to serve the connections that it has when an address moves away from it in order and packets are passed
    /// on; then they are reset and the address is taken off. A request that is sent and answered within it is not lost.
    ///
    /// 20ms to 5s. Default 200ms.
    pub grace: Option<Span>,

    /// How often an address is announced again while it is held.
    ///
    /// 1s to 1h. Default 30s.
    pub announce_every: Option<Span>,

    /// Most frames of announcements in a second, of all addresses and interfaces together. Those of a take-over come first.
    ///
    /// 100 to 1000000. Default 20000.
    pub frames_per_second: Option<i64>,

    /// Who decides about sets that must never be held twice: see `[addresses.quorum]` below.
    ///
    /// Default: nobody; then each part of a divided network holds every address.
    pub quorum: Option<QuorumSection>,

    /// What to do when no machine is healthy: `"keep"` leaves the addresses where they are, `"release"` takes them away.
    ///
    /// Default `"keep"`: an answer with an error is better than none.
    pub when_all_unhealthy: WhenAllUnhealthy,

    /// What decides whether this machine may hold anything, one table each: see `[[addresses.health]]` below.
    ///
    /// Default: none; a machine that lives is well.
    pub health: Vec<HealthSection>,

    /// What is run when addresses come and go, one table each: see `[[addresses.hook]]` below.
    ///
    /// Default: none.
    pub hook: Vec<HookSection>,

    /// The folder in which modules of hooks are looked for that are no whole path.
    ///
    /// A whole path. Default: the working directory.
    pub module_directory: Option<PathBuf>,

    /// The Unix socket on which `wackatrl` and programs that speak its protocol may ask and command.
    ///
    /// `wackatrl` does not read this file: give it one (`-c`) with the line `Control = PATH`.
    ///
    /// A whole path of at most 107 bytes; only root and the program's own user can use it. Default: none; `backhand vip` needs
    /// none.
    pub control: Option<PathBuf>,

    /// The Unix socket on which `backhand vip` asks and commands. Its folder is made if it is not there.
    ///
    /// A whole path of at most 107 bytes, another for each program of this machine; only root and the program's own user can
    /// use it. Empty: none. Default `"/run/backhand/addresses.sock"`.
    pub socket: Option<PathBuf>,

    /// The process that takes the addresses away when the program dies or hangs: see `[addresses.guardian]` below.
    ///
    /// Default: there is one.
    pub guardian: GuardianSection,

    /// How long an orderly stop waits for the others to take over everything before this machine lets go anyway. Where
    /// programs stop what is under quorum, it stays in the group until they have ended.
    ///
    /// 0s to 5m. Default 5s.
    pub stop_within: Option<Span>,
}

/// Addresses that are always held by the same machine, and of which there is more to say than `list` can.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SetSection {
    /// What people call it.
    ///
    /// 1 to 64 printable ASCII characters without a space, no address, no two alike. Default: its first address.
    pub name: Option<String>,

    /// Its addresses, as an entry of `list` has them. The first names the set towards other machines.
    ///
    /// 1 to 64. Default: none.
    pub addresses: Vec<AddressItem>,

    /// Whether the addresses are put on interfaces. With false only hooks are run: for networks in which an address is moved by
    /// asking somebody, and for roles that have no address of their own. Machines that differ in it list the set differently: it stays
    /// where it is until they agree, and all say so.
    ///
    /// Default true.
    pub kernel: Option<bool>,

    /// Whether the set is held only by a machine that is together with the majority of `[addresses.quorum]`, so that it is
    /// never held twice, and by nobody when there is no majority.
    ///
    /// Default false.
    pub quorum: bool,
}

/// How the addresses are spread evenly when nothing else happens.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BalanceSection {
    /// Time between two rounds.
    ///
    /// 100ms to 1h. Default 4s.
    pub interval: Option<Span>,

    /// How many sets move in a round: a number, or `"all"` for as many as it takes.
    ///
    /// 1 to 4096. Default `"all"`.
    pub per_round: Option<PerRound>,
}

/// Who decides about sets that must never be held twice: machines that together have more than half of the weight.
///
/// ```toml
/// [addresses.quorum]
/// members = { db1 = 1, db2 = 1, witness = 1 }
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuorumSection {
    /// The machines by name (`cluster.name`, or the host's name) and how much each counts. The same on all machines.
    ///
    /// Each of them needs a name that no other machine has. Where two with one name are seen in the group, it counts for
    /// nobody on any machine that has seen them, until its program is started again; and for the later one also where only
    /// their daemons of the bus have met. While two such machines have never met, nobody can know, and each gives its side of a
    /// split the weight: then a set may be held twice until the sides meet.
    ///
    /// 0 to 1000 each, at least one more than 0, at most 128 machines. Default: none; needed with `quorum = true` in a set.
    pub members: BTreeMap<String, i64>,
}

/// Something that decides whether this machine may hold anything. All checks must be well.
///
/// Exactly one of `tcp`, `http`, `command` and `balancer` says what is looked at. A machine that is not well gives everything to
/// others, in order. One that starts takes nothing before each of its checks has passed once.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthSection {
    /// What people call it.
    ///
    /// 1 to 64 printable ASCII characters without a space, no two alike. Default `check1`, `check2`, ... by its place.
    pub name: Option<String>,

    /// Whether a connection can be opened: `"127.0.0.1:5432"`, `"[::1]:25"`.
    ///
    /// Default: none.
    pub tcp: Option<String>,

    /// Whether a request is answered well: `"http://127.0.0.1:8080/health"`. The host is an address or `localhost`, which is
    /// 127.0.0.1; the name of a site stands in `host`.
    ///
    /// Default: none.
    pub http: Option<String>,

    /// The header Host of the request. Only with `http`.
    ///
    /// Default: the host of the URL.
    pub host: Option<String>,

    /// Which status codes are good: `[200, "300-399"]`. Only with `http`.
    ///
    /// 100 to 599, at least one. Default `["200-399"]`.
    pub status: Option<Vec<StatusItem>>,

    /// What must stand in the body's first 64 KiB. Only with `http`.
    ///
    /// At most 1024 bytes. Default: nothing.
    pub contains: Option<String>,

    /// Whether a program ends well: `["/usr/lib/check-disk", "-q"]`. No shell is between; the program is a whole path and must be
    /// there.
    ///
    /// Default: none.
    pub command: Vec<String>,

    /// The exit status that is good. Only with `command`.
    ///
    /// 0 to 255. Default 0.
    pub exit: Option<i64>,

    /// With true: whether this program's own balancer finds the server of `[local]` well.
    ///
    /// Default false.
    pub balancer: bool,

    /// Time from the end of one look to the next.
    ///
    /// 100ms to 1h. Default 1s.
    pub interval: Option<Span>,

    /// When a look without an answer has failed; a program is then killed.
    ///
    /// 10ms to 5m. Default 1s.
    pub timeout: Option<Span>,

    /// So many good looks in a row make it well.
    ///
    /// 1 to 100. Default 2.
    pub rise: Option<i64>,

    /// So many bad looks in a row make it ill.
    ///
    /// 1 to 100. Default 3.
    pub fall: Option<i64>,
}

/// Something that is run when addresses come and go. Hooks of one event are run one after the other, as they stand here.
///
/// Exactly one of `command` and `module` says what. What a program is told is described with the hooks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HookSection {
    /// When: `"on up"` and `"on down"` for each set that came or went, `"post up"` and `"post down"` once after everything that
    /// one decision has brought or taken.
    ///
    /// Default: none, one of the four is needed.
    pub event: Option<String>,

    /// A program and its arguments: `["/etc/backhand/promote", "main"]`. No shell is between; the program is a whole path and must
    /// be there and executable, or the configuration is refused: it would be missed in the very moment that it is for.
    ///
    /// Default: none.
    pub command: Vec<String>,

    /// A function of a shared object, as `RunDynamic` of the original had it: `"file:function"`. The file is looked for in
    /// `module_directory` unless it is a whole path, as it is written and then with `.so` behind it, and must be there.
    ///
    /// Default: none.
    pub module: Option<String>,

    /// After this time it is told to end (SIGTERM to its process group), a second later it is killed.
    ///
    /// 100ms to 10m. Default 10s.
    pub timeout: Option<Span>,

    /// For which sets, by name or by first address. Has no meaning for `"post up"` and `"post down"`, and cannot stand there.
    ///
    /// Default: for all.
    pub sets: Vec<String>,
}

/// The small process that takes the addresses away and runs the hooks of `on down` when the program dies or hangs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardianSection {
    /// Whether there is one. Without it addresses of a dead program last until the end of `lease`.
    ///
    /// Default true.
    pub enabled: Option<bool>,

    /// After this silence the program counts as hung. The guardian notices its death at once, whatever this says.
    ///
    /// 50ms to 10s, and less than `lease`. Default 500ms.
    pub suspicion: Option<Span>,

    /// The UDP port for the last word of a guardian: when the program is dead, and everything is off and stopped, the others hear
    /// it from the guardian and do not wait for the lease. Only with sets under quorum and a cluster key.
    ///
    /// 1 to 65535, the same on all machines. Default 4447.
    pub port: Option<i64>,
}
