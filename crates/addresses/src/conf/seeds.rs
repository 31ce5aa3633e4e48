//! Every `wackamole.conf` of the documents, as it stands there: all of them load, whole ones and parts.

use super::tests::{ip, parsed};
use crate::config::{Block, Notify, PerRound};

/// The slides, example .1: four web servers.
const WEB: &str = "Spread = 4803
SpreadRetryInterval = 5s
Group = wack1
Control = /var/run/wack.it

Mature = 5s
Balance {
    interval = 4s
    AcquisitionsPerRound = all
}
Arp-Cache = 90s

Prefer None
VirtualInterfaces {
    { eth0:192.168.12.15/32 }
    { eth0:192.168.12.16/32 }
    { eth0:192.168.12.17/32 }
    { eth0:192.168.12.18/32 }
}
Notify {
    eth0:192.168.12.1/32
    arp-cache
}
";

/// The slides, example .2: two routers of three networks, first half.
const ROUTER: &str = "Spread = 3777
SpreadRetryInterval = 5s
Group = wack1
Control = /var/run/wack.it

mature = 5s
balance {
    Interval = 4s
    AcquisitionsPerRound = all
}
arp-cache = 90s
# There is no \"master\"
Prefer None
# Only one virtual interface
VirtualInterfaces {
    {
        fxp2:10.77.52.1/32
        fxp1:66.77.52.1/32
        fxp0:63.236.106.102/32
    }
}
";

/// The same, second half.
const ROUTER_NOTIFY: &str = "Notify {
    # Let's notify our upstream router:
    fxp0:0.0.0.0/32
    fxp0:255.255.255.255/32
    fxp0:63.236.106.97/32
    fxp0:63.236.106.98/32
    fxp0:63.236.106.99/32
    # And out DNS servers
    fxp1:66.77.52.4/32
    fxp1:66.77.52.5/32
    fxp2:10.77.52.18/32
    fxp2:10.77.52.19/32
    # And the ARP cache
    arp-cache
    # The networks we are attached to.
    fxp0:63.236.106.96/28
    fxp1:66.77.52.0/24 throttle 16
    fxp2:10.77.52.0/23 throttle 16
}
";

/// The book, chapter 4: six addresses, the part that matters.
const SIX: &str = "VirtualInterfaces {
    { eth0:192.168.0.11/32 }
    { eth0:192.168.0.12/32 }
    { eth0:192.168.0.13/32 }
    { eth0:192.168.0.14/32 }
    { eth0:192.168.0.15/32 }
    { eth0:192.168.0.16/32 }
}
";

/// The book, chapter 4: the pair of routers, the part that matters.
const PAIR: &str = "# We don't care who is the master
Prefer None
# We are responsible for a single virtual interface composed of set
# of three IP addresses. It is important that if a machine takes
# responsibility then it must acquire ALL three IPs.
VirtualInterfaces {
    { fxp2:10.77.52.1/32 fxp1:192.168.52.1/32 fxp0:172.16.0.4/32 }
}
";

/// The book, chapter 6: the image servers.
const IMAGES: &str = include_str!("chapter6.conf");

/// Parts that the slides show once more beside their explanation.
const PARTS: [&str; 7] = [
    "Spread = 4803\nSpreadRetryInterval = 5s\nGroup = wack1\nControl = /var/run/wack.it\n",
    "Mature = 5s\nBalance {\n  interval = 4s\n  AcquisitionsPerRound = all\n}\nArp-Cache = 90s\n",
    "Prefer None\nVirtualInterfaces {\n  { eth0:192.168.12.15/32 }\n  { eth0:192.168.12.16/32 }\n  { eth0:192.168.12.17/32 }\n  { eth0:192.168.12.18/32 }\n}\n",
    "Notify {  \n  eth0:192.168.12.1/32  \n  arp-cache  \n}\n",
    "Spread = 3777\nSpreadRetryInterval = 5s\nGroup = wack1\nControl = /var/run/wack.it\n",
    "mature = 5s\nbalance {\n  Interval = 4s\n  AcquisitionsPerRound = all\n}\narp-cache = 90s\n",
    "# There is no \"master\"\nPrefer None\n# Only one virtual interface\nVirtualInterfaces {\n  {\n    fxp2:10.77.52.1/32\n    fxp1:66.77.52.1/32\n    fxp0:63.236.106.102/32\n  }\n}\n",
];

/// Forms that the slides explain: `<network>` and `<interface>` as the examples beside them have it.
const FORMS: [&str; 2] = [
    "Notify {\n  eth0:192.168.52.0/23\n  fxp0:192.168.52.1/32 throttle 8\n  arp-cache\n}\n",
    "VirtualInterfaces {\n  eth0:10.77.52.2/32\n  { eth0:10.77.52.4/32 fxp1:10.77.52.3/32 }\n}\n",
];

#[test]
fn the_web_servers_of_the_slides() {
    let config = parsed(WEB).config;
    assert_eq!(config.group.as_bytes(), b"wack1");
    assert_eq!(config.control, Some("/var/run/wack.it".into()));
    let heads: Vec<String> = config.sets.iter().map(|set| set.head().to_string()).collect();
    assert_eq!(heads, ["192.168.12.15", "192.168.12.16", "192.168.12.17", "192.168.12.18"]);
    assert_eq!((config.balance.interval.as_secs(), config.balance.per_round), (4, PerRound::All));
    assert_eq!(config.share_neighbours_every.map(|every| every.as_secs()), Some(90));
    let router = Notify::Hosts {
        interface: Some("eth0".into()),
        block: Block::one(ip("192.168.12.1")),
        throttle: None,
        ping: false,
    };
    assert_eq!(config.notify, [router, Notify::Neighbours { ping: false }]);
    assert_eq!((config.assumed.len(), config.warnings.len()), (0, 0), "everything is said");
}

#[test]
fn the_routers_of_the_slides_have_one_set_of_three() {
    let config = parsed(&format!("{ROUTER}{ROUTER_NOTIFY}")).config;
    assert_eq!(config.sets.len(), 1);
    let set: Vec<_> = config.sets[0]
        .addresses
        .iter()
        .map(|a| (a.interface.as_deref(), a.ip.to_string()))
        .collect();
    assert_eq!(
        set,
        [
            (Some("fxp2"), "10.77.52.1".to_owned()),
            (Some("fxp1"), "66.77.52.1".to_owned()),
            (Some("fxp0"), "63.236.106.102".to_owned()),
        ]
    );
    // With 0.0.0.0 and 255.255.255.255, to which some equipment listens only.
    assert_eq!((config.notify.len(), config.assumed.len()), (13, 0), "{:?}", config.assumed);
    let throttled = config.notify.iter().filter(|whom| {
        matches!(whom, Notify::Hosts { throttle: Some(16), block, .. } if block.length() < 32)
    });
    assert_eq!(throttled.count(), 2);
}

#[test]
fn the_image_servers_of_the_book() {
    let config = parsed(IMAGES).config;
    assert_eq!((config.sets.len(), config.notify.len()), (6, 2));
    assert_eq!(config.mature.as_secs(), 5);
    assert_eq!(config.balance.per_round, PerRound::Number(1));
}

#[test]
fn parts_load_and_it_is_said_what_is_assumed() {
    for (text, sets) in [(SIX, 6), (PAIR, 1)] {
        let config = parsed(text).config;
        assert_eq!(config.sets.len(), sets);
        assert_eq!(config.group.as_bytes(), b"addresses");
        let said = config.assumed.join("\n");
        assert!(
            said.contains("no Group: \"addresses\"") && said.contains("no Spread: 4803"),
            "{said}"
        );
        assert!(said.contains("no Mature: 5s"), "{said}");
        assert!(!parsed(text).spread_is_written);
    }
    for text in PARTS.iter().chain(&FORMS).chain(&[ROUTER, ROUTER_NOTIFY]) {
        let config = parsed(text).config;
        let warned = config.warnings.join("\n").contains("nothing will be held");
        assert_eq!(warned, config.sets.is_empty(), "{text}");
    }
}
