//! The section `[addresses]` as a whole: what it becomes, and what is told of it.

use super::*;

const AROUND: Around<'_> = Around { machine: "web1", bus: true };

fn check(text: &str) -> Result<Config, Vec<String>> {
    check_around(text, &AROUND)
}

fn check_around(text: &str, around: &Around<'_>) -> Result<Config, Vec<String>> {
    let section: AddressesSection = toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    section.check(around).map_err(|all| all.iter().map(ToString::to_string).collect())
}

fn config(text: &str) -> Config {
    check(text).unwrap_or_else(|problems| panic!("{text}: {problems:#?}"))
}

/// All that is told of a section.
fn told(text: &str) -> Vec<String> {
    match check(text) {
        Ok(_) => panic!("{text}: nothing is told"),
        Err(problems) => problems,
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn address(interface: Option<&str>, ip: &str, prefix: u8, net: u8) -> Address {
    let interface = interface.map(Into::into);
    Address { interface, ip: ip.parse().unwrap(), prefix, net, source: false }
}

const ONE: &str = "list = [\"10.0.0.10\"]\n";

#[test]
fn what_is_not_said_is_assumed() {
    let config = config(ONE);
    let expected = Config {
        machine: "web1".into(),
        group: GroupName::new(b"addresses").unwrap(),
        daemon: None,
        private_name: None,
        retry_interval: Duration::from_secs(5),
        mature: Duration::from_secs(5),
        lease: Duration::from_secs(3),
        balance: Balance { interval: Duration::from_secs(4), per_round: PerRound::All },
        sets: vec![Set {
            name: None,
            addresses: vec![address(None, "10.0.0.10", 32, 24)],
            kernel: true,
            quorum: false,
        }],
        prefer: vec![],
        prefer_after: Duration::from_secs(30),
        weight: 100,
        capacity: 0,
        share_neighbours_every: None,
        notify: vec![],
        pass_on: true,
        grace: Duration::from_millis(200),
        announce_every: Duration::from_secs(30),
        frames_per_second: 20_000,
        quorum: None,
        when_all_unhealthy: WhenAllUnhealthy::Keep,
        health: vec![],
        hooks: vec![],
        module_dir: ".".into(),
        control: None,
        socket: Some(DEFAULT_SOCKET.into()),
        guardian: Guardian { enabled: true, suspicion: Duration::from_millis(500), port: 4447 },
        stop_within: Duration::from_secs(5),
        historical: false,
        assumed: vec![],
        warnings: vec![],
    };
    assert_eq!(config, expected);
    assert_eq!(config.group, default_group());
}

#[test]
fn a_list_has_single_addresses_and_sets_in_every_way_of_writing() {
    let config = config(
        "list = [\"10.0.0.10\", \"eth0:10.0.0.11/24\", [\"10.0.0.1\", \"eth1:192.168.0.1/32n22\"],\n\
         { address = \"fd00::10\", source = true }, \"eth0:[fe80::1]/64\"]",
    );
    let sets: Vec<_> = config.sets.iter().map(|set| set.addresses.clone()).collect();
    let mut source = address(None, "fd00::10", 128, 64);
    source.source = true;
    assert_eq!(
        sets,
        [
            vec![address(None, "10.0.0.10", 32, 24)],
            vec![address(Some("eth0"), "10.0.0.11", 24, 24)],
            vec![address(None, "10.0.0.1", 32, 24), address(Some("eth1"), "192.168.0.1", 32, 22)],
            vec![source],
            vec![address(Some("eth0"), "fe80::1", 64, 64)],
        ]
    );
    assert_eq!(config.sets[2].head(), ip("10.0.0.1"));
}

#[test]
fn everything_that_can_be_said_is_taken() {
    let config = config(
        r#"
        group = "web"
        daemon = "4803@web7"
        private_name = "vip"
        retry_interval = "1s"
        mature = "0s"
        lease = "2s"
        list = ["10.0.0.10"]
        prefer = ["10.0.1.1", "10.0.0.10", "10.0.1.1"]
        prefer_after = "1m"
        weight = 200
        capacity = 40
        notify = ["10.0.0.1", { hosts = "eth0:10.0.0.0/28", throttle = 16, ping = true }, "neighbours"]
        announce_every = "10s"
        pass_on = false
        grace = "1s"
        frames_per_second = 100
        when_all_unhealthy = "release"
        control = "/run/wack.it"
        stop_within = "1s"
        [[set]]
        name = "db"
        addresses = ["10.0.1.1", "10.0.1.2"]
        kernel = false
        quorum = true
        [balance]
        interval = "1s"
        per_round = 3
        [quorum]
        members = { web1 = 1, web2 = 1, web3 = 2 }
        [[health]]
        tcp = "127.0.0.1:80"
        [[health]]
        name = "site"
        http = "http://127.0.0.1:8080/health"
        host = "www.example.com"
        status = [200, "301-302"]
        contains = "well"
        interval = "2s"
        timeout = "500ms"
        rise = 1
        fall = 1
        [[health]]
        command = ["/bin/sh", "-c", "true"]
        exit = 1
        [[health]]
        balancer = true
        [[hook]]
        event = "on up"
        command = ["/bin/sh"]
        sets = ["db", "10.0.1.1", "10.0.0.10"]
        [[hook]]
        event = "post down"
        command = ["/bin/sh"]
        timeout = "1s"
        [guardian]
        enabled = false
        suspicion = "1s"
        port = 4500
        "#,
    );
    assert_eq!(config.daemon, Some(Endpoint::Tcp { host: "web7".into(), port: 4803 }));
    assert_eq!(config.prefer, [ip("10.0.1.1"), ip("10.0.0.10")]);
    assert_eq!(config.share_neighbours_every, Some(Duration::from_secs(60)));
    let hosts = |interface: Option<&str>, first, length, throttle, ping| Notify::Hosts {
        interface: interface.map(Into::into),
        block: Block::around(ip(first), length).unwrap(),
        throttle,
        ping,
    };
    assert_eq!(
        config.notify,
        [
            hosts(None, "10.0.0.1", 32, None, false),
            hosts(Some("eth0"), "10.0.0.0", 28, Some(16), true),
            Notify::Neighbours { ping: false },
        ]
    );
    let db = &config.sets[1];
    assert!(db.name.as_deref() == Some("db") && !db.kernel && db.quorum);
    let quorum = config.quorum.unwrap();
    assert_eq!((quorum.majority(), quorum.weight("web3"), quorum.weight("x")), (3, 2, 0));
    let names: Vec<_> = config.health.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["check1", "site", "check3", "check4"]);
    assert_eq!(
        config.health[1].kind,
        CheckKind::Http {
            address: "127.0.0.1:8080".parse().unwrap(),
            path: "/health".into(),
            host: "www.example.com".into(),
            status: vec![200..=200, 301..=302],
            contains: Some("well".into()),
        }
    );
    assert!(
        matches!(&config.health[2].kind, CheckKind::Command { argv, exit: 1 } if argv.len() == 3)
    );
    assert_eq!(config.hooks[0].sets, HookSets::Heads(vec![ip("10.0.1.1"), ip("10.0.0.10")]));
    assert_eq!(
        (config.hooks[1].event, &config.hooks[1].sets),
        (HookEvent::PostDown, &HookSets::All)
    );
    let suspicion = Duration::from_secs(1);
    assert_eq!(config.guardian, Guardian { enabled: false, suspicion, port: 4500 });
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn every_mistake_of_addresses_is_told_at_once() {
    let told = told(
        r#"
        list = ["127.0.0.1", ["10.0.0.1", "10.0.0.1"], "10.0.0.1", [], "fe80::1", { source = true }]
        notify = [{ ping = true }]
        prefer = ["10.0.0.2", "10.0.0.9"]
        [[set]]
        name = "10.0.0.7"
        addresses = ["10.0.0.3", "10.0.0.2"]
        [[set]]
        name = "a b"
        "#,
    );
    assert_eq!(
        told,
        [
            "addresses.list[5]: this table has no address; write address = \"10.0.0.10\"",
            "addresses.set[0].name: 10.0.0.7 is an address; write a word, or leave it out",
            "addresses.set[1].name: \"a b\" is no name; write 1 to 64 printable ASCII characters without a space",
            "addresses.list[0]: 127.0.0.1 is a loopback address: each machine has it for itself; write an address that clients of a network can reach",
            "addresses.list[1][1]: 10.0.0.1 stands twice in this set; leave one of the two out",
            "addresses.list[2]: 10.0.0.1 stands in another set as well; leave one of the two out",
            "addresses.list[3]: this set has no address; write at least one, or leave the set out",
            "addresses.list[4]: fe80::1 means another host on each network; write its interface before it: eth0:[fe80::1]",
            "addresses.set[1]: this set has no address; write at least one, or leave the set out",
            "addresses.prefer[0]: 10.0.0.2 is not the first address of its set; write 10.0.0.3, the first: a set moves as one",
            "addresses.prefer[1]: 10.0.0.9 is none of the addresses; write the first address of a set",
            "addresses.notify[0]: this table names no hosts; write hosts = \"10.0.0.0/24\" or hosts = \"neighbours\"",
        ]
    );
}

#[test]
fn without_a_bus_or_addresses_it_is_said_what_to_write() {
    let told = check_around("", &Around { machine: "web1", bus: false }).unwrap_err();
    assert_eq!(
        told,
        [
            "addresses: the machines meet on the bus, and there is no section [bus]; write [bus], or addresses.daemon = \"4803\" for a daemon that runs beside this program",
            "addresses: there is no address; write list = [\"10.0.0.10\"], with the addresses that shall never go away",
        ]
    );
    let elsewhere = format!("{ONE}daemon = \"/run/bus\"");
    assert!(check_around(&elsewhere, &Around { machine: "web1", bus: false }).is_ok());
}

#[test]
fn values_out_of_bounds_are_told_with_their_bounds() {
    let told = told(
        r#"
        list = ["10.0.0.10"]
        group = "a b"
        daemon = "web1:4803"
        private_name = "muchtoolongforthat"
        retry_interval = "1ms"
        lease = "1500ms"
        weight = 0
        capacity = 4097
        frames_per_second = 1
        stop_within = "1h"
        control = "wack.it"
        socket = "addresses.sock"
        module_directory = "modules"
        notify = ["10.0.0.7/24", { hosts = "neighbours", throttle = 4 }, { hosts = "10.0.0.1", throttle = 0 }]
        [guardian]
        suspicion = "2s"
        port = 0
        "#,
    );
    assert_eq!(
        told,
        [
            "addresses.group: the group name has byte 0x20 at position 1; possible are the characters from '$' to '~', which leaves out space, '!', '\"' and '#'",
            "addresses.daemon: \"web1:4803\" is no connection string; write PORT for the Unix socket of that name, PORT@HOST, or tls:PORT@HOST",
            "addresses.private_name: the private name has 18 bytes; at most 10 are possible",
            "addresses.notify[0]: 10.0.0.7 has bits set beyond its /24; did you mean 10.0.0.0/24?",
            "addresses.notify[1]: neighbours have no throttle of their own; leave it out; frames_per_second holds for everything",
            "addresses.notify[2].throttle: 0 is not between 1 and 1000000; write 1 to 1000000",
            "addresses.lease: 1500ms is no whole number of seconds; write 2s: the kernel counts seconds",
            "addresses.module_directory: modules is no whole path; write it from the root",
            "addresses.retry_interval: 1ms is not between 100ms and 1h; write 100ms to 1h",
            "addresses.weight: 0 is not between 1 and 1000; write 1 to 1000",
            "addresses.capacity: 4097 is not between 0 and 4096; write 0 to 4096",
            "addresses.frames_per_second: 1 is not between 100 and 1000000; write 100 to 1000000",
            "addresses.control: \"wack.it\" is no whole path of a Unix socket; write it from the root: /run/wack.it",
            "addresses.socket: \"addresses.sock\" is no whole path of a Unix socket; write it from the root: /run/wack.it",
            "addresses.guardian.suspicion: 2s is not less than addresses.lease, 1500ms; make it less: after the lease the kernel has taken the addresses away",
            "addresses.guardian.port: 0 is not between 1 and 65535; write 1 to 65535",
            "addresses.stop_within: 1h is not between 0s and 5m; write 0s to 5m",
        ]
    );
}

#[test]
fn a_daemon_a_socket_and_a_status_that_are_read_and_cannot_be_are_told() {
    let host = "write a name or an address, and nothing behind it: 4803@web1, 4803@::1";
    for (line, message) in [
        ("daemon = \"0\"", "daemon: there is no port 0; write that of the daemon, such as 4803".to_owned()),
        ("daemon = \"0@web1\"", "daemon: there is no port 0; write that of the daemon, such as 4803".into()),
        ("daemon = \"4803@a b\"", format!("daemon: \"a b\" is no name of a host; {host}")),
        ("daemon = \"4803@127.0.0.1:9\"", format!("daemon: \"127.0.0.1:9\" is no name of a host; {host}")),
        ("daemon = \"tls:4804@x/\"", format!("daemon: \"x/\" is no name of a host; {host}")),
        ("control = \"/run/a\\u0000b\"", "control: a path has no NUL; take it out".into()),
        ("socket = \"/run/a\\u0000b\"", "socket: a path has no NUL; take it out".into()),
        (
            "[[health]]\nhttp = \"http://127.0.0.1/\"\nstatus = []",
            "health[0].status: with no status nothing that is answered is good; write [\"200-399\"], or leave it out".into(),
        ),
    ] {
        assert_eq!(told(&format!("{ONE}{line}")), [format!("addresses.{message}")]);
    }
    for daemon in ["4803", "4803@web_1.example.com", "4803@::1", "4803@fe80::1%eth0", "/run/bus"] {
        assert!(config(&format!("{ONE}daemon = \"{daemon}\"")).daemon.is_some());
    }
}

#[test]
fn hosts_that_are_in_no_network_of_an_address_are_warned_of() {
    let warned = |notify: &str| config(&format!("{ONE}notify = [{notify}]")).warnings;
    assert_eq!(warned("\"10.0.0.0/8\", \"10.0.0.7\", \"neighbours\""), [""; 0]);
    assert_eq!(
        warned("\"10.0.0.7\", \"fd00:88::/112\", { hosts = \"10.0.1.7\" }"),
        [
            "addresses.notify[1]: fd00:88::/112 is in the network of no address, so nobody there is told",
            "addresses.notify[2]: 10.0.1.7/32 is in the network of no address, so nobody there is told",
        ]
    );
}

#[test]
fn a_value_that_can_be_judged_alone_is_told_by_the_reader() {
    for (text, message) in [
        ("list = [\"10.0.0.256\"]", "\"10.0.0.256\" is no address; write four numbers"),
        (
            "list = [\"10.0.0.1/40\"]",
            "\"40\" is no length of a prefix; write a number from 1 to 32",
        ),
        ("list = [7]", "expected an address or a list of addresses"),
        ("list = [{ address = \"10.0.0.1\", sauce = true }]", "unknown field `sauce`"),
        ("[balance]\nper_round = 0", "0 is no number of sets; write 1 to 4096, or \"all\""),
        ("[balance]\nper_round = \"some\"", "\"some\" is no number of sets"),
        ("[[health]]\nstatus = [99]", "99 is no status; write a number from 100 to 599"),
        ("notify = [\"all\"]", "\"all\" is neither hosts nor \"neighbours\""),
        ("prefer = [\"db\"]", "\"db\" is no address; write the first address of the entry"),
        ("mature = 5", "expected text in quotes"),
        ("when_all_unhealthy = \"panic\"", "unknown variant `panic`"),
    ] {
        let error = toml::from_str::<AddressesSection>(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn more_addresses_than_possible_are_told_once() {
    let list: Vec<String> =
        (0..5000).map(|n| format!("\"10.1.{}.{}\"", n / 250, n % 250 + 1)).collect();
    let told = told(&format!("list = [{}]", list.join(",")));
    assert_eq!(
        told,
        [
            "addresses.list[4096]: there are more than 4096 addresses; leave some out, or let another group hold them"
        ]
    );
    assert_eq!(config(&format!("list = [{}]", list[..4096].join(","))).sets.len(), 4096);
}

#[test]
fn a_set_of_more_addresses_than_can_move_as_one_is_told_and_what_names_it_is_no_second_mistake() {
    let some = |n: u8| (1..=n).map(|i| format!("\"10.1.0.{i}\"")).collect::<Vec<_>>().join(",");
    let hook = "[[hook]]\nevent = \"on up\"\ncommand = [\"/bin/sh\"]\nsets = [";
    for (text, place) in [
        (format!("list = [[{}]]\nprefer = [\"10.1.0.1\"]", some(65)), "list[0]"),
        (format!("[[set]]\nname = \"big\"\naddresses = [{}]\n{hook}\"big\"]", some(65)), "set[0]"),
    ] {
        let message = "this set has 65 addresses, and at most 64 can move as one; leave some out, or make two sets of it";
        assert_eq!(told(&text), [format!("addresses.{place}: {message}")]);
    }
    for text in [format!("list = [[{}]]", some(64)), format!("[[set]]\naddresses = [{}]", some(64))]
    {
        let config = config(&text);
        let ips: Vec<IpAddr> = config.sets[0].addresses.iter().map(|address| address.ip).collect();
        // The core has no set that it cannot be.
        assert_eq!(vip::Set::new(&ips).map(|set| set.addresses().len()), Some(64));
    }
}

#[test]
fn a_majority_must_be_possible_and_wanted() {
    let set = "[[set]]\naddresses = [\"10.0.0.1\"]\nquorum = true\n";
    assert_eq!(
        told(set),
        [
            "addresses.set[0].quorum: it is not said which machines decide; write [addresses.quorum] with members = { web1 = 1, web2 = 1, web3 = 1 }"
        ]
    );
    let with = |members: &str| format!("{set}[quorum]\nmembers = {{ {members} }}\n");
    assert_eq!(
        told(&with("")),
        [
            "addresses.quorum: no machine is named, so there is no majority; write members = { web1 = 1, web2 = 1, web3 = 1 }"
        ]
    );
    assert_eq!(
        told(&with("web1 = 0, web2 = 0")),
        ["addresses.quorum.members: no majority is possible: nobody counts; give some more than 0"]
    );
    assert_eq!(
        told(&with("web1 = 1, web2 = 1001")),
        ["addresses.quorum.members.web2: 1001 is not between 0 and 1000; write 0 to 1000"]
    );
    assert_eq!(
        told(&with("web1 = 1, \"web 2\" = 1")),
        [
            "addresses.quorum.members: no machine is called \"web 2\"; write that of cluster.name on that machine"
        ]
    );
    assert_eq!(
        told(&format!("{ONE}[quorum]\nmembers = {{ web1 = 1 }}")),
        [
            "addresses.quorum: no set is held only with a majority; write quorum = true in a [[addresses.set]], or leave it out"
        ]
    );
    let warned = |members: &str| config(&with(members)).warnings.join("\n");
    assert_eq!(warned("web1 = 1, web2 = 1, web3 = 1"), "");
    assert!(
        warned("web2 = 1, web3 = 1, web4 = 1").contains("does not name this machine, \"web1\"")
    );
    assert!(warned("web1 = 1, web2 = 1").contains("when any one of the machines is away"));
    assert_eq!(warned("web1 = 3, web2 = 1"), "");
}

#[test]
fn a_program_that_may_take_longer_to_stop_a_set_under_quorum_than_it_is_waited_for_is_warned_of() {
    let warned = |quorum: bool, more: &str| {
        let set = "[[set]]\nname = \"db\"\naddresses = [\"10.0.0.1\"]\n[[set]]\naddresses = [\"10.0.0.2\"]\n";
        let quorum = if quorum {
            "quorum = true\n[quorum]\nmembers = { web1 = 1, web2 = 1, web3 = 1 }\n"
        } else {
            ""
        };
        let hook = "[[hook]]\nevent = \"on down\"\ncommand = [\"/bin/sh\"]\n";
        config(&format!("lease = \"3s\"\n{set}{quorum}{hook}{more}")).warnings
    };
    let all = warned(true, "timeout = \"4400ms\"\n");
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(
        all[0].starts_with("10.0.0.2 is under quorum and its hooks for \"on down\" may take 4400ms: of a machine that dies or is cut off others take it after 4400ms"),
        "{all:?}"
    );
    assert_eq!(warned(true, "timeout = \"4399ms\"\n"), [""; 0]);
    // Two run one after the other.
    let twice = "timeout = \"3s\"\n[[hook]]\nevent = \"on down\"\ncommand = [\"/bin/sh\"]\ntimeout = \"2s\"\n";
    assert_eq!(warned(true, twice).len(), 1);
    assert_eq!(warned(true, "sets = [\"db\"]\n"), [""; 0]);
    assert_eq!(warned(false, ""), [""; 0]);
}

#[test]
fn hosts_to_tell_are_counted_in_the_networks_of_the_addresses() {
    // Of a wide block only what lies in an address's network counts.
    config("list = [\"10.0.0.1\"]\nnotify = [\"10.0.0.0/8\"]");
    assert_eq!(
        told("list = [\"10.0.0.1/8\"]\nnotify = [\"10.0.0.0/8\"]"),
        [
            "addresses.notify[0]: 10.0.0.0/8 has more than 65536 hosts; write a block of /16 or more, or the neighbours that are known"
        ]
    );
    assert_eq!(
        told("list = [\"fd00::1\"]\nnotify = [\"fd00::/64\"]"),
        [
            "addresses.notify[0]: fd00::/64 has more than 65536 hosts; write a block of /112 or more, or the neighbours that are known"
        ]
    );
    config("list = [\"fd00::1\"]\nnotify = [\"fd00::/112\"]");
}

#[test]
fn checks_and_hooks_say_exactly_one_thing_that_is_there() {
    let told = told(
        r#"
        list = ["10.0.0.10"]
        [[health]]
        [[health]]
        name = "check1"
        tcp = "127.0.0.1"
        exit = 3
        [[health]]
        http = "https://127.0.0.1/"
        [[health]]
        command = ["/nowhere/check"]
        exit = 256
        [[hook]]
        command = ["promote"]
        [[hook]]
        event = "upon"
        [[hook]]
        event = "post up"
        module = "/nowhere/mine:up"
        sets = ["10.0.0.10"]
        [[hook]]
        event = "on up"
        module = "Pkg::up"
        sets = ["db"]
        "#,
    );
    assert_eq!(
        told,
        [
            "addresses.health[0]: it is not said what is looked at, or more than one thing is; write one of tcp, http, command and balancer = true",
            "addresses.health[1].name: another is called \"check1\"; write another name",
            "addresses.health[1].exit: this has a meaning only with command; leave it out",
            "addresses.health[1].tcp: \"127.0.0.1\" is no address with a port; write \"127.0.0.1:80\" or \"[::1]:80\"",
            "addresses.health[2].http: \"https://127.0.0.1/\" is no URL of an address; write \"http://127.0.0.1:8080/health\"; the name of a site stands in host",
            "addresses.health[3].command: /nowhere/check cannot be run: No such file or directory (os error 2); put it there, or correct the path",
            "addresses.health[3].exit: 256 is not between 0 and 255; write 0 to 255",
            "addresses.hook[0]: it is not said when it is run; write \"on up\", \"on down\", \"post up\" or \"post down\" as event",
            "addresses.hook[0].command: \"promote\" is no whole path; write the program's path from the root; no PATH is searched",
            "addresses.hook[1].event: \"upon\" is no event; write \"on up\", \"on down\", \"post up\" or \"post down\"",
            "addresses.hook[1]: it is not said what is run, or two things are; write one of command and module",
            "addresses.hook[2].module: there is neither /nowhere/mine nor /nowhere/mine.so; put it there, or set addresses.module_directory",
            "addresses.hook[2].sets: this event is not of single sets; leave it out, or write \"on up\" or \"on down\"",
            "addresses.hook[3].module: \"Pkg::up\" names no function of a file; write \"file:function\"",
            "addresses.hook[3].sets[0]: no set is called \"db\" or begins with this address; write the name of a [[addresses.set]], or a set's first address",
        ]
    );
}
