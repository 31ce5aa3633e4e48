//! The section read from real text, good and bad, and a fixed list beside it.

use super::*;
use crate::conf::SpreadConf;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    bus: BusSection,
}

fn key_of(byte: u8) -> ClusterKey {
    ClusterKey::from_bytes([byte; 32])
}

/// A key file is any whose name begins with `/key`.
fn read_key(path: &Path) -> Result<ClusterKey, KeyFault> {
    let fault = KeyFault { message: "there is no such file".into(), remedy: "make one".into() };
    if path.starts_with("/keys") { Ok(key_of(7)) } else { Err(fault) }
}

fn check_around(text: &str, key: Option<&ClusterKey>) -> Result<DaemonConfig, String> {
    let file: File =
        toml::from_str(&format!("[bus]\n{text}")).map_err(|e| e.message().to_owned())?;
    let here = ["10.0.0.132", "10.0.5.1"]
        .map(|ip| LocalAddress { interface: "eth0".into(), ip: ip.parse().unwrap() });
    let accept = AddrBlocks(nearby());
    let around = Around {
        name: "web1.example.net",
        here: &here,
        key,
        insecure: false,
        accept: &accept,
        read_key: &read_key,
    };
    file.bus.check(&around).map_err(|problems| problems.iter().map(|p| format!("{p}\n")).collect())
}

/// Without a key.
fn alone(text: &str) -> Result<DaemonConfig, String> {
    check_around(text, None)
}

/// With a key of the cluster.
fn keyed(text: &str) -> Result<DaemonConfig, String> {
    check_around(text, Some(&key_of(1)))
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn a_site_is_a_number_to_the_daemons_and_makes_them_patient() {
    let near = keyed("").unwrap();
    assert_eq!((near.site, near.timing), (0, Timing::default()));
    let (zurich, bern) = (keyed("site = \"zurich\"").unwrap(), keyed("site = \"bern\"").unwrap());
    assert!(zurich.site != 0 && bern.site != 0 && zurich.site != bern.site);
    assert_eq!(zurich.timing, Timing::WIDE_AREA);
    let both =
        keyed("site = \"bern\"\ntimeout_floor = \"200ms\"\ntimeout_ceiling = \"2s\"").unwrap();
    assert_eq!(both.timing.floor, Duration::from_millis(200));
    assert_eq!(both.timing.ceiling, Duration::from_secs(2));
}

#[test]
fn an_empty_section_without_a_key_stays_on_this_machine_and_says_so() {
    let config = alone("").unwrap();
    assert!(matches!(config.protection, Protection::Loopback));
    assert_eq!(config.membership, Membership::Found { segment: None, seeds: Vec::new() });
    assert_eq!(config.data.addresses, [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    assert!(config.accepts([127, 0, 0, 9].into()) && !config.accepts([10, 0, 0, 1].into()));
    assert_eq!(config.clients.listen, [socket("127.0.0.1:4803"), socket("[::1]:4803")]);
    assert!(config.clients.listen_is_assumed);
    let unix = config.clients.socket.unwrap();
    assert_eq!((unix.path.to_str().unwrap(), unix.mode), ("/tmp/4803", 0o666));
    assert_eq!((config.name.as_str(), config.clients.sessions), ("web1", 10_000));
    assert_eq!(config.timing, Timing::default());
    assert!(
        config.assumed.iter().any(|said| said.contains("loopback only")),
        "{:?}",
        config.assumed
    );
}

#[test]
fn a_key_opens_the_network() {
    let config = keyed("").unwrap();
    let Membership::Found { segment: Some(segment), .. } = &config.membership else { panic!() };
    assert_eq!((segment.to, segment.reach), (socket("239.192.48.3:4803"), Reach::Multicast));
    assert!(config.data.addresses.is_empty() && config.accepts([10, 0, 0, 1].into()));
    assert!(!config.accepts([203, 0, 113, 1].into()), "only what the cluster accepts");
    let Protection::Key { previous, .. } = &config.protection else { panic!() };
    assert!(previous.is_empty());
}

#[test]
fn a_section_with_everything_is_read() {
    let config = keyed(
        r#"
        name = "db-1"
        listen = ["10.0.5.1:4900"]
        accept_clients = ["10.0."]
        socket_mode = "0660"
        socket_owner = "root:0"
        address = "10.0.5.1"
        port = 4901
        segment = "10.0.5.63"
        seeds = ["web2", "[fd00::7]:4803"]
        key_file = "/keys/bus"
        previous_keys = ["/keys/old"]
        heartbeat = "10ms"
        timeout_floor = "30ms"
        timeout_ceiling = "500ms"
        sessions = 5
        backlog = "1MiB"
        backlog_messages = 1000
        backlog_time = "30s"
        priority = "realtime"
        "#,
    )
    .unwrap();
    assert_eq!(config.name.as_str(), "db-1");
    let Membership::Found { segment: Some(segment), seeds } = &config.membership else { panic!() };
    assert_eq!((segment.to, segment.reach), (socket("10.0.5.63:4901"), Reach::Broadcast));
    let seeds: Vec<_> = seeds.iter().map(ToString::to_string).collect();
    assert_eq!(seeds, ["web2:4901", "[fd00::7]:4803"]);
    let Protection::Key { previous, .. } = &config.protection else { panic!() };
    assert_eq!(previous.len(), 1);
    let unix = config.clients.socket.unwrap();
    assert_eq!(unix.path.to_str(), Some("/tmp/4900"));
    assert_eq!((unix.mode, unix.user, unix.group), (0o660, Some(0), Some(0)));
    let time = Duration::from_secs(30);
    let backlog = Backlog { bytes: 1 << 20, messages: Some(1000), time };
    assert_eq!(config.clients.backlog, backlog);
    assert_eq!((config.clients.sessions, config.priority), (5, Priority::Realtime));
    assert!(!config.clients.listen_is_assumed && config.assumed.is_empty());
}

#[test]
fn without_a_key_the_network_is_refused_at_each_place() {
    for text in [
        "address = \"10.0.5.1\"",
        "segment = \"239.192.48.3\"",
        "seeds = [\"web2\"]",
        "seeds = [\"10.0.5.2:4803\"]",
    ] {
        let error = alone(text).unwrap_err();
        assert!(error.contains("no key; set cluster.key_file"), "{text}: {error}");
        assert!(keyed(text).is_ok() && alone(&format!("{text}\ninsecure = true")).is_ok());
    }
    let here = "seeds = [\"127.0.0.2:4900\", \"localhost:4901\"]\nsegment = \"127.0.0.255\"";
    assert!(alone(here).is_ok());
    let insecure = alone("insecure = true").unwrap();
    assert!(matches!(insecure.protection, Protection::Insecure));
}

#[test]
fn every_mistake_names_what_to_write_instead() {
    for (text, reason) in [
        ("nmae = \"x\"", "unknown field `nmae`"),
        ("name = \"web 1\"", "byte 0x20 at position 3"),
        ("name = \"a-very-long-machine-name\"", "has 24 bytes"),
        ("listen = [\"10.0.0.1\"]", "invalid socket address"),
        ("listen = [\"127.0.0.1:0\"]", "port 0"),
        ("listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "bus.listen[1]: 127.0.0.1:1 stands twice"),
        ("listen = []\nsocket = \"none\"", "no client could connect"),
        ("accept_clients = []", "nobody is accepted"),
        ("socket = \"tmp/4803\"", "write it from the root"),
        ("socket_mode = \"rw\"", "three or four octal digits"),
        ("socket_owner = \"no such\"", "names no user"),
        ("socket_owner = \"nosuchuser\"", "there is no user \"nosuchuser\" on this machine"),
        ("port = 0", "0 is not a port"),
        ("address = \"239.1.1.1\"", "not an address of one machine"),
        ("segment = \"fd00::1\"", "neither a multicast nor a broadcast address"),
        ("address = \"10.0.5.1\"\nsegment = \"ff05::1\"", "cannot be reached from bus.address"),
        ("segment_interface = \"eth1\"\nsegment = \"none\"", "no multicast group for it"),
        ("seeds = [\"web 2\"]", "is no host"),
        ("key_file = \"key\"", "is relative"),
        ("key_file = \"/absent\"", "no such file; make one"),
        (
            "previous_keys = [\"/keys/1\", \"/absent\"]",
            "bus.previous_keys[1]: there is no such file",
        ),
        ("heartbeat = \"26ms\"", "26ms is not between 5ms and 25ms"),
        ("heartbeat = 5", "invalid type"),
        ("timeout_floor = \"50ms\"", "less than three times bus.heartbeat; write 75ms or more"),
        ("timeout_ceiling = \"80ms\"", "80ms is less than bus.timeout_floor, 100ms"),
        ("timeout_floor = \"2s\"", "2s is more than bus.timeout_ceiling, 1s; write both"),
        ("sessions = 0", "0 is not between 1 and 100000"),
        ("backlog = \"1KiB\"", "1KiB is not between 256KiB and 4GiB"),
        ("backlog_messages = 0", "not between 1 and 1000000000"),
        ("priority = \"high\"", "unknown variant `high`"),
    ] {
        let error = keyed(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
    let told = alone("key_file = \"/absent\"\naddress = \"10.0.5.1\"").unwrap_err();
    assert_eq!(
        told.lines().count(),
        1,
        "what follows from a key that cannot be read is not told: {told}"
    );
    let orphans = alone("previous_keys = [\"/keys/old\"]").unwrap_err();
    assert!(orphans.contains("there is no key"), "{orphans}");
}

const TWO: &str = include_str!("../../tests/conf/appendix-two-daemons.conf");
const EVERYTHING: &str = include_str!("../../tests/conf/everything.conf");

fn parse(text: &str) -> SpreadConf {
    SpreadConf::parse(text, &mut |_, _| Ok([10, 0, 0, 7].into())).unwrap()
}

fn with_key() -> Secrets {
    Secrets { key: Some(key_of(1)), ..Secrets::default() }
}

#[test]
fn a_list_of_two_is_taken_in_its_order() {
    let config = DaemonConfig::from_conf(&parse(TWO), 1, with_key()).unwrap();
    assert_eq!(config.name.as_str(), "www-0-2");
    let Membership::Fixed(list) = &config.membership else { panic!() };
    let members: Vec<_> = list.members.iter().map(|m| (m.name.as_str(), m.address)).collect();
    let [first, second] = ["10.0.0.132:4913", "10.0.0.133:4913"].map(socket);
    assert_eq!(members, [("www-0-1", first), ("www-0-2", second)]);
    assert_eq!((list.me, list.wide_area, list.hash), (1, false, parse(TWO).hash()));
    assert_eq!(list.segments[0][0].to, socket("10.0.0.255:4913"));
    assert_eq!(config.clients.listen, [socket("0.0.0.0:4913")]);
    assert_eq!(config.clients.socket.as_ref().unwrap().path.to_str(), Some("/tmp/4913"));
    assert_eq!(config.clients.backlog.messages, None);
    assert!(config.dangerous_monitor && config.data.addresses.is_empty());
    assert!(config.accepts(first.ip()) && !config.accepts([10, 0, 0, 134].into()));
    assert!(config.clients.accept.contains([203, 0, 113, 1].into()), "as the original");
    let privileges = config.privileges.unwrap();
    assert_eq!((privileges.user.as_str(), privileges.group.as_str()), ("spread", "spread"));
}

#[test]
fn interfaces_ids_windows_and_methods_are_taken_from_the_file() {
    let config = DaemonConfig::from_conf(&parse(EVERYTHING), 0, with_key()).unwrap();
    assert_eq!(config.clients.listen, [socket("10.1.5.1:4803")]);
    assert_eq!(config.data.addresses, ["10.0.5.1".parse::<IpAddr>().unwrap()]);
    let Membership::Fixed(list) = &config.membership else { panic!() };
    assert_eq!((list.members[0].id, list.members.len()), (17, 4));
    assert_eq!(list.segments[0].len(), 2, "everything goes to both addresses");
    assert_eq!(config.flow, Flow { window: Some(80), accelerated: Some(10) });
    assert_eq!(config.timing.ceiling, Duration::from_secs(5));
    assert_eq!(config.clients.auth.required, [AuthMethod::Ip]);
    let said = config.warnings.join("\n");
    assert!(
        said.contains("lets nobody in") && said.contains("HurryTimeout changes nothing here"),
        "{said}"
    );
}

#[test]
fn a_window_or_a_timeout_beyond_what_there_is_here_is_said() {
    let said = |text: &str| {
        let text = format!("{text}\nSpread_Segment 10.0.0.255 {{ a 10.0.0.1 }}");
        let config = DaemonConfig::from_conf(&parse(&text), 0, with_key()).unwrap();
        config.warnings.join("\n")
    };
    assert!(said("Window = 999999999").contains("Window = 999999999 counts as 512"));
    assert_eq!(said("Window = 512"), "");
}

#[test]
fn segments_of_one_daemon_and_addresses_of_one_machine_are_no_targets() {
    let text = "Spread_Segment 10.0.0.255 { a 10.0.0.1 }\nSpread_Segment 10.1.0.1 { b 10.1.0.1 c 10.1.0.2 }";
    let config = DaemonConfig::from_conf(&parse(text), 0, with_key()).unwrap();
    let Membership::Fixed(list) = &config.membership else { panic!() };
    assert_eq!(list.segments, [vec![], vec![]]);
    assert!(list.wide_area && list.members[2].segment == 1);
}

#[test]
fn a_regular_ring_is_asked_for_with_false() {
    let flow = |options: &str| {
        let text = format!("Spread_Segment 127.0.0.255 {{ a 127.0.0.1 }} {options}");
        DaemonConfig::from_conf(&parse(&text), 0, Secrets::default()).unwrap().flow.accelerated
    };
    assert_eq!(flow(""), None);
    assert_eq!(flow("AcceleratedRing = false AcceleratedWindow = 9"), Some(0));
    assert_eq!(flow("AcceleratedRing = true"), Some(15));
}

#[test]
fn a_list_on_the_network_needs_a_key_and_the_ways_out_are_named() {
    let error =
        DaemonConfig::from_conf(&parse(TWO), 0, Secrets::default()).unwrap_err().to_string();
    for way in [
        "10.0.0.132 is on the network",
        "backhand key > /etc/backhand/cluster.key",
        "--key-file",
        "--insecure",
        "loopback",
    ] {
        assert!(error.contains(way), "{error}");
    }
    let insecure = Secrets { insecure: true, ..Secrets::default() };
    let config = DaemonConfig::from_conf(&parse(TWO), 0, insecure).unwrap();
    assert!(matches!(config.protection, Protection::Insecure));
    let local = parse("Spread_Segment 127.0.0.255 { a 127.0.0.1 }");
    let config = DaemonConfig::from_conf(&local, 0, Secrets::default()).unwrap();
    assert!(matches!(config.protection, Protection::Loopback));
}

#[test]
fn a_section_may_name_a_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spread.conf");
    std::fs::write(&path, TWO).unwrap();
    let named = format!("spread_conf = {path:?}\n");
    let config = keyed(&format!("{named}backlog = \"1MiB\"\nsocket = \"/run/bus\"")).unwrap();
    assert_eq!(config.name.as_str(), "www-0-1");
    assert_eq!((config.clients.backlog.bytes, config.clients.backlog.messages), (1 << 20, None));
    assert_eq!(config.clients.socket.unwrap().path.to_str(), Some("/run/bus"));
    let error = alone(&named).unwrap_err();
    assert!(error.contains("10.0.0.132 is on the network but there is no key"), "{error}");
    let error = keyed(&format!("{named}name = \"www-0-2\"")).unwrap_err();
    assert!(error.contains("bus.name: www-0-2 has the address 10.0.0.133"), "{error}");
    let error = keyed(&format!("{named}port = 4803\nseeds = [\"a\"]")).unwrap_err();
    assert!(error.contains("bus.port: bus.spread_conf says this") && error.contains("bus.seeds: "));
    std::fs::write(&path, "Spread_Segment 10.0.0.255 {\n a 10.0.0.300\n b\n}\n").unwrap();
    let error = keyed(&named).unwrap_err();
    assert!(
        error.contains(
            "spread.conf: line 2, column 4: \"10.0.0.300\": this is not an address; write"
        ),
        "{error}"
    );
    let error = keyed("spread_conf = \"spread.conf\"").unwrap_err();
    assert!(error.contains("is relative"), "{error}");
}

/// A section with these lines about TLS, in which @ is a folder of certificates.
fn by_tls(lines: &str) -> Result<DaemonConfig, String> {
    let folder = tempfile::TempDir::new().unwrap();
    testkit::certificates::write(folder.path());
    alone(&lines.replace('@', &format!("{}/", folder.path().display())))
}

const TLS_FILES: &str =
    "tls_certificate = \"@server.pem\"\ntls_key = \"@server.key\"\ntls_client_ca = \"@ca.pem\"\n";

#[test]
fn clients_by_tls_have_their_own_port_and_addresses() {
    let config = by_tls(&format!("{TLS_FILES} tls_listen = [\"0.0.0.0:4804\"]")).unwrap();
    let tls = config.clients.tls.as_ref().unwrap();
    assert_eq!(
        (&tls.listen[..], &tls.accept),
        (&[socket("0.0.0.0:4804")][..], &config.clients.accept)
    );
    assert_eq!(tls.identity.subject, "CN=bus");
    let anywhere = "tls_listen = [\"0.0.0.0:4805\"]\ntls_accept_clients = [\"0.0.0.0/0\"]";
    let other = by_tls(&format!("{TLS_FILES}{anywhere}\nlisten = []\nsocket = \"none\"")).unwrap();
    let accept = &other.clients.tls.as_ref().unwrap().accept;
    assert!(
        accept.contains([203, 0, 113, 1].into())
            && !other.clients.accept.contains([203, 0, 113, 1].into())
    );
    assert_eq!(config.differs_for_good(&other), ["where clients connect"]);
    assert!(alone("").unwrap().clients.tls.is_none());
}

#[test]
fn mistakes_about_tls_name_the_key() {
    let listen = "tls_listen = [\"127.0.0.1:4804\"]";
    for (text, words) in [
        (
            TLS_FILES.to_owned(),
            &["bus.tls_certificate", "bus.tls_client_ca", "names no address"][..],
        ),
        (listen.to_owned(), &["tls_key is not", "bus.tls_client_ca; docs/bus.md"]),
        (
            format!("{TLS_FILES}tls_listen = [\"127.0.0.1:4803\"]"),
            &["without TLS", "127.0.0.1:4804"],
        ),
        (format!("{TLS_FILES}tls_listen = [\"127.0.0.1:0\"]"), &["bus.tls_listen[0]", "port 0"]),
        (
            format!("{TLS_FILES}{listen}\ntls_accept_clients = []"),
            &["bus.tls_accept_clients", "nobody"],
        ),
        (
            format!("{}{listen}", TLS_FILES.replace("@server.key", "@client.key")),
            &["bus.tls_key", "is not that of the certificate"],
        ),
        (format!("{}{listen}", TLS_FILES.replace("@ca", "ca")), &["bus.tls_client_ca", "relative"]),
    ] {
        let said = by_tls(&text).unwrap_err();
        words.iter().for_each(|word| assert!(said.contains(word), "{word}: {said}"));
    }
}

#[test]
fn another_list_is_taken_while_the_daemon_runs_unless_it_makes_it_another_daemon() {
    let of = |text: &str, me| DaemonConfig::from_conf(&parse(text), me, with_key()).unwrap();
    let before = of("Spread_Segment 10.0.0.255 { a 10.0.0.1 b 10.0.0.2 }", 1);
    for (text, me, taken, differs) in [
        ("Spread_Segment 10.0.0.255 { a 10.0.0.1 b 10.0.0.2 c 10.0.0.3 }", 1, true, ""),
        ("Spread_Segment 239.1.2.3 { b 10.0.0.2 a 10.0.0.9 VirtualID = 7 }", 0, true, ""),
        ("Spread_Segment 10.0.0.255 { a 10.0.0.1 b 10.0.0.2 } Window = 9", 1, true, ""),
        ("Spread_Segment 10.0.0.255 { a 10.0.0.1 b 10.0.0.4 }", 1, false, "the address"),
        (
            "Spread_Segment 10.0.0.255 { a 10.0.0.1 b 10.0.0.2 VirtualID = 7 }",
            1,
            false,
            "the address",
        ),
        ("Spread_Segment 10.0.0.255 { a 10.0.0.1 c 10.0.0.2 }", 1, false, "the name"),
        ("Spread_Segment 10.0.0.255:5000 { a 10.0.0.1 b 10.0.0.2 }", 1, false, "the address"),
    ] {
        let new = of(text, me);
        assert_eq!(!before.is_another_daemon(&new), taken, "{text}");
        let said = before.differs_for_good(&new);
        let first = said.first().copied().unwrap_or_default();
        assert!(first.starts_with(differs) && said.is_empty() == differs.is_empty(), "{said:?}");
    }
}
