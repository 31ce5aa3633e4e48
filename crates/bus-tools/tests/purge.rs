//! `backhand purge` and `backhand purged` with real folders, against a daemon of the test's own.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::Duration;

use bus_tools::purge::ask::{Request, ask};
use bus_tools::tls::TlsFiles;
use spread_client::blocking::Connection;
use spread_client::{Endpoint, Event, GroupId, Membership, Names, Options, Outgoing, Service};
use spread_wire::{Order, Transitional};
use support::Screen;
use support::cache::{Cache, GROUP, PATIENCE, purge_within};
use tempfile::TempDir;
use testkit::bus::{Server, group};

fn purge(server: &Server, objects: &[&str]) -> (bool, String, String) {
    purge_within(&server.unix, PATIENCE, objects)
}

fn connect(server: &Server, name: &str) -> Connection {
    Connection::connect(&server.unix, &Options::named(name).unwrap()).unwrap()
}

#[test]
fn a_purge_is_done_by_every_member_and_acknowledged() {
    let server = Server::start();
    let caches = [1, 2, 3].map(|count| Cache::start(&server.unix, count));
    for cache in &caches {
        cache.stores(&["index.html", "img/a.png", "img/b.png", "img/big/a.png", "img2/a", "x"]);
    }
    let (all, output, errors) = purge(&server, &["http://www.example.org/index.html?x=1"]);
    assert_eq!((all, &errors[..]), (true, ""));
    assert_eq!(output, "/index.html: 3 files removed by 3 members\n");
    assert!(caches.iter().all(|cache| !cache.has("index.html") && cache.has("img/a.png")));

    let (all, output, _) = purge(&server, &["/img/a*", "/nothing", "img/big", "/x/y"]);
    assert!(all);
    assert_eq!(
        output,
        "/img/a*: 3 files removed by 3 members\n\
         /nothing: 0 files removed by 3 members\n\
         /img/big: 3 files removed by 3 members\n\
         /x/y: 0 files removed by 3 members\n"
    );
    for cache in &caches {
        assert!(!cache.has("img/a.png") && !cache.has("img/big"));
        assert!(cache.has("img/b.png") && cache.has("img2/a") && cache.has("x"));
        assert!(cache.log.containing("purges /img/big: 1 files").contains("[#purge"));
    }
    assert!(purge(&server, &["/*"]).0);
    assert!(caches.iter().all(Cache::is_empty));
}

#[test]
fn more_objects_than_can_be_under_way_are_purged_all() {
    let server = Server::start();
    let cache = Cache::start(&server.unix, 1);
    let names: Vec<String> = (0..500).map(|number| format!("d{}/f{number}", number % 7)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    cache.stores(&names);
    let (all, output, _) = purge(&server, &names);
    assert!(all && output.lines().count() == 500);
    assert!(output.lines().all(|line| line.ends_with(": 1 files removed by 1 members")));
}

#[test]
fn who_does_not_answer_is_named() {
    let server = Server::start();
    let _cache = Cache::start(&server.unix, 1);
    let mut deaf = connect(&server, "deaf");
    deaf.join(&group(GROUP)).unwrap();
    deaf.receive().unwrap();
    let (all, output, errors) = purge_within(&server.unix, Duration::from_millis(300), &["/a"]);
    assert_eq!((all, &output[..]), (false, ""));
    assert_eq!(errors, "/a: #deaf#here did not answer within 0.3 s\n");
    deaf.disconnect().unwrap();
}

#[test]
fn that_nobody_is_there_is_told() {
    let server = Server::start();
    let (all, _, errors) = purge_within(&server.unix, Duration::from_millis(100), &["/a", "/b"]);
    assert!(!all);
    assert!(errors.starts_with("/a: nobody in cachepurge answered within 0.1 s; does"), "{errors}");
    assert_eq!(errors.lines().count(), 2);
}

#[test]
fn answers_of_strangers_and_nonsense_finish_nothing() {
    let server = Server::start();
    let mut fool = connect(&server, "fool");
    fool.join(&group(GROUP)).unwrap();
    fool.receive().unwrap();
    let answering = thread::spawn(move || {
        let Event::Regular(message) = fool.receive().unwrap() else { panic!() };
        let groups = &[message.sender.unwrap()];
        for (kind, body) in [(1, &b"removed many"[..]), (2, b"removed 1"), (-1, b""), (1, b"\xff")]
        {
            let message =
                Outgoing { service: Service::Fifo, self_discard: false, kind, groups, body };
            fool.send(&message).unwrap();
        }
        fool
    });
    let (all, output, errors) = purge_within(&server.unix, Duration::from_millis(300), &["/a"]);
    assert!(!all && output.is_empty() && errors.contains("nobody in cachepurge"), "{errors}");
    answering.join().unwrap();
}

#[test]
fn the_programs_of_the_book_are_understood() {
    let server = Server::start();
    let cache = Cache::start(&server.unix, 1);
    cache.stores(&["a/b", "a/c", "d"]);
    let mut book = connect(&server, "scp_1");
    book.multicast(Service::Reliable, &group(GROUP), b"/a\n").unwrap();
    book.multicast(Service::Reliable, &group(GROUP), b"d").unwrap();
    cache.waits_until_gone("d");
    assert!(!cache.has("a"));
    // Nobody answers, for these programs do not listen.
    assert_eq!(book.receive_within(Duration::from_millis(50)).unwrap(), None);
    let request = Request {
        spread: server.unix.clone(),
        tls: TlsFiles::default(),
        group: GROUP.into(),
        objects: vec![b"/e".to_vec()],
        patience: None,
    };
    cache.stores(&["e"]);
    assert!(ask(&request, &mut Vec::new(), &mut Vec::new()).unwrap());
    cache.waits_until_gone("e");
}

#[test]
fn a_purge_to_one_member_alone_is_none() {
    let server = Server::start();
    let cache = Cache::start(&server.unix, 1);
    cache.stores(&["a", "b"]);
    let mut bob = connect(&server, "bob");
    bob.multicast(Service::Safe, cache.name().group(), b"/a").unwrap();
    assert!(purge(&server, &["/b"]).0);
    assert!(cache.has("a"));
}

#[test]
fn the_folder_is_cleared_at_the_start_and_when_the_session_is_back() {
    let server = Server::start();
    let folder = TempDir::new().unwrap();
    let cache = Cache { folder, log: Screen::default() };
    cache.stores(&["old/a", "old/b/c", "d", "e/CACHEDIR.TAG"]);
    cache.is_marked();
    cache.run(&server.unix);
    cache.log.containing("joined cachepurge (1 members), clears the folder: 4 files\n");
    assert!(cache.is_empty());
    cache.stores(&["new"]);
    server.end_sessions();
    cache.log.containing("the folder will be cleared when the session is back\n");
    cache.waits_until_gone("new");
    cache.log.containing("joined cachepurge (1 members), clears the folder: 1 files\n");
}

#[test]
fn nothing_is_removed_while_there_is_no_daemon() {
    let (folder, nowhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let cache = Cache { folder, log: Screen::default() };
    cache.stores(&["a"]);
    cache.is_marked();
    cache.run(&Endpoint::Unix(nowhere.path().join("socket")));
    cache.log.containing("it is tried again and again");
    assert!(cache.has("a"));
}

#[test]
fn the_mark_of_a_cache_cannot_be_purged() {
    let server = Server::start();
    let cache = Cache::start(&server.unix, 1);
    cache.stores(&["a/CACHEDIR.TAG", "CACHE"]);
    let (all, output, _) = purge(&server, &["/CACHEDIR.TAG", "/a/CACHEDIR.TAG", "/CACHE*"]);
    assert!(all && cache.has("CACHEDIR.TAG"));
    assert_eq!(
        output,
        "/CACHEDIR.TAG: 0 files removed by 1 members\n\
         /a/CACHEDIR.TAG: 1 files removed by 1 members\n\
         /CACHE*: 1 files removed by 1 members\n"
    );
}

#[test]
fn an_encoded_star_is_part_of_the_name() {
    let server = Server::start();
    let cache = Cache::start(&server.unix, 1);
    cache.stores(&["x/i", "x/i1", "x/i*"]);
    let (all, output, _) = purge(&server, &["http://h/x/i%2a"]);
    assert_eq!((all, &output[..]), (true, "/x/i*/: 1 files removed by 1 members\n"));
    assert!(cache.has("x/i") && cache.has("x/i1") && !cache.has("x/i*"));
}

#[test]
fn what_would_lead_out_of_the_folder_is_refused_and_everything_there_stays() {
    let server = Server::start();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("precious"), "x").unwrap();
    let cache = Cache::start(&server.unix, 1);
    cache.stores(&["a"]);
    symlink(outside.path(), cache.path("link")).unwrap();
    symlink("a", cache.path("inner")).unwrap();
    // The asker refuses it, and so does the member if another program asks.
    let mut bob = connect(&server, "bob");
    for body in [&b"../x"[..], b"/../../etc/passwd", b"/a\0b", b"", &[b'x'; 300]] {
        let groups = &[group(GROUP)];
        bob.send(&Outgoing { service: Service::Safe, self_discard: false, kind: 5, groups, body })
            .unwrap();
        let Event::Regular(answer) = bob.receive().unwrap() else { panic!() };
        assert!(answer.body.starts_with(b"removed 0 failed "), "{:?}", answer.body);
    }
    let (all, _, errors) = purge(&server, &["/link/precious", "/link/*"]);
    assert!(!all);
    assert_eq!(errors.matches("failed: link: it is a symbolic link").count(), 2, "{errors}");
    // The link itself is an object like any other.
    assert!(purge(&server, &["/link", "/inner"]).0);
    assert!(!cache.has("link") && !cache.has("inner") && cache.has("a"));
    symlink(outside.path(), cache.path("link")).unwrap();
    assert!(purge(&server, &["/*"]).0);
    assert!(!cache.has("link"));
    assert!(outside.path().join("precious").exists());
}

#[test]
fn a_purge_that_fails_somewhere_is_told_with_the_place() {
    let server = Server::start();
    let cache = Cache::start(&server.unix, 1);
    let deep = "d/".repeat(140);
    cache.stores(&[&format!("{deep}f"), "d/g"]);
    let (all, output, errors) = purge(&server, &["/d"]);
    assert_eq!((all, &output[..]), (false, ""));
    let name = cache.name();
    assert_eq!(errors, format!("/d: {name} failed: directories deeper than 128 are left\n"));
    assert!(!cache.has("d/g"));
}

#[test]
fn many_files_do_not_keep_the_member_from_listening() {
    let server = Server::start();
    let cache = Cache::start(&server.unix, 1);
    for number in 0..3_000 {
        fs::write(cache.path(&format!("f{number}")), "").unwrap();
    }
    let (all, output, _) = purge(&server, &["/f1*", "/f*", "/f7"]);
    assert!(all);
    assert!(output.contains("/f1*: 1111 files removed by 1 members\n"), "{output}");
    assert!(output.contains("/f*: 1889 files removed by 1 members\n"), "{output}");
}

fn network(members: &Names, sets: &[Names], own: usize) -> Vec<u8> {
    let id = GroupId { proc: 3, time: 4, index: 1 };
    Membership::of_network(group(GROUP), id, members.clone(), sets, own)
        .encode(Order::NATIVE)
        .into()
}

#[test]
fn who_was_cut_off_is_told_what_it_missed_and_does_it() {
    let server = Server::start();
    let mut bob = connect(&server, "bob");
    bob.join(&group(GROUP)).unwrap();
    bob.receive().unwrap();
    let cache = Cache::start(&server.unix, 2);
    bob.receive().unwrap();
    let own = cache.name();
    cache.stores(&["a", "b"]);
    // The daemons part, as the member is told; the test's daemon itself is one.
    let id = GroupId { proc: 1, time: 2, index: 2 };
    server.say(&own, &Transitional { group: group(GROUP), id }.encode(Order::NATIVE));
    let alone = Names::new([own.group()]);
    server.say(&own, &network(&alone, std::slice::from_ref(&alone), 0));
    let mut other = connect(&server, "other");
    other.multicast(Service::Safe, &group(GROUP), b"/a").unwrap();
    cache.waits_until_gone("a");
    other.multicast(Service::Safe, &group(GROUP), b"/dir/*").unwrap();
    // And meet again.
    let other_side = Names::new([bob.group().group()]);
    let both = Names::new([bob.group().group(), own.group()]);
    cache.log.containing("purges /dir/*");
    server.say(&own, &network(&both, &[other_side, alone], 1));
    let told = loop {
        let Event::Regular(message) = bob.receive().unwrap() else { continue };
        if message.hint.kind() == -1 {
            break message;
        }
    };
    assert_eq!((&told.body[..], told.sender), (&b"/a\0/dir/*\0"[..], Some(*own.group())));
    assert_eq!(told.groups.get(0), Some(*bob.group().group()));
    cache.log.containing("[\"#bob#here\"] are back, and are told what they may have missed\n");
    // The other way round.
    let groups = &[*own.group()];
    let body = b"/b\0/../x\0\0/none\0";
    bob.send(&Outgoing { service: Service::Safe, self_discard: false, kind: -1, groups, body })
        .unwrap();
    cache.waits_until_gone("b");
    cache.log.containing("[#bob#here] purges /none: 0 files\n");
}

#[test]
fn a_member_may_do_nothing_else_any_more() {
    use bus_tools::purge::confine::{Confinement, confine};
    use bus_tools::purge::folder::Folder;

    let (cache, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (inside, precious) = (cache.path().join("f"), outside.path().join("precious"));
    fs::write(&inside, "x").unwrap();
    fs::write(&precious, "x").unwrap();
    let folder = Folder::open(cache.path(), true).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let denied = |outcome: std::io::Result<()>| {
        assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    };
    let inside_too = inside.clone();
    let sentence = thread::spawn(move || {
        let Confinement { whole, text } =
            confine(&folder, &format!("{port}@127.0.0.1").parse().unwrap());
        if whole {
            denied(fs::remove_file(&precious));
            denied(fs::write(&inside_too, "y"));
            denied(fs::read(&inside_too).map(drop));
            denied(fs::read("/etc/passwd").map(drop));
            denied(fs::create_dir(folder.path().join("new")));
            denied(std::net::TcpListener::bind("127.0.0.1:0").map(drop));
            denied(std::net::TcpStream::connect(("127.0.0.1", 1)).map(drop));
            std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            assert!(fs::read_dir(folder.path()).is_ok());
            fs::remove_file(&inside_too).unwrap();
            assert!(precious.exists());
        }
        text
    })
    .join()
    .unwrap();
    // Every kernel says what is in force; this thread is as free as before.
    assert!(sentence.contains("confined"), "{sentence}");
    fs::write(inside, "z").unwrap();
}

#[test]
fn folders_that_hold_things_and_are_not_marked_are_refused_until_they_are_adopted() {
    use bus_tools::purge::folder::Folder;
    let open = |path: &Path, adopt| Folder::open(path, adopt).map(drop).map_err(|e| e.to_string());
    let folder = TempDir::new().unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "x").unwrap();
    let error = open(folder.path(), false).unwrap_err();
    assert!(
        error.contains("start once with --adopt") && error.contains("Signature: 8a4"),
        "{error}"
    );
    assert!(precious.exists() && !folder.path().join("CACHEDIR.TAG").exists());
    open(folder.path(), true).unwrap();
    open(folder.path(), false).unwrap();
    // Opening removes nothing; and an empty folder is marked by itself.
    assert!(precious.exists());
    let empty = TempDir::new().unwrap();
    open(empty.path(), false).unwrap();
    fs::write(empty.path().join("page"), "x").unwrap();
    open(empty.path(), false).unwrap();
    for path in ["/nonexistent", "/dev/null"] {
        assert!(open(Path::new(path), true).unwrap_err().contains("cannot be opened"));
    }
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    use bus_tools::purge::folder::Folder;
    let folder = TempDir::new().unwrap();
    if std::os::unix::fs::chown(folder.path(), Some(4711), None).is_err() {
        println!("only root can give a folder away");
        return;
    }
    let error = Folder::open(folder.path(), true).unwrap_err().to_string();
    assert!(error.contains("belongs to user 4711"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn mistakes_are_told_before_anything_is_purged() {
    let server = Server::start();
    let cache = Cache::start(&server.unix, 1);
    cache.stores(&["a"]);
    let asked = |group: &str, objects: &[&str]| {
        let request = Request {
            spread: server.unix.clone(),
            tls: TlsFiles::default(),
            group: group.into(),
            objects: objects.iter().map(|object| object.as_bytes().to_vec()).collect(),
            patience: Some(PATIENCE),
        };
        ask(&request, &mut Vec::new(), &mut Vec::new()).unwrap_err()
    };
    for (group, objects) in [(GROUP, &["/a", "/../b"][..]), (GROUP, &["/"]), ("a b", &["/a"])] {
        let error = asked(group, objects);
        assert!(error.is_mistake(), "{error}");
    }
    assert!(cache.has("a"));
}
