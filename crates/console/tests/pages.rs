//! The pages as a browser gets them.

#[path = "support/html.rs"]
mod html;
mod sample;
mod support;

use console::view::{Appraisal, DecisionRow, MachineRow, Ranked, RouteRow, Step, Struck};
use console::{Config, Console, Source, StatusView};
use html::{Token, assert_balanced, attribute, text, tokens};
use sample::Sample;
use support::{Fixed, console, get, request, whole};

const EVIL: [&str; 5] = [
    "<script>alert(1)</script>",
    "\" onmouseover=\"alert(1)",
    "</td></tr></table><img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp; 'x'",
    "a\u{0}b\u{1b}[31m\n\ndata: x",
];

/// A view in which every text comes from an attacker.
fn hostile(evil: &str) -> StatusView {
    let mut view = Sample::new(1).view(true);
    let evil = || evil.to_owned();
    (view.version, view.this, view.id, view.boot) = (evil(), evil(), evil(), evil());
    view.warnings = vec![evil()];
    view.machines = vec![MachineRow {
        name: evil(),
        id: evil(),
        boot: evil(),
        address: evil(),
        peer: Some(evil()),
        condition: evil(),
        this: true,
        ..MachineRow::default()
    }];
    view.routes = vec![RouteRow {
        name: evil(),
        matches: evil(),
        chain: vec![evil()],
        empty: evil(),
        asking: evil(),
        ..RouteRow::default()
    }];
    view.bus = view.bus.map(|mut bus| {
        (bus.name, bus.view, bus.leader) = (evil(), Some(evil()), Some(evil()));
        for daemon in &mut bus.daemons {
            (daemon.name, daemon.boot, daemon.condition) = (evil(), evil(), evil());
        }
        for session in &mut bus.slowest {
            (session.name, session.client) = (evil(), Some(evil()));
        }
        bus
    });
    view.addresses = view.addresses.map(|mut a| {
        (a.machine, a.stage, a.bus, a.health) = (evil(), evil(), evil(), evil());
        a.healthy = false;
        for member in &mut a.members {
            (member.machine, member.member) = (evil(), evil());
        }
        for set in &mut a.sets {
            (set.name, set.head, set.reason) = (Some(evil()), evil(), evil());
            (set.addresses, set.unable) = (vec![evil()], Some(evil()));
            (set.blocked_by, set.not_at) = (Some(evil()), vec![(0, evil())]);
        }
        for decision in &mut a.decisions {
            (decision.what, decision.head) = (evil(), Some(evil()));
        }
        for check in &mut a.checks {
            (check.name, check.standing, check.trouble) = (evil(), evil(), Some(evil()));
        }
        for hook in &mut a.counters.hooks {
            hook.name = evil();
        }
        a
    });
    let step = Step {
        function: evil(),
        left: vec![Ranked { name: evil(), figure: Some(1.0) }],
        came: vec![evil()],
        went: vec![evil()],
        failed: Some(evil()),
    };
    view.decisions = vec![DecisionRow {
        method: evil(),
        host: evil(),
        path: evil(),
        route: evil(),
        winner: Some(evil()),
        reason: evil(),
        why: evil(),
        excluded: vec![Struck { name: evil(), why: evil() }],
        candidates: vec![evil()],
        steps: vec![step],
        answered: vec![evil()],
        silent: vec![evil()],
        promised: vec![evil()],
        estimates: vec![Appraisal { name: evil(), ..Appraisal::default() }],
        ..DecisionRow::default()
    }];
    view
}

const ELEMENTS: [&str; 50] = [
    "a", "b", "body", "caption", "circle", "code", "dd", "details", "div", "dl", "dt", "em",
    "footer", "h1", "h2", "h3", "head", "header", "html", "li", "link", "main", "meta", "nav",
    "noscript", "ol", "p", "path", "pre", "rect", "s", "script", "section", "small", "span",
    "strong", "summary", "svg", "table", "tbody", "td", "th", "thead", "title", "tr", "ul", "form",
    "input", "time", "abbr",
];

#[test]
fn no_text_from_outside_becomes_markup() {
    for evil in EVIL {
        let page = get(&console(Fixed(hostile(evil))), "/backhand/").body;
        let tokens = tokens(&page);
        assert_balanced(&tokens);
        assert!(text(&tokens).contains(evil), "{evil:?} is not shown as the text it is");
        for token in &tokens {
            let Token::Start(name, attributes) = token else { continue };
            assert!(ELEMENTS.contains(&name.as_str()), "<{name}>");
            for (attribute, _) in attributes {
                assert!(
                    !attribute.starts_with("on") && attribute != "style",
                    "<{name} {attribute}>"
                );
            }
        }
        let scripts = attribute(&tokens, "src");
        assert_eq!(scripts, [("script", "status.js")], "{evil:?}");
    }
}

#[test]
fn a_hostile_page_is_still_well_formed_as_json_and_events() {
    for evil in EVIL {
        let console = console(Fixed(hostile(evil)));
        let value: serde_json::Value =
            serde_json::from_str(&get(&console, "/backhand/status.json").body).unwrap();
        assert_eq!(value["machines"][0]["name"], evil);
        let decisions: serde_json::Value =
            serde_json::from_str(&get(&console, "/backhand/decisions.json").body).unwrap();
        assert_eq!(decisions[0]["steps"][0]["function"], evil);
    }
}

#[test]
fn everything_is_readable_without_javascript() {
    let page = get(&console(Sample::new(3)), "/backhand/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let tokens = tokens(&page.body);
    assert_balanced(&tokens);
    let text = text(&tokens);
    for shown in [
        "birch",
        "rowan",
        "this machine",
        "10.0.0.6:8080",
        "ejected, back in 4 s",
        "over its limit",
        " · 0.2.0",
        "arriba 364,00",
        "CPU idle",
        "8.0 GiB",
        "byHostname ^hazel$",
        "Load / HWM",
        "report 0 ms",
        "decision",
        "cost 0.81",
    ] {
        assert!(text.contains(shown), "{shown}");
    }
    assert_eq!(attribute(&tokens, "http-equiv"), [("meta", "refresh")]);
    let still = get(&console(Sample::new(3)), "/backhand/?still");
    assert!(attribute(&html::tokens(&still.body), "http-equiv").is_empty());
}

#[test]
fn the_bus_is_shown_where_there_is_one_and_nowhere_else() {
    let page = get(&console(Sample::new(3)), "/backhand/").body;
    let words = text(&tokens(&page));
    for shown in [
        "standing",
        "41.7c41a0936e02be11",
        "of 4 daemons",
        "led by birch",
        "heard, does not hear this one",
        "broke 3 views",
        "0.21 ms",
        "#mailer#birch",
        "2,114 messages",
    ] {
        assert!(words.contains(shown), "{shown}");
    }
    assert!(!words.contains("#purged#birch"), "only clients that are behind are named");
    let mut view = Sample::new(3).view(true);
    view.bus = None;
    let console = console(Fixed(view));
    let page = get(&console, "/backhand/").body;
    assert!(!page.contains("bus-title"));
    let json: serde_json::Value =
        serde_json::from_str(&get(&console, "/backhand/status.json").body).unwrap();
    assert!(json["bus"].is_null());
    assert!(!get(&console, "/metrics").body.contains("backhand_bus"));
}

#[test]
fn the_addresses_are_shown_by_machine_with_why_and_what_is_wrong() {
    let page = get(&console(Sample::new(3)), "/backhand/").body;
    let words = text(&tokens(&page));
    for shown in [
        "takes part",
        "21",
        " in ",
        " · a majority is here",
        "drained",
        "unhealthy",
        "not mature",
        "silent",
        "192.0.2.12",
        " → ",
        "pinned",
        "Nobody",
        "eth1:198.51.100.7/32",
        "a lost holder may answer for another 2.7 s",
        "not possible here: there is no interface eth1",
        "cannot be at birch (unable)",
        "held only by a majority",
        "192.0.2.11 went from hazel to cedar (lost)",
        "/etc/backhand/promote main",
        "of these, defended",
    ] {
        assert!(words.contains(shown), "{shown}");
    }
    let mut view = Sample::new(3).view(true);
    view.addresses = None;
    let console = console(Fixed(view));
    let page = get(&console, "/backhand/").body;
    assert!(!page.contains("addresses-title"));
    let json: serde_json::Value =
        serde_json::from_str(&get(&console, "/backhand/status.json").body).unwrap();
    assert!(json["addresses"].is_null());
    assert!(!get(&console, "/metrics").body.contains("backhand_addresses"));
}

#[test]
fn many_addresses_are_folded_up_and_few_are_not() {
    let folded = |machines: &[&str], each| {
        let mut view = Sample::new(3).view(true);
        view.addresses = Some(sample::addresses::addresses(machines, each, 1));
        let page = get(&console(Fixed(view)), "/backhand/").body;
        assert_balanced(&tokens(&page));
        assert!(page.len() < 1 << 20, "{} bytes", page.len());
        page.contains("class=\"fold\"")
    };
    assert!(!folded(&["birch", "cedar", "elm", "hazel"], 3));
    assert!(folded(&["birch", "cedar", "elm", "hazel", "maple", "rowan"], 50));
    assert!(folded(&["birch", "cedar", "elm", "hazel"], 1_000));
}

#[test]
fn ids_are_unique_and_every_reference_has_its_target() {
    let page = get(&console(Sample::new(3)), "/backhand/").body;
    let tokens = tokens(&page);
    let mut ids: Vec<_> = attribute(&tokens, "id").into_iter().map(|(_, id)| id).collect();
    for (_, target) in attribute(&tokens, "aria-labelledby") {
        assert!(ids.contains(&target), "{target}");
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
    assert_eq!(attribute(&tokens, "lang"), [("html", "en")]);
}

#[test]
fn a_row_of_the_matrix_keeps_the_meaning_of_a_table_as_a_card() {
    let page = get(&console(Sample::new(3)), "/backhand/").body;
    let tokens = tokens(&page);
    let roles = attribute(&tokens, "role");
    let count = |role: &str| roles.iter().filter(|(_, r)| *r == role).count();
    // Machines, routes, addresses, the daemons of the bus, clients that are behind.
    assert_eq!(count("table"), 3 + 2);
    assert_eq!(count("row"), 5 + 6 + 3 + 19 + 5 + 1);
    assert_eq!(count("rowheader"), 6 + 3 + 19 + 5 + 1);
    let labels = attribute(&tokens, "data-label");
    assert_eq!(labels.len(), 6 * 9 + 3 * 4 + 19 * 3 + 5 * 4 + 2);
    assert!(labels.iter().all(|(element, label)| *element == "td" && !label.is_empty()));
}

#[test]
fn the_policy_forbids_what_the_page_does_not_use() {
    let page = get(&console(Sample::new(3)), "/backhand/");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"));
    let tokens = tokens(&page.body);
    let mut inside = None;
    for token in &tokens {
        match token {
            Token::Start(name, _) if name == "script" || name == "style" => inside = Some(name),
            Token::End(_) => inside = None,
            Token::Text(text) => assert!(inside.is_none(), "inline {inside:?}: {text}"),
            Token::Start(..) => {}
        }
    }
}

#[test]
fn every_file_that_the_page_names_is_there() {
    let console = console(Sample::new(3));
    let page = get(&console, "/backhand/").body;
    let tokens = tokens(&page);
    let mut named = attribute(&tokens, "src");
    named.extend(attribute(&tokens, "href"));
    for (element, name) in named {
        let target = if name.starts_with('/') { name.into() } else { format!("/backhand/{name}") };
        assert_eq!(get(&console, &target).status, 200, "<{element}> {target}");
    }
}

#[test]
fn strangers_learn_how_to_be_allowed_and_nothing_else() {
    let console = console(Sample::new(3));
    for target in
        ["/backhand/", "/backhand/status.json", "/backhand/events", "/metrics", "/backhand/x"]
    {
        let got = whole(&console, request("GET", target, "203.0.113.9"));
        assert_eq!(got.status, 403, "{target}");
        assert!(got.body.contains("203.0.113.9") && got.body.contains("allow = ["), "{}", got.body);
        assert!(!got.body.contains("birch") && !got.body.contains("0.1.0"));
        assert_balanced(&tokens(&got.body));
    }
    let mapped = whole(&console, request("GET", "/backhand/", "::ffff:127.0.0.1"));
    assert_eq!(mapped.status, 200);
}

#[test]
fn nothing_can_be_changed_through_the_pages() {
    let console = console(Sample::new(3));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
        let got = whole(&console, request(method, "/backhand/", "127.0.0.1"));
        assert_eq!((got.status, got.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    assert_eq!(whole(&console, request("HEAD", "/backhand/events", "127.0.0.1")).status, 200);
}

#[test]
fn the_path_without_its_last_slash_leads_to_the_page() {
    let got = get(&console(Sample::new(3)), "/backhand");
    assert_eq!((got.status, got.header("location")), (308, "/backhand/"));
    assert_eq!(get(&console(Sample::new(3)), "/backhand/nothing").status, 404);
}

#[test]
fn before_anything_is_known_the_answer_is_503() {
    let console = Console::start(Config::default()).unwrap();
    for target in ["/backhand/", "/backhand/status.json", "/backhand/events", "/metrics"] {
        let got = get(&console, target);
        assert_eq!((got.status, got.header("retry-after")), (503, "1"), "{target}");
    }
}

#[test]
fn json_has_no_number_for_what_is_not_known() {
    let mut view = Sample::new(1).view(true);
    view.machines[1].in_flight_limit = None;
    view.trend.p99_ms = vec![f32::NAN, 1.5];
    let body = get(&console(Fixed(view)), "/backhand/status.json").body;
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(value["machines"][1]["in_flight_limit"].is_null());
    assert!(value["machines"][0]["in_flight_limit"].is_u64());
    assert!(value["totals"]["counters"]["requests"].is_u64());
    assert!(value["totals"]["cluster"]["heard"].is_u64());
    assert!(value["totals"]["reasons"]["best_here"].is_u64());
    assert!(value["machines"][0]["turnaround"].is_null(), "raw buckets are no figures for people");
}

#[test]
fn pressure_that_is_not_known_is_nowhere_a_number() {
    let mut view = Sample::new(1).view(true);
    view.machines[0].pressure.memory_percent = None;
    view.machines[0].pressure.cpu_percent = Some(0.0);
    let console = console(Fixed(view));
    let value: serde_json::Value =
        serde_json::from_str(&get(&console, "/backhand/status.json").body).unwrap();
    assert!(value["machines"][0]["pressure"]["memory_percent"].is_null());
    assert_eq!(value["machines"][0]["pressure"]["cpu_percent"], 0.0);
    let metrics = get(&console, "/metrics").body;
    assert!(metrics.contains("backhand_pressure_ratio{resource=\"cpu\"} 0"));
    assert!(!metrics.contains("backhand_pressure_ratio{resource=\"memory\"}"));
}

#[test]
fn a_console_that_was_stopped_lets_go_of_what_it_watched() {
    struct Watched(std::sync::mpsc::Sender<()>);
    impl Source for Watched {
        fn view(&mut self, _: bool) -> StatusView {
            StatusView::default()
        }
    }
    impl Drop for Watched {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (told, dropped) = std::sync::mpsc::channel();
    let console = console(Watched(told));
    assert_eq!(get(&console, "/backhand/").status, 200);
    console.stop();
    dropped.recv_timeout(std::time::Duration::from_secs(5)).unwrap();
    assert_eq!(get(&console, "/backhand/").status, 503);
}

#[test]
fn the_largest_cluster_is_shown_whole() {
    let mut view = Sample::new(1).view(true);
    let one = view.machines[1].clone();
    view.machines = (0..1024)
        .map(|n| MachineRow {
            entry: n,
            id: format!("{n:032x}"),
            name: format!("m{n}"),
            ..one.clone()
        })
        .collect();
    let console = console(Fixed(view));
    let page = get(&console, "/backhand/").body;
    let tokens = tokens(&page);
    assert_balanced(&tokens);
    assert_eq!(
        attribute(&tokens, "role").iter().filter(|(_, role)| *role == "rowheader").count(),
        1024 + 3 + 19 + 5 + 1
    );
    assert!(page.len() < 4 << 20, "{} bytes", page.len());
    assert_eq!(get(&console, "/metrics").status, 200);
}
