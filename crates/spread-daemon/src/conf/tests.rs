//! Whole files: those of the appendix, those of the reference, and mistakes of all kinds.

use std::net::IpAddr;

use super::*;

/// Knows two names, and no network.
fn names(name: &str, family: Option<Family>) -> Result<IpAddr, String> {
    match (name, family) {
        ("known", Some(Family::V6)) => Ok("fd00::7".parse().unwrap()),
        ("known", _) => Ok("10.0.0.7".parse().unwrap()),
        _ => Err("nobody has this name".into()),
    }
}

pub(super) fn conf(text: &str) -> SpreadConf {
    SpreadConf::parse(text, &mut names).unwrap_or_else(|mistakes| panic!("{text}\n{mistakes:?}"))
}

/// Each mistake as `line:column token`.
fn places(text: &str) -> Vec<String> {
    let mistakes = SpreadConf::parse(text, &mut names).unwrap_err();
    let show = |m: &Mistake| format!("{}:{} {}", m.place.line, m.place.column, m.token);
    mistakes.iter().map(show).collect()
}

fn kinds(text: &str) -> Vec<What> {
    SpreadConf::parse(text, &mut names).unwrap_err().into_iter().map(|m| m.what).collect()
}

/// One segment of one daemon with these options.
fn with(options: &str) -> String {
    format!("Spread_Segment 10.0.0.255 {{ a 10.0.0.1 }}\n{options}")
}

const LISTING_1: &str = include_str!("../../tests/conf/appendix-1.conf");
const LISTING_2: &str = include_str!("../../tests/conf/appendix-2.conf");
const TWO: &str = include_str!("../../tests/conf/appendix-two-daemons.conf");
const EVERYTHING: &str = include_str!("../../tests/conf/everything.conf");

#[test]
fn the_first_listing_of_the_appendix_is_fourteen_daemons_on_one_network() {
    let conf = conf(LISTING_1);
    assert_eq!((conf.segments.len(), conf.daemons.len()), (1, 14));
    assert_eq!(conf.segments[0].addresses[0].reach(), Reach::Broadcast);
    assert_eq!(conf.segments[0].port, 4803);
    let last = &conf.daemons[13];
    assert_eq!((last.name.as_str(), last.ip), ("ifog16", "192.168.221.116".parse().unwrap()));
    assert!(!conf.is_wide_area() && conf.warnings.is_empty() && conf.meaningless().is_empty());
}

#[test]
fn the_second_listing_has_one_name_twice_and_is_good_without() {
    let told = SpreadConf::parse(LISTING_2, &mut names).unwrap_err();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].token.as_str(), &told[0].what), ("machine1", &What::NameTwice(2)));
    let conf = conf(&LISTING_2.replacen("machine1 ", "machine3 ", 1));
    assert_eq!((conf.segments.len(), conf.daemons.len()), (3, 8));
    assert!(conf.is_wide_area());
    let port = |i: usize| conf.port_of(&conf.daemons[i]);
    assert_eq!((port(1), port(2), port(7)), (4803, 4913, 4893));
    assert_eq!(conf.daemons[6].segment, 2);
}

#[test]
fn the_two_daemons_of_the_appendix_are_read_with_their_options() {
    let conf = conf(TWO);
    let flags: Vec<_> = conf.options.debug_flags.unwrap().names().collect();
    assert_eq!(flags, ["EXIT", "PRINT"]);
    assert!(conf.options.dangerous_monitor);
    let stamp = conf.options.event_time_stamp.as_ref().unwrap();
    assert_eq!((stamp.pattern.as_str(), stamp.precise), (DEFAULT_PATTERN, false));
    assert_eq!(conf.segments[0].port, 4913);
    let names: Vec<_> = conf.daemons.iter().map(|daemon| daemon.name.as_str()).collect();
    assert_eq!(names, ["www-0-1", "www-0-2"]);
}

#[test]
fn every_option_of_the_reference_is_accepted() {
    let conf = conf(EVERYTHING);
    let options = &conf.options;
    assert_eq!(conf.written.len(), 31);
    assert_eq!(options.event_priority, EventPriority::Warning);
    assert_eq!(options.event_log_file.as_deref(), Some("/var/log/spread-%h.log"));
    let stamp = options.event_time_stamp.as_ref().unwrap();
    assert_eq!((stamp.pattern.as_str(), stamp.precise), ("[%a %d %b %Y %H:%M:%S]", true));
    assert_eq!(options.socket_port_reuse, Some(PortReuse::Off));
    assert_eq!(options.daemon_user.as_deref(), Some("nobody"));
    assert_eq!(options.required_auth_methods, [AuthMethod::Ip]);
    assert_eq!(options.allowed_auth_methods, [AuthMethod::Null, AuthMethod::Ip]);
    assert_eq!(options.max_session_messages, Some(5000));
    assert_eq!((options.window, options.personal_window), (Some(80), Some(10)));
    let timeouts = options.timeouts.unwrap();
    assert_eq!((timeouts.token.as_millis(), timeouts.lookup.as_millis()), (5000, 60_000));
    assert_eq!(options.wide_area_network, Some(false));
    let web1 = &conf.daemons[0];
    assert_eq!((web1.id, web1.id_is_written), (17, true));
    let [first, second] = web1.interfaces[..] else { panic!("{web1:?}") };
    assert!(first.data && !first.clients && !first.monitor);
    assert!(!second.data && second.clients && second.monitor);
    let [.., only_address, only_name] = &conf.daemons[..] else { panic!() };
    assert_eq!((only_address.name.as_str(), only_name.name.as_str()), ("10.0.5.3", "known"));
    assert_eq!(only_name.ip, "10.0.0.7".parse::<IpAddr>().unwrap());
    assert_eq!(conf.segments[0].addresses.len(), 2);
}

#[test]
fn a_name_and_an_address_are_one_daemon_and_a_semicolon_makes_two() {
    let one = conf("Spread_Segment 10.0.0.255 { known\n 10.0.0.1 }");
    assert_eq!(one.daemons.len(), 1);
    let two = conf("Spread_Segment 10.0.0.255 { known;\n 10.0.0.1; }");
    assert_eq!(two.daemons.len(), 2);
    assert_eq!(two.daemons[1].name.as_str(), "10.0.0.1");
}

#[test]
fn segments_of_ipv6_may_have_brackets_ports_and_interfaces() {
    let conf = conf("Spread_Segment [ff02::4803%eth0]:4900 { a fd00::1 known }");
    assert_eq!(conf.segments[0].addresses[0].interface.as_deref(), Some("eth0"));
    assert_eq!((conf.segments[0].port, conf.family()), (4900, Family::V6));
    assert_eq!(conf.daemons[1].ip, "fd00::7".parse::<IpAddr>().unwrap());
    assert_eq!(
        kinds("ActiveIPVersion = IPv4 Spread_Segment ff02::1 { a fd00::1 }"),
        [What::Family(Family::V4)]
    );
}

#[test]
fn names_are_cut_to_nineteen_bytes_and_that_is_said() {
    let conf = conf("Spread_Segment 10.0.0.255 { a-very-long-machine-name 10.0.0.1 }");
    assert_eq!(conf.daemons[0].name.as_str(), "a-very-long-machine");
    assert!(conf.warnings[0].text.contains("is cut to 19"), "{:?}", conf.warnings);
    let twice = "Spread_Segment 10.0.0.255 { a-very-long-machine-1 10.0.0.1 a-very-long-machine-2 10.0.0.2 }";
    assert_eq!(kinds(twice), [What::NameTwice(1)]);
}

#[test]
fn what_is_strange_but_allowed_is_a_warning() {
    let loopback = conf("Spread_Segment 127.0.0.255 { localhost 127.0.0.1 }");
    assert!(loopback.warnings[0].text.contains("is on loopback"));
    let unicast = conf("Spread_Segment 10.0.0.63 { a 10.0.0.1 b 10.0.0.2 }");
    assert!(unicast.warnings[0].text.contains("one by one"));
    assert_eq!(conf("Spread_Segment 10.0.0.1 { a 10.0.0.1 }").warnings, []);
    let twice = conf(&with("Window = 50\nWindow = 60"));
    assert_eq!((twice.options.window, twice.warnings[0].line), (Some(60), 2));
}

#[test]
fn names_addresses_and_ids_are_given_once() {
    let text = "Spread_Segment 10.0.0.255 {\n a 10.0.0.1 VirtualID = 5\n a 10.0.0.2\n b 10.0.0.1\n c 10.0.0.4 VirtualID = 5\n}\nSpread_Segment 10.0.0.255:4900 { d 10.0.0.1 }";
    assert_eq!(places(text), ["3:2 a", "4:4 10.0.0.1", "5:25 5"]);
}

#[test]
fn limits_are_told_where_they_are_passed() {
    let mut text = String::new();
    for i in 0..=SEGMENTS_MAX {
        text += &format!("Spread_Segment 10.0.{i}.255 {{ a{i} 10.0.{i}.1 }}\n");
    }
    assert_eq!(kinds(&text), [What::Segments]);
    let daemons: String =
        (0..=DAEMONS_MAX).map(|i| format!("d{i} 10.0.{}.{}\n", i / 100, i % 100 + 1)).collect();
    assert_eq!(kinds(&format!("Spread_Segment 10.0.0.255 {{ {daemons} }}")), [What::Daemons]);
    let interfaces = "D 10.0.0.1 ".repeat(INTERFACES_MAX + 1);
    assert_eq!(
        kinds(&format!("Spread_Segment 10.0.0.255 {{ a 10.0.0.1 {{ {interfaces} }} }}")),
        [What::Interfaces]
    );
    let addresses = "239.0.0.1 ".repeat(ADDRESSES_MAX + 1);
    assert_eq!(kinds(&format!("Spread_Segment {addresses} {{ a 10.0.0.1 }}")), [What::Addresses]);
    assert_eq!(kinds(&"x".repeat(TEXT_MAX + 1)), [What::Size(TEXT_MAX + 1)]);
}

#[test]
fn no_more_names_are_looked_up_than_there_may_be_daemons() {
    let mut asked = 0;
    let text = format!("Spread_Segment 10.0.0.255 {{ {} }}", "nobody;".repeat(5000));
    let mut resolve = |_: &str, _| {
        asked += 1;
        Err("nobody has this name".into())
    };
    assert!(SpreadConf::parse(&text, &mut resolve).is_err());
    assert_eq!(asked, DAEMONS_MAX);
}

#[test]
fn a_file_without_segment_or_daemon_is_told_so() {
    assert_eq!(kinds(""), [What::NoSegment]);
    assert_eq!(kinds("DebugFlags = { ALL }"), [What::NoSegment]);
    assert_eq!(kinds("Spread_Segment 10.0.0.255 { }"), [What::NoDaemon]);
}

#[test]
fn several_mistakes_are_told_at_once_each_at_its_place() {
    let text = "\
DebugFlag = { ALL }
EventPriority = LOUD
Spread_Segment x.220.221.255:4803 {
    web1   10.0.0.300
    web 2  10.0.0.2
    web3   10.0.0.3:4803
    = web4 10.0.0.4
    web5   239.0.0.1
}
MaxSessionMessages = 0
Spread_Segment 10.0.1.255:99999 {
    bücher 10.0.1.1
    nobody
}
";
    assert_eq!(
        places(text),
        [
            "1:1 DebugFlag",
            "2:17 LOUD",
            "3:16 x.220.221.255:4803",
            "4:12 10.0.0.300",
            "5:5 web",
            "6:12 10.0.0.3:4803",
            "7:5 =",
            "8:12 239.0.0.1",
            "10:22 0",
            "11:16 10.0.1.255:99999",
            "12:5 bücher",
            "13:5 nobody",
        ]
    );
}

#[test]
fn a_segment_that_is_not_closed_does_not_swallow_what_follows() {
    let text = "Spread_Segment 10.0.0.255 {\n a 10.0.0.1\n\nSpread_Segment 10.0.1.255 { b 10.0.1.1 }\nWindow = x\n";
    assert_eq!(places(text), ["4:1 Spread_Segment", "5:10 x"]);
    assert_eq!(kinds(text)[0], What::Open(1));
    assert_eq!(kinds("Spread_Segment 10.0.0.255 { a 10.0.0.1"), [What::Open(1)]);
}

#[test]
fn files_of_very_old_versions_are_recognised() {
    let mistakes =
        SpreadConf::parse("2\n1 10.0.0.255 4803\n a 10.0.0.1\n", &mut names).unwrap_err();
    assert_eq!((mistakes.len(), &mistakes[0].what), (1, &What::Counted));
    assert!(mistakes[0].what.remedy().contains("before 3.14"));
}

#[test]
fn values_are_of_their_kind() {
    for (option, token) in [
        ("EventPriority = info", "info"),
        ("DangerousMonitor = maybe", "maybe"),
        ("SocketPortReuse = sometimes", "sometimes"),
        ("ActiveIPVersion = ipv4", "ipv4"),
        ("MaxSessionMessages = 1000000000", "1000000000"),
        ("Window = 0", "0"),
        ("AllowedAuthMethods = \"NULL PWORD\"", "NULL PWORD"),
        ("AccessControlPolicy = \"DENY\"", "DENY"),
        ("EventLogFile = \"\"", ""),
        (
            "EventTimeStamp = \"%H 345678901234567890123456789012345678\"",
            "%H 345678901234567890123456789012345678",
        ),
    ] {
        let good = option.contains("EventTimeStamp");
        match SpreadConf::parse(&with(option), &mut names) {
            Ok(_) => assert!(good, "{option}"),
            Err(mistakes) => assert_eq!((mistakes.len(), mistakes[0].token.as_str()), (1, token)),
        }
    }
    let long = format!("EventTimeStamp = \"{}\"", "x".repeat(TIME_STAMP_MAX + 1));
    assert_eq!(kinds(&with(&long)), [What::Long]);
}

#[test]
fn a_blank_list_of_required_methods_requires_none_as_in_the_sample_of_the_original() {
    let text = "RequiredAuthMethods = \"IP\" RequiredAuthMethods = \"   \"";
    let options = conf(&with(text)).options;
    assert_eq!((options.required_auth_methods.len(), options.allowed_auth_methods.len()), (0, 1));
    // Nobody could come in.
    assert_eq!(kinds(&with("AllowedAuthMethods = \" \"")), [What::Empty]);
}

#[test]
fn all_nine_timeouts_are_set_or_none() {
    let [What::Timeouts(missing)] = &kinds(&with("TokenTimeout = 5000 LookupTimeout = 1000"))[..]
    else {
        panic!()
    };
    assert_eq!(
        missing,
        "HurryTimeout, AliveTimeout, JoinTimeout, RepTimeout, SegTimeout, GatherTimeout, FormTimeout missing"
    );
    // One that is there with a mistake is not said to be missing.
    let text = EVERYTHING.replace("SegTimeout = 2000", "SegTimeout = 0");
    assert_eq!(kinds(&text), [What::Number(1)]);
}

#[test]
fn a_window_is_a_part_of_the_one_above() {
    let window = |name, value, limit: &str| What::Window { name, value, limit: limit.into() };
    assert_eq!(
        kinds(&with("PersonalWindow = 200")),
        [window("PersonalWindow", 200, "Window = 160")]
    );
    assert_eq!(
        kinds(&with("AcceleratedRing = true AcceleratedWindow = 21")),
        [window("AcceleratedWindow", 21, "PersonalWindow = 20")]
    );
    assert_eq!(conf(&with("AcceleratedWindow = 21")).options.accelerated_window, Some(21));
    assert_eq!(conf(&with("Window = 5")).options.window, Some(5), "the defaults give way");
}

#[test]
fn a_stanza_of_interfaces_covers_the_daemon_itself() {
    let text = |list: &str| format!("Spread_Segment 10.0.0.255 {{ a 10.0.0.1 {{ {list} }} }}");
    assert_eq!(kinds(&text("D 10.0.0.2")), [What::NoData("10.0.0.1".parse().unwrap())]);
    assert_eq!(kinds(&text("C M 10.0.0.1")).len(), 1);
    for good in ["10.0.0.1", "D 0.0.0.0 C 10.0.0.2", "", "C D 10.0.0.1 M 10.0.0.2"] {
        conf(&text(good));
    }
    assert_eq!(
        kinds(&text("DC 10.0.0.1")),
        [What::Expected("M, C, D or the address of an interface")]
    );
}

#[test]
fn a_file_of_nothing_but_mistakes_is_bounded() {
    for text in ["=\n", "\0", "Spread_Segment\n", "Spread_Segment x {", "{}", "x '\n"] {
        let text = text.repeat(TEXT_MAX / text.len());
        let told = kinds(&text);
        assert!((1..=MISTAKES_MAX + 1).contains(&told.len()), "{text:.20} {}", told.len());
    }
    let lines = format!("Spread_Segment 10.0.0.255 {{\n{}", "=\n".repeat(100_000));
    assert_eq!(kinds(&lines).len(), MISTAKES_MAX + 1);
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let _ = SpreadConf::parse(&text, &mut names);
    }

    #[test]
    fn words_of_the_grammar_in_any_order_never_panic(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 0..60)
    ) {
        let text = words.join(" ");
        match SpreadConf::parse(&text, &mut names) {
            Ok(conf) => {
                assert!(!conf.daemons.is_empty());
                let _ = (conf.hash(), conf.meaningless(), conf.whoami(None, &[]));
            }
            Err(mistakes) => {
                assert!(!mistakes.is_empty());
                for mistake in mistakes {
                    let _ = mistake.render("f", &text);
                }
            }
        }
    }
}

const WORDS: &[&str] = &[
    "Spread_Segment",
    "10.0.0.255:4803",
    "ff02::1",
    "{",
    "{",
    "}",
    "}",
    "a",
    "b",
    "known",
    "10.0.0.1",
    "10.0.0.2",
    "fd00::1",
    ";",
    "=",
    "!",
    "\n",
    "#",
    "'x'",
    "\"",
    "VirtualID",
    "5",
    "M",
    "C",
    "D",
    "DebugFlags",
    "ALL",
    "EventTimeStamp",
    "Window",
    "TokenTimeout",
    "true",
    "é",
];
