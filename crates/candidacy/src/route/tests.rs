//! What each condition covers, and what mistakes are told.

use super::*;
use crate::request::Plain;
use proptest::prelude::*;

fn rule(edit: impl FnOnce(&mut RouteRule)) -> RouteRule {
    let mut rule = RouteRule { name: "r".into(), ..RouteRule::default() };
    edit(&mut rule);
    rule
}

fn covered(rule: &RouteRule, request: Plain<'_>) -> bool {
    Routes::new(core::slice::from_ref(rule), Chain::standard()).unwrap().find(&request)
        == RouteId(0)
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&t| t.into()).collect()
}

#[test]
fn a_prefix_covers_whole_segments_of_the_path_as_received() {
    let rule = rule(|r| r.prefixes = strings(&["/a", "/b/"]));
    for (target, expected) in [
        ("/a", true),
        ("/a/c", true),
        ("/a?x=/b/", true),
        ("/ab", false),
        ("/b", false),
        ("/b/", true),
        ("/b/c", true),
        ("/c?/a", false),
        ("/%61", false),
        ("/A", false),
        ("*", false),
    ] {
        assert_eq!(covered(&rule, Plain { target, ..Plain::default() }), expected, "{target}");
    }
}

#[test]
fn a_host_counts_without_case_port_and_final_dot() {
    let rule = rule(|r| r.hosts = strings(&["www.example.com", "*.example.org"]));
    for (host, expected) in [
        ("WWW.example.com:8080", true),
        ("www.example.com.", true),
        ("example.com", false),
        ("a.example.org", true),
        ("a.b.example.org", true),
        ("example.org", false),
        ("badexample.org", false),
        ("", false),
    ] {
        assert_eq!(covered(&rule, Plain { host, ..Plain::default() }), expected, "{host}");
    }
}

#[test]
fn an_extension_is_that_of_the_last_segment() {
    let rule = rule(|r| r.extensions = strings(&["php", ".pl"]));
    for (target, expected) in [
        ("/a.php", true),
        ("/a.PHP?x.txt", true),
        ("/a.tar.pl", true),
        ("/a.php/b", false),
        ("/.php", false),
        ("/php", false),
        ("/a.php5", false),
    ] {
        assert_eq!(covered(&rule, Plain { target, ..Plain::default() }), expected, "{target}");
    }
}

#[test]
fn methods_headers_and_expressions_must_all_hold() {
    let rule = rule(|r| {
        r.methods = strings(&["POST", "PUT"]);
        r.regex = Some("^/api/v[0-9]+/".into());
        r.headers = alloc::vec![
            HeaderRule { name: "X-Kind".into(), value: Some("^write".into()) },
            HeaderRule { name: "x-any".into(), value: None },
        ];
    });
    let good = Plain {
        host: "h",
        target: "/api/v2/x",
        method: "POST",
        headers: &[("x-kind", "write now"), ("X-Any", "")],
    };
    assert!(covered(&rule, good));
    assert!(!covered(&rule, Plain { method: "post", ..good }));
    assert!(!covered(&rule, Plain { target: "/api/vx/", ..good }));
    assert!(!covered(&rule, Plain { headers: &[("x-kind", "rewrite"), ("x-any", "")], ..good }));
    assert!(!covered(&rule, Plain { headers: &[("x-kind", "write")], ..good }));
}

#[test]
fn the_first_rule_that_covers_wins_and_the_last_covers_all() {
    let named = |name: &str, prefix: &str| RouteRule {
        name: name.into(),
        prefixes: strings(&[prefix]),
        ..RouteRule::default()
    };
    let rules = [named("a", "/x/y"), named("b", "/x"), named("c", "/x/y/z")];
    let routes = Routes::new(&rules, Chain::standard()).unwrap();
    let name = |target| routes.get(routes.find(&Plain { target, ..Plain::default() })).name.clone();
    assert_eq!(["/x/y/z", "/x/z", "/"].map(name), ["a", "b", "default"]);
    assert_eq!(routes.get(RouteId(99)).name, "default");
}

#[test]
fn mistakes_name_the_field_and_the_remedy() {
    let cases: [(RouteRule, &str, &str); 10] = [
        (rule(|r| r.name.clear()), "name", "needs a name"),
        (rule(|r| r.name = LAST.into()), "name", "another route of this name"),
        (rule(|r| r.hosts = strings(&["a:80"])), "hosts", "write the name alone"),
        (rule(|r| r.hosts = strings(&["a*b"])), "hosts", "*.example.com"),
        (rule(|r| r.prefixes = strings(&["a"])), "prefixes", "\"/a\""),
        (rule(|r| r.regex = Some("(".into())), "regex", "unclosed group"),
        (rule(|r| r.extensions = strings(&["a.b"])), "extensions", "\"php\""),
        (rule(|r| r.methods = strings(&["G T"])), "methods", "no name of a method"),
        (rule(|r| r.methods = strings(&["post"])), "methods", "write \"POST\""),
        (rule(|r| r.chain = strings(&["byAge", "byLod"])), "chain", "did you mean byLoad"),
    ];
    for (rule, field, said) in cases {
        let error = Routes::new(&[rule], Chain::standard()).unwrap_err();
        assert_eq!(error.field, field, "{error}");
        assert!(error.problem.contains(said), "{error}");
    }
}

#[test]
fn a_name_makes_the_same_number_everywhere() {
    let routes = Routes::new(&[rule(|_| {})], Chain::standard()).unwrap();
    assert_eq!(routes.all().iter().map(|r| r.key).collect::<Vec<_>>(), [694281113, 1837981928]);
}

proptest! {
    #[test]
    fn no_request_makes_finding_panic(host in ".{0,20}", target in ".{0,30}", method in ".{0,8}") {
        let rule = rule(|r| {
            r.hosts = strings(&["*.b"]);
            r.prefixes = strings(&["/"]);
            r.extensions = strings(&["x"]);
        });
        covered(&rule, Plain { host: &host, target: &target, method: &method, headers: &[] });
        covered(&RouteRule { name: "r".into(), ..RouteRule::default() }, Plain::default());
    }
}
