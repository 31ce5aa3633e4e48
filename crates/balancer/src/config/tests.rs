//! The sections read from real text, good and bad.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::local::files;

fn check(text: &str) -> Result<Config, Vec<Problem>> {
    Config::check(&read::<Sections>(text)?)
}

fn good(text: &str) -> Config {
    check(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn bad(text: &str) -> Vec<Problem> {
    check(text).err().unwrap_or_else(|| panic!("nothing was found wrong in {text}"))
}

/// The one mistake in a text: what it marks, and its words.
fn only(text: &str) -> (String, String) {
    let problems = bad(text);
    assert_eq!(problems.len(), 1, "{text}: {problems:#?}");
    let marked = problems[0].at.clone().map(|at| text[at].to_owned()).unwrap_or_default();
    (marked, problems[0].to_string())
}

#[test]
fn an_empty_file_is_a_working_configuration_that_says_what_it_assumed() {
    let config = good("");
    assert_eq!(config.http.listen[0].port(), DEFAULT_PORT);
    assert!(config.http.workers >= 1);
    assert_eq!(config.peers.listen, PeerListen::Exchange);
    assert_eq!(config.peers.preconnect, 16);
    assert_eq!(config.access_log.target, LogTarget::Stdout);
    assert_eq!(config.routes.all().len(), 1);
    assert!(matches!(config.local.service, Service::Files(_)));
    assert!(config.assumed.iter().any(|line| line.contains("http.listen")), "{:?}", config.assumed);
    assert!(config.assumed.iter().any(|line| line.contains("local.")), "{:?}", config.assumed);
}

#[test]
fn a_full_file_means_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        r#"
        [http]
        listen = ["10.0.5.7:80", "[fd00::7]:80"]
        workers = 3
        head_timeout = "5s"
        max_body = "10MiB"
        trusted = ["10.0.0.0/8"]
        retry_after = "1.5s"
        [peers]
        listen = ["10.0.5.7:4446"]
        pool = false
        ask_wait = "500us"
        [local]
        directory = {:?}
        limit = 100
        health = "/ready"
        types = {{ MD = "text/markdown" }}
        links = "none"
        [[route]]
        name = "writes"
        method = ["POST", "PUT"]
        header = "Cookie: session="
        chain = ["byHostname ^db", "byFresh"]
        empty = "refuse"
        response_timeout = "2m"
        [[route]]
        path = "/static/"
        chain = "off"
        [access_log]
        to = "/var/log/backhand.log"
        format = "json"
        "#,
        dir.path()
    );
    let config = good(&text);
    assert_eq!(config.http.listen.len(), 2);
    assert_eq!((config.http.workers, config.http.retry_after_secs), (3, 2));
    assert_eq!(config.http.max_body, Some(10 << 20));
    assert!(config.http.trusted.contains("10.9.9.9".parse().unwrap()));
    assert_eq!(config.peers.listen, PeerListen::At(vec!["10.0.5.7:4446".parse().unwrap()]));
    assert_eq!((config.peers.pool_size, config.peers.preconnect), (0, 0));
    assert_eq!(config.peers.asking.longest_wait, Duration::from_micros(500));
    let Service::Files(files) = &config.local.service else { panic!("{:?}", config.local) };
    assert_eq!(files.root.as_deref(), Some(dir.path()));
    assert_eq!(files.types["md"], "text/markdown");
    assert_eq!(files.links, files::Links::None);
    assert_eq!(config.local.health.check, HealthCheck::Path("/ready".into()));
    let names: Vec<_> = config.routes.all().iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["writes", "route2", "default"]);
    assert_eq!(config.routes.all()[0].response_timeout, Duration::from_secs(120));
    assert_eq!(config.routes.all()[1].asking, Asking::Never);
    assert_eq!(config.routes.all()[1].conditions, "path /static/");
    assert_eq!(config.routes.table.all().len(), 3);
    assert_eq!(config.access_log.target, LogTarget::File("/var/log/backhand.log".into()));
    assert_eq!(config.access_log.format, LogFormat::Json);
}

#[test]
fn every_mistake_is_found_at_once_and_at_its_place() {
    let text = r#"
[http]
lisen = ["[::]:80"]
workers = 0
head_timeout = 10
[local]
server = "web1:9000"
heelth = "tcp"
[acces_log]
to = "stdout"
[[route]]
name = "a b"
[[route]]
asking = "sometimes"
"#;
    let forms = read::<Sections>(text).unwrap_err();
    let keys: Vec<_> = forms.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys.len(), 4, "{forms:#?}");
    assert!(forms.is_sorted_by_key(|p| p.at.clone().map(|at| at.start)), "{forms:#?}");
    for key in ["http.lisen", "http.head_timeout", "local.heelth", "acces_log"] {
        assert!(keys.contains(&key), "{key}: {keys:?}");
    }
    let text = text.replace("lisen", "listen").replace("heelth", "health");
    let text = text.replace("acces_log", "access_log").replace("= 10", "= \"10s\"");
    let problems = bad(&text);
    let marked: Vec<_> = problems.iter().map(|p| &text[p.at.clone().unwrap()]).collect();
    assert_eq!(marked, ["0", "\"web1:9000\"", "\"a b\"", "\"sometimes\""]);
}

#[test]
fn every_bad_value_of_a_list_is_named_by_its_number_and_the_rest_is_read_on() {
    let text = "[http]\ntrusted = [\"10.0.0.1\", \"x\", \"10.0.0.2\", 7, \"10.0.0.1/8\"]\nworkers = 0\n\
                [[route]]\nallow = [\"y\"]\n";
    let (left, problems) = read::read_on::<Sections>(text);
    let keys: Vec<_> = problems.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(
        keys,
        ["http.trusted[1]", "http.trusted[3]", "http.trusted[4]", "route[0].allow[0]"]
    );
    assert_eq!(&text[problems[1].at.clone().unwrap()], "7");
    let left = left.unwrap();
    assert_eq!(
        left.route[0].allow, None,
        "a list of nothing but mistakes is none, and not one that allows nobody"
    );
    assert_eq!(Config::check(&left).unwrap_err()[0].key, "http.workers");
}

#[test]
fn every_value_of_a_wrong_kind_gets_a_remedy() {
    for (text, remedy) in [
        ("[http]\nworkers = \"2\"", "write a whole number"),
        ("[http]\nhead_timeout = 5", "write text in quotes with a unit: \"250ms\""),
        (
            "[http]\nworkers = 99999999999999999999999",
            "see docs/configuration/http.md for its bounds",
        ),
        ("[[http]]\nworkers = 2", "write [http] in one pair of brackets"),
        ("[[local]]\nlimit = 2", "write [local] in one pair of brackets"),
        ("[http]\nlisten = 80", "write a list"),
        ("[peers]\npool = \"yes\"", "write true or false"),
        ("http = 5", "write a section or a table"),
        ("[[route]]\nallow = \"10.0.0.1\"", "write a list"),
        ("[[route]]\nallow = [\"10.0.0.1/40\"]", "write a number from 0 to 32"),
        ("[[route]]\nallow = [\"web1\"]", "write an address"),
        ("[http]\nhead_timeout = \"5\"", "write one"),
        ("[http]\nhead_timeout = \"soon\"", "write a number with a unit, such as"),
    ] {
        let problems = bad(text);
        assert!(problems[0].remedy.contains(remedy), "{text}: {problems:?}");
    }
}

#[test]
fn an_unknown_key_gets_the_one_that_was_meant() {
    for (text, marked, remedy) in [
        ("[http]\nhead-timeout = \"5s\"", "head-timeout", "did you mean head_timeout?"),
        ("[http]\nfrobnicate = []", "frobnicate", "known here: listen, workers"),
        ("[acess_log]", "acess_log", "did you mean access_log?"),
        ("[[route]]\nchian = []", "chian", "did you mean chain?"),
        ("[local]\nDirectory = \"/\"", "Directory", "did you mean directory?"),
    ] {
        let (place, words) = only(text);
        assert_eq!(place, marked);
        assert!(words.contains("this key is not known here") && words.contains(remedy), "{words}");
    }
}

/// Longer than any path of a Unix socket.
const LONG: &str = "one/two/three/four/five/six/seven/eight/nine/ten/eleven/twelve/thirteen/fourteen/fifteen/sixteen/seventeen/app.sock";

#[test]
fn every_mistake_names_what_to_write_instead() {
    for (text, marked, words) in [
        ("[http]\nlisten = [\":80\"]", "\":80\"", "write \"[::]:80\""),
        ("[http]\nlisten = [\"10.0.0.1\"]", "\"10.0.0.1\"", "add the port: \"10.0.0.1:8080\""),
        ("[http]\nlisten = [\"fd00::1\"]", "\"fd00::1\"", "\"[fd00::1]:8080\""),
        ("[http]\nlisten = [\"web:80\"]", "\"web:80\"", "not a name"),
        ("[http]\nlisten = []", "[]", "list 1 to 64"),
        (
            "[http]\nlisten = [\"[::]:80\", \"0.0.0.0:80\"]",
            "\"0.0.0.0:80\"",
            "keep the one that begins with [::]",
        ),
        ("[http]\nlisten = [\"1.1.1.1:80\", \"1.1.1.1:80\"]", "\"1.1.1.1:80\"", "listed twice"),
        (
            "[http]\nlisten = [\"0.0.0.0:80\", \"127.0.0.1:80\"]",
            "\"127.0.0.1:80\"",
            "is one of those that 0.0.0.0:80 stands for; keep one",
        ),
        ("[http]\nworkers = 257", "257", "257 is not between 1 and 256"),
        (
            "[http]\nhead_timeout = \"6m\"",
            "\"6m\"",
            "6m is not between 1s and 5m; write 1s to 5m, or leave it out for 10s",
        ),
        ("[http]\nmax_head = \"1MiB\"", "\"1MiB\"", "not between 1KiB and 256KiB"),
        ("[http]\nworkers = \"two\"", "\"two\"", "write a whole number"),
        ("[http]\nhead_timeout = \"5\"", "\"5\"", "there is no unit that is known"),
        ("[http]\ntrusted = [\"10.0.0.1/8\"]", "\"10.0.0.1/8\"", "did you mean 10.0.0.0/8"),
        ("[peers]\nlisten = \"on\"", "\"on\"", "neither \"exchange\" nor \"off\""),
        ("[peers]\npreconnect = 17", "17", "not between 0 and 16"),
        ("[local]\ndirectory = \"www\"", "\"www\"", "write the whole path"),
        (
            "[local]\ndirectory = \"/nowhere/at/all\"",
            "\"/nowhere/at/all\"",
            "does not exist; create it",
        ),
        ("[local]\ndirectory = \"/etc/passwd\"", "\"/etc/passwd\"", "is not a directory"),
        (
            "[local]\nserver = \"https://127.0.0.1:1\"",
            "\"https://127.0.0.1:1\"",
            "names and https are not known",
        ),
        ("[local]\nunix = \"app.sock\"", "\"app.sock\"", "is relative"),
        (&format!("[local]\nunix = \"/{LONG}\""), &format!("\"/{LONG}\""), "at most 107"),
        ("[local]\nself = \"proxy\"", "", "add proxy_to"),
        ("[local]\nproxy_to = \"127.0.0.1:1\"", "\"127.0.0.1:1\"", "no effect"),
        ("[local]\nself = \"twice\"", "\"twice\"", "write \"direct\" or \"proxy\""),
        ("[local]\nhealth = \"http\"", "\"http\"", "write \"tcp\", \"off\" or \"/path\""),
        ("[local]\nindex = [\"../x\"]", "\"../x\"", "not a plain file name"),
        ("[local]\ntypes = { \".md\" = \"text/x\" }", "\".md\"", "without the dot"),
        ("[local]\ntypes = { md = \"text\" }", "\"text\"", "not a type of content"),
        ("[local]\ncache_control = \"a\\r\\nb\"", "\"a\\r\\nb\"", "cannot stand in a header"),
        (
            "[[route]]\nname = \"default\"",
            "\"default\"",
            "\"default\" is the route of whatever no other takes",
        ),
        ("[[route]]\nchain = []", "[]", "the chain is empty"),
        ("[[route]]\nempty = \"no\"", "\"no\"", "write \"here\" or \"refuse\""),
        ("[access_log]\nto = \"log\"", "\"log\"", "such as \"/var/log/backhand/log\""),
        ("[access_log]\nformat = \"xml\"", "\"xml\"", "write \"combined\" or \"json\""),
        ("[access_log]\nbuffer = \"1B\"", "\"1B\"", "not between 64KiB and 1GiB"),
    ] {
        let (place, said) = only(text);
        assert_eq!(place, marked, "{text}: {said}");
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn an_access_log_that_cannot_be_there_is_a_mistake_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let to = |path: &std::path::Path| format!("[access_log]\nto = {path:?}");
    good(&to(&dir.path().join("access.log")));
    assert!(only(&to(dir.path())).1.contains("is a directory"));
    let (marked, words) = only(&to(&dir.path().join("none/access.log")));
    assert!(
        marked.contains("none/access.log") && words.contains("there is no directory"),
        "{words}"
    );
}

#[test]
fn a_mistake_in_a_chain_is_marked_at_its_function() {
    for (text, marked) in [
        ("[[route]]\nchain = [\"byFresh\", \"byMagic\"]", "\"byMagic\""),
        ("[[route]]\nchain = \"byMagic\"", "\"byMagic\""),
        ("[[route]]\nregex = \"(\"", "\"(\""),
        ("[[route]]\nheader = \"Cookie: (\"", "\"Cookie: (\""),
    ] {
        let (place, said) = only(text);
        assert_eq!(place, marked, "{said}");
        assert!(said.starts_with("route[0]."), "{said}");
    }
}

#[test]
fn every_mistake_of_a_route_is_told_with_what_to_write() {
    let text = r#"
        [[route]]
        host = ["a b", "ok.example", "c:80"]
        path = ["x", "/y?z"]
        regex = "("
        method = ["post", "G T"]
        header = [":", "Cookie: ("]
        extension = ["", "a.b"]
        chain = ["byLoad nan", "byRandom", "byLoad -1", "nope", "byAge 0", "byHostname"]
    "#;
    let problems = bad(text);
    let marked: Vec<_> = problems.iter().map(|p| &text[p.at.clone().unwrap()]).collect();
    for written in [
        "a b",
        "c:80",
        "x",
        "/y?z",
        "(",
        "post",
        "G T",
        ":",
        "Cookie: (",
        "",
        "a.b",
        "byLoad nan",
        "byLoad -1",
        "nope",
        "byAge 0",
        "byHostname",
    ] {
        assert!(marked.contains(&&*format!("{written:?}")), "{written} in {marked:?}");
    }
    assert_eq!(problems.len(), 16, "{problems:#?}");
    let silent: Vec<_> = problems.iter().filter(|p| p.remedy.is_empty()).collect();
    assert!(silent.is_empty(), "{silent:#?}");
    let many = format!("[[route]]\nchain = [{}]", "\"byRandom\", ".repeat(33));
    assert!(only(&many).1.contains("at most 32"));
    assert!(only("[route]\nhost = \"a\"").1.contains("[[route]] in two brackets"));
}

#[test]
fn two_local_services_are_one_too_many() {
    let (_, said) = only("[local]\nserver = \"127.0.0.1:9000\"\nunix = \"/run/app.sock\"");
    assert!(said.contains("local.server and local.unix are given together"), "{said}");
}

#[test]
fn a_directory_that_may_not_be_read_is_an_error_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o000)).unwrap();
    let text = format!("[local]\ndirectory = {:?}", dir.path());
    // Root reads everything, so a thread of its own becomes nobody; the others stay who they are.
    let asked = std::thread::spawn(move || {
        if rustix::process::geteuid().is_root() {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(None, nobody, None).unwrap();
        }
        only(&text)
    });
    let (_, said) = asked.join().unwrap();
    assert!(said.contains("cannot be read by this user") && said.contains("namei -l"), "{said}");
}

#[test]
fn what_is_no_toml_is_marked_where_it_stops_being_it() {
    let problems = bad("[http]\nworkers = = 3\nlisten = [\n");
    assert!(problems[0].at.is_some(), "{problems:#?}");
    assert!(read::<Sections>(&"#".repeat(read::TEXT_MAX + 1)).is_err());
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    for text in ["a.".repeat(100_000) + "a = 1", "x = ".to_owned() + &"[".repeat(100_000)] {
        assert!(read::<Sections>(&text).is_err());
    }
}

proptest! {
    #[test]
    fn no_text_makes_reading_or_checking_panic(text in "[\\[\\]a-z_.=\"{}0-9,\n]{0,200}") {
        let _ = check(&text);
    }

    #[test]
    fn places_are_always_within_the_text(key in "[a-z]{1,8}", value in "[ -~]{0,20}") {
        let text = format!("[http]\n{key} = {value:?}\n[local]\n{key} = 1\n");
        for problem in check(&text).err().unwrap_or_default() {
            let at = problem.at.clone().unwrap_or_default();
            prop_assert!(text.get(at).is_some(), "{problem:?}");
        }
    }
}
