//! Single directives, what is different from the original, and what is told of mistakes.

use std::net::IpAddr;
use std::time::Duration;

use spread_client::Endpoint;

use super::*;
use crate::config::{Balance, HookEvent, HookRun, Notify, PerRound};

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn read(text: &str) -> Result<Parsed, Vec<Mistake>> {
    let mut resolve = |name: &str| match name {
        "web1" => Ok(vec![ip("10.0.0.2"), ip("10.0.0.77")]),
        "web2" => Ok(vec![ip("10.9.9.9")]),
        _ => Err("nobody has this name".into()),
    };
    let mut module = |folder: &Path, file: &str| match file {
        "mine" => Ok(folder.join("mine.so")),
        _ => Err(format!("there is no {file}")),
    };
    parse(text, "web1", &mut Ask { resolve: &mut resolve, module: &mut module })
}

pub(super) fn parsed(text: &str) -> Parsed {
    read(text).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:#?}"))
}

fn told(text: &str) -> Vec<String> {
    match read(text) {
        Ok(parsed) => panic!("{text}: {parsed:#?}"),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

const VIFS: &str =
    "VIFs { eth0:10.0.0.1/32 { eth0:10.0.0.2/32 eth1:10.0.1.2/32 } eth0:10.0.0.3/32 }\n";

fn with(text: &str) -> String {
    format!("{VIFS}{text}")
}

#[test]
fn an_empty_file_has_the_defaults_of_the_manual() {
    let Parsed { config, spread_is_written } = parsed("");
    assert!(!spread_is_written && config.historical && config.sets.is_empty());
    assert_eq!(config.daemon, Some(Endpoint::Unix("/tmp/4803".into())));
    assert_eq!(config.retry_interval, Duration::from_secs(5));
    assert_eq!(config.mature, Duration::from_secs(5));
    let balance = Balance { interval: Duration::from_secs(4), per_round: PerRound::Number(1) };
    assert_eq!(config.balance, balance);
    assert_eq!((config.share_neighbours_every, config.control), (None, None));
    assert_eq!((config.module_dir, config.prefer_after), (".".into(), Duration::ZERO));
    assert_eq!(config.warnings, ["there are no VirtualInterfaces: nothing will be held"]);
    assert_eq!(
        parsed("Notify arp-cache").config.share_neighbours_every,
        Some(Duration::from_secs(60))
    );
}

#[test]
fn an_hour_is_an_hour_and_units_have_any_case() {
    for (text, seconds) in
        [("5h", 18_000), ("2H", 7200), ("3m", 180), ("3M", 180), ("0s", 0), ("7S", 7)]
    {
        let mature = parsed(&format!("Mature = {text}")).config.mature;
        assert_eq!(mature, Duration::from_secs(seconds), "{text}");
    }
}

#[test]
fn an_equals_sign_needs_no_blanks() {
    let config =
        parsed("Group=wack1\nMature=7s Balance{Interval=2s AcquisitionsPerRound=all}Spread=4900")
            .config;
    assert_eq!((config.group.as_bytes(), config.mature.as_secs()), (&b"wack1"[..], 7));
    assert_eq!((config.balance.interval.as_secs(), config.balance.per_round), (2, PerRound::All));
    assert_eq!(config.daemon, Some(Endpoint::Unix("/tmp/4900".into())));
}

#[test]
fn the_daemon_is_a_port_a_port_of_a_host_or_a_socket() {
    for (text, endpoint) in [
        ("3777", Endpoint::Unix("/tmp/3777".into())),
        ("\"3777\"", Endpoint::Unix("/tmp/3777".into())),
        ("4803@web7", Endpoint::Tcp { host: "web7".into(), port: 4803 }),
        ("/run/bus", Endpoint::Unix("/run/bus".into())),
    ] {
        let parsed = parsed(&format!("Spread = {text}"));
        assert!(parsed.spread_is_written);
        assert_eq!(parsed.config.daemon, Some(endpoint), "{text}");
    }
}

#[test]
fn all_spellings_in_any_case_and_directives_that_add_up() {
    let config = parsed(
        "virtualINTERFACES { eth0:10.0.0.1/32 }\nvips { { 10.0.0.2/24n22 } }\nVIFS { eth0:[fd00::1]/64 eth1:fd00::2/128 }\nNOTIFY NONE\nPREFER NONE",
    )
    .config;
    let sets: Vec<String> = config
        .sets
        .iter()
        .map(|set| {
            let first = &set.addresses[0];
            format!("{:?} {}/{}n{}", first.interface, first.ip, first.prefix, first.net)
        })
        .collect();
    assert_eq!(
        sets,
        [
            "Some(\"eth0\") 10.0.0.1/32n24",
            "None 10.0.0.2/24n22",
            "Some(\"eth0\") fd00::1/64n64",
            "Some(\"eth1\") fd00::2/128n64",
        ]
    );
    assert!(config.notify.is_empty() && config.prefer.is_empty());
}

#[test]
fn the_network_around_an_address_is_a_24_unless_another_is_written() {
    let config = parsed(
        "VIFs { eth0:10.1.1.5/8 eth0:10.1.2.5/16 eth0:10.1.3.0/32 eth0:10.1.4.9/28 eth0:10.1.5.5/16n20 eth0:[fd00::1]/48 }\nNotify { eth0:10.0.0.0/8 }",
    )
    .config;
    let addresses = config.sets.iter().map(|set| &set.addresses[0]);
    let nets: Vec<(u8, u8)> = addresses.map(|one| (one.prefix, one.net)).collect();
    assert_eq!(nets, [(8, 24), (16, 24), (32, 24), (28, 24), (16, 20), (48, 48)]);
}

#[test]
fn a_set_of_more_addresses_than_can_move_as_one_is_told() {
    let set = |n: u8| {
        let all: Vec<String> = (1..=n).map(|i| format!("eth0:10.1.0.{i}/32")).collect();
        format!("VIFs {{\n  {{ {} }}\n}}\n", all.join(" "))
    };
    assert_eq!(
        told(&(set(65) + "Prefer 10.1.0.1\n")),
        [
            "line 2, column 3: \"{\": this set has 65 addresses, and at most 64 can move as one; leave some out, or make two sets of it"
        ]
    );
    let config = parsed(&set(64)).config;
    let ips: Vec<IpAddr> = config.sets[0].addresses.iter().map(|address| address.ip).collect();
    assert!(vip::Set::new(&ips).is_some());
}

#[test]
fn of_a_scalar_that_stands_twice_the_last_counts_and_it_is_said() {
    let config = parsed("Group = a\ngroup = b\nMature = 1s\n").config;
    assert_eq!(config.group.as_bytes(), b"b");
    let said = "line 2: group stands more than once; the last one counts";
    assert!(config.warnings.iter().any(|warning| warning == said), "{:?}", config.warnings);
}

#[test]
fn preferences_are_addresses_blocks_lists_and_names() {
    for (text, heads) in [
        ("Prefer None", &[][..]),
        ("Prefer eth0:10.0.0.3/32", &["10.0.0.3"]),
        ("Prefer 10.0.0.3", &["10.0.0.3"]),
        ("Prefer eth0:10.0.0.2/31", &["10.0.0.2", "10.0.0.3"]),
        ("Prefer { eth0:10.0.0.3/32 10.0.0.1/32 10.0.0.3/32 }", &["10.0.0.3", "10.0.0.1"]),
        ("Prefer eth0:10.0.0.1/32 Prefer \"10.0.0.2\"", &["10.0.0.1", "10.0.0.2"]),
        ("Prefer web1", &["10.0.0.2"]),
        ("Prefer { \"web1\" 10.0.0.1/32 }", &["10.0.0.2", "10.0.0.1"]),
    ] {
        let prefer: Vec<String> =
            parsed(&with(text)).config.prefer.iter().map(ToString::to_string).collect();
        assert_eq!(prefer, heads, "{text}");
    }
    for (text, message) in [
        (
            "Prefer 10.0.1.2/32",
            "line 2, column 8: \"10.0.1.2/32\": 10.0.1.2 is not the first address of its set; write 10.0.0.2, the first: a set moves as one",
        ),
        (
            "Prefer 10.0.0.9/32",
            "line 2, column 8: \"10.0.0.9/32\": 10.0.0.9 is none of the addresses; write the first address of a set",
        ),
        (
            "Prefer 10.5.0.0/16",
            "line 2, column 8: \"10.5.0.0/16\": no set begins with an address of 10.5.0.0/16; write the first address of a set",
        ),
        (
            "Prefer web2",
            "line 2, column 8: \"web2\": no set begins with an address of this name (10.9.9.9); write the first address of a set",
        ),
        (
            "Prefer web3",
            "line 2, column 8: \"web3\": the name leads to no address: nobody has this name; write the address, or None",
        ),
        (
            "Prefer",
            "line 3, column 1: the file ends, but an address is expected behind Prefer; write Prefer None, or an address of VirtualInterfaces",
        ),
    ] {
        let text = format!("{}\n", with(text));
        assert_eq!(told(&text), [message], "{text}");
    }
}

#[test]
fn a_preference_for_what_is_mistaken_elsewhere_is_no_second_mistake() {
    for wanted in ["127.0.0.1/32", "127.0.0.0/24", "10.0.0.1/32 127.0.0.1/32"] {
        let text =
            format!("VIFs {{ eth0:127.0.0.1/32 eth0:10.0.0.1/32 }}\nPrefer {{ {wanted} }}\n");
        let told = told(&text);
        assert!(told.len() == 1 && told[0].contains("loopback"), "{wanted}: {told:?}");
    }
}

#[test]
fn who_is_told_has_throttle_and_ping_in_any_order() {
    let config = parsed(&with(
        "Notify arp-cache\nNotify { eth0:10.0.0.0/24 throttle 16 ping eth1:10.0.1.7/32 PING Throttle 0\n arp-cache ping 10.0.0.9/32 }",
    ))
    .config;
    let told: Vec<String> = config
        .notify
        .iter()
        .map(|whom| match whom {
            Notify::Neighbours { ping } => format!("cache {ping}"),
            Notify::Hosts { interface, block, throttle, ping } => {
                format!("{interface:?} {block} {throttle:?} {ping}")
            }
        })
        .collect();
    assert_eq!(
        told,
        [
            "cache false",
            "Some(\"eth0\") 10.0.0.0/24 Some(16) true",
            "Some(\"eth1\") 10.0.1.7/32 None true",
            "cache true",
            "None 10.0.0.9/32 None false",
        ]
    );
}

#[test]
fn functions_of_shared_objects_are_hooks() {
    let config = parsed(
        "ModuleDir = /usr/lib/wack\nRunDynamic mine:up on up\nRunDynamic \"mine:down\" POST Down",
    )
    .config;
    let hooks: Vec<_> = config.hooks.iter().map(|hook| (hook.event, hook.run.clone())).collect();
    let module = |symbol: &str| HookRun::Module {
        file: "/usr/lib/wack/mine.so".into(),
        symbol: symbol.into(),
    };
    assert_eq!(hooks, [(HookEvent::OnUp, module("up")), (HookEvent::PostDown, module("down"))]);
}

#[test]
fn what_perl_did_is_a_mistake_that_says_what_to_use_instead() {
    let instead = "make an executable of it and name it in [[addresses.hook]] of backhand.toml, or a C function: RunDynamic \"file:function\" on up";
    assert_eq!(told("PerlUseLib /opt/lib\nPerlUse Some::Module\nRunDynamic Pkg::func on up\nRunDynamic func on down\nRunDynamic other:f on up"), [
        format!("line 1, column 1: \"PerlUseLib\": there is no Perl in this program; {instead}"),
        format!("line 2, column 1: \"PerlUse\": there is no Perl in this program; {instead}"),
        format!("line 3, column 12: \"Pkg::func\": this is a function of Perl, and there is no Perl in this program; {instead}"),
        format!("line 4, column 12: \"func\": this is a function of Perl, and there is no Perl in this program; {instead}"),
        "line 5, column 12: \"other:f\": there is no other; put it there, or write ModuleDir and its folder".into(),
    ]);
}

#[test]
fn a_log_facility_changes_nothing_and_that_is_said() {
    let warnings = parsed(&with("LogFacility = daemon")).config.warnings;
    assert!(
        warnings.len() == 1
            && warnings[0].starts_with("LogFacility = daemon: as with the original")
            && warnings[0].contains("goes to the system's with the facility daemon")
    );
}

#[test]
fn mistakes_are_told_all_at_once_with_line_and_column() {
    let text = "Grupp = wack1
Spread 4803
Mature = 5
Arp-Cache = 90ms
Balance { Interval = 0s AcquisitionsPerRound = 0 }
Balance { }
VirtualInterfaces {
  eth0:10.0.0.256/32
  eth0:10.0.0.1/33
  { eth0:10.0.0.1/32 eth0:10.0.0.2 }
  eth0:10.0.0.1/32
  { }
  eth0:127.0.0.1/32
}
Notify { eth0:10.0.0.1/32 throttle fast }
Control = wack.it
Group = all
}
";
    assert_eq!(
        told(text),
        [
            "line 1, column 1: \"Grupp\": this is no directive; did you mean Group?",
            "line 2, column 8: \"4803\": an equals sign is expected behind Spread; write Spread = and its value",
            "line 3, column 10: \"5\": this is no time for Mature; write 5s for seconds, 5m for minutes or 5h for hours",
            "line 4, column 13: \"90ms\": this is no time for Arp-Cache; write a whole number and s, m or h: 5s",
            "line 5, column 22: \"0s\": this time is not between 1s and 24h; write 1s to 24h",
            "line 5, column 48: \"0\": this is no number of moves in a round; write 1 to 4096, or all",
            "line 6, column 1: \"Balance\": nothing stands between the braces; write Interval = 4s, AcquisitionsPerRound = all, or leave Balance out",
            "line 8, column 3: \"eth0:10.0.0.256/32\": this is no address; write eth0:10.0.0.1/32, with numbers from 0 to 255, or eth0:[fd00::1]/128",
            "line 9, column 3: \"eth0:10.0.0.1/33\": the number behind the slash is no length of a prefix; write a number from 1 to 32 behind the slash",
            "line 10, column 22: \"eth0:10.0.0.2\": the length of the prefix is missing; write eth0:10.0.0.2/32, or the length of its network",
            "line 11, column 3: \"eth0:10.0.0.1/32\": 10.0.0.1 stands in another set as well; leave one of the two out",
            "line 12, column 3: \"{\": this set has no address; write at least one, or leave the set out",
            "line 13, column 3: \"eth0:127.0.0.1/32\": 127.0.0.1 is a loopback address: each machine has it for itself; write an address that clients of a network can reach",
            "line 15, column 36: \"fast\": a number of hosts a second is expected behind throttle; write 0 to 1000000, such as throttle 16",
            "line 16, column 11: \"wack.it\": \"wack.it\" is no whole path of a Unix socket; write it from the root: /run/wack.it",
            "line 17, column 9: \"all\": this word has a meaning of its own, and a text is expected for Group; write it between quotes: \"all\"",
        ]
    );
}

#[test]
fn braces_out_of_step_are_told_where_they_show() {
    for (text, message) in [
        (
            "VIFs { eth0:10.0.0.1/32\nGroup = a\nMature = x\n",
            "line 2, column 1: \"Group\": the brace of line 1 is not closed before this; write } before it",
        ),
        (
            "VIFs { { eth0:10.0.0.1/32 }\nArp-Cache = 1\n",
            "line 2, column 1: \"Arp-Cache\": the brace of line 1 is not closed before this; write } before it",
        ),
        (
            "VIFs {\n{ eth0:10.0.0.1/32 }",
            "line 2, column 21: the file ends, but the brace of line 1 is not closed; write } at its end",
        ),
        (
            "}",
            "line 1, column 1: \"}\": there is no open brace that this closes; write a directive such as Group or VirtualInterfaces; # makes a comment of the line",
        ),
        (
            "VIFs eth0:10.0.0.1/32",
            "line 1, column 6: \"eth0:10.0.0.1/32\": an opening brace is expected behind VIFs; write VIFs { ... }",
        ),
        (
            "Interval = 4s",
            "line 1, column 1: \"Interval\": this is no directive; write it between the braces of Balance: Balance { Interval = ... }",
        ),
        (
            "Balance { Rounds = 4s }",
            "line 1, column 11: \"Rounds\": this says nothing about balance; write Interval = 4s or AcquisitionsPerRound = all",
        ),
        (
            "RunDynamic mine:up on  top",
            "line 1, column 20: \"on\": an event is expected behind the function of RunDynamic; write on up, on down, post up or post down",
        ),
        (
            "Notify { arp-cache throttle 5 ping }",
            "line 1, column 20: \"throttle\": arp-cache takes no throttle; leave it out, and the number behind it",
        ),
        (
            "Prefer all",
            "line 1, column 8: \"all\": an address or the name of a host is expected; write None, eth0:10.0.0.1/32, or the name of a host",
        ),
        (
            "Group =",
            "line 1, column 8: the file ends, but a text is expected for Group; write it, between quotes if it has blanks",
        ),
        (
            "Group = 'wack 1'",
            "line 1, column 9: \"wack 1\": the group name has byte 0x20 at position 4; possible are the characters from '$' to '~', which leaves out space, '!', '\"' and '#'",
        ),
        (
            "Spread = wack",
            "line 1, column 10: \"wack\": this is no address of a daemon of the bus; write PORT for the Unix socket of that name, PORT@HOST, or tls:PORT@HOST",
        ),
        (
            "Spread = 4803@127.0.0.1:9",
            "line 1, column 10: \"4803@127.0.0.1:9\": \"127.0.0.1:9\" is no name of a host; write a name or an address, and nothing behind it: 4803@web1, 4803@::1",
        ),
    ] {
        let told = told(text);
        assert_eq!(told[0], message, "{text}: {told:#?}");
    }
}

#[test]
fn a_mistake_is_shown_with_its_line_and_a_caret() {
    let text = "Group = a\nVIFs {\n\teth0:10.0.0.300/32 # x\n}\n";
    let mistakes = read(text).unwrap_err();
    assert_eq!(
        mistakes[0].render("wackamole.conf", text),
        "error: \"eth0:10.0.0.300/32\": this is no address\n --> wackamole.conf:3:2\n  |\n3 | \teth0:10.0.0.300/32 # x\n  | \t^^^^^^^^^^^^^^^^^^\n  help: write eth0:10.0.0.1/32, with numbers from 0 to 255, or eth0:[fd00::1]/128\n"
    );
}

#[test]
fn nobody_is_told_more_than_can_be_read() {
    let mistakes = told(&"Nonsense = 1\nGroup = a\n".repeat(500));
    assert_eq!(mistakes.len(), MISTAKES_MAX + 1);
    assert!(mistakes[MISTAKES_MAX].contains("more mistakes follow; mend these first"));
    assert_eq!(told(&" ".repeat(TEXT_MAX + 1)).len(), 1);
}
