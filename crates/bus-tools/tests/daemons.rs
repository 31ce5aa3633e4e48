//! The tools with daemons of ours that really run, several on one machine, which an operator divides and unites.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::UdpSocket;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base::AddrBlocks;
use bus_tools::{flood, user};
use spread_client::Endpoint;
use spread_daemon::config::{Around, BusSection};
use spread_daemon::monitor::{Answer, Request, Whom, ask, control_path};
use spread_daemon::{Daemon, Stopper};
use support::Running;
use support::cache::{Cache, PATIENCE, purge_within};
use tempfile::TempDir;

/// Some daemons in one view.
struct Bus {
    folder: TempDir,
    port: u16,
    daemons: Vec<Option<(Stopper, JoinHandle<()>)>>,
}

impl Bus {
    fn start(count: usize) -> Self {
        let port = UdpSocket::bind("127.0.78.1:0").unwrap().local_addr().unwrap().port();
        let folder = TempDir::new().unwrap();
        let mut bus = Self { folder, port, daemons: (0..count).map(|_| None).collect() };
        (0..count).for_each(|at| bus.begin(at));
        bus.until_views_have(&vec![count; count]);
        bus
    }

    fn begin(&mut self, at: usize) {
        let (name, port) = (name(at), self.port);
        let seeds: Vec<String> =
            (1..=self.daemons.len()).map(|at| format!("127.0.78.{at}:{port}")).collect();
        let text = format!(
            "name = {name:?}\nlisten = []\nsocket = {:?}\naddress = \"127.0.78.{}\"\nport = {port}\n\
             segment = \"none\"\nseeds = {seeds:?}\npriority = \"none\"\ndangerous_monitor = true\n",
            self.socket(at),
            at + 1,
        );
        let section: BusSection = toml::from_str(&text).unwrap();
        let around = Around {
            name: &name,
            here: &[],
            key: None,
            insecure: false,
            accept: &AddrBlocks(vec!["127.0.0.0/8".parse().unwrap()]),
            read_key: &|_| unreachable!("no key is named"),
        };
        let daemon = Daemon::open(section.check(&around).unwrap()).unwrap();
        let stopper = daemon.stopper();
        self.daemons[at] = Some((stopper, thread::spawn(move || daemon.run().unwrap())));
    }

    fn end(&mut self, at: usize) {
        let (stopper, thread) = self.daemons[at].take().unwrap();
        stopper.stop();
        thread.join().unwrap();
    }

    fn socket(&self, at: usize) -> PathBuf {
        self.folder.path().join(name(at))
    }

    fn endpoint(&self, at: usize) -> Endpoint {
        Endpoint::Unix(self.socket(at))
    }

    fn ask(&self, at: usize, request: &Request) -> Vec<Answer> {
        let mut answers = Vec::new();
        ask(&control_path(&self.socket(at)), request, |answer| answers.push(answer)).unwrap();
        answers
    }

    /// Waits until the running daemons stand in views of these sizes, in their order.
    #[track_caller]
    fn until_views_have(&self, sizes: &[usize]) {
        let begun = Instant::now();
        let running = (0..self.daemons.len()).filter(|&at| self.daemons[at].is_some());
        for (at, size) in running.zip(sizes) {
            loop {
                let answers = self.ask(at, &Request::Status { of: Whom::This });
                let stands = matches!(&answers[..], [Answer::Report(report), ..]
                    if report.stands && report.settled && report.daemons == *size as u64);
                if stands {
                    break;
                }
                assert!(begun.elapsed() < PATIENCE, "daemon {at}: {answers:?}");
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Divides the daemons: those from `first` on are on the other side.
    fn divide(&self, first: usize) {
        let all = self.daemons.len();
        let components = (first..all).map(|at| (name(at), 1)).collect();
        let answers = self.ask(0, &Request::Partition { components });
        assert!(answers.iter().all(|one| matches!(one, Answer::Done { .. } | Answer::End)));
        let sizes: Vec<usize> =
            (0..all).map(|at| if at < first { first } else { all - first }).collect();
        self.until_views_have(&sizes);
    }

    fn unite(&self) {
        self.ask(0, &Request::Heal);
        self.until_views_have(&vec![self.daemons.len(); self.daemons.len()]);
    }

    fn user(&self, at: usize, name: &str) -> Running {
        let spread = self.endpoint(at).to_string();
        let arguments = user::Arguments { user: name.into(), spread, ..Default::default() };
        let user = Running::start(move |input, output| user::run(&arguments, input, output, false));
        user.screen.until(PROMPT);
        user
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let all: Vec<_> = self.daemons.iter_mut().filter_map(Option::take).collect();
        all.iter().for_each(|(stopper, _)| stopper.stop());
        for (_, thread) in all {
            let _ = thread.join();
        }
    }
}

fn name(at: usize) -> String {
    format!("d{at}")
}

const PROMPT: &str = "\nUser> ";
const RULE: &str = "\n============================\n";

/// The text without the three numbers of each group id.
fn without_ids(text: &str) -> String {
    let line =
        |line: &str| if line.starts_with("grp id is ") { "grp id is" } else { line }.to_owned();
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn users_at_two_daemons_meet_part_and_meet_again() {
    let bus = Bus::start(2);
    let mut ann = bus.user(0, "ann");
    ann.types("j room\n");
    let view = ann.screen.until("Due to the JOIN of #ann#d0\n\nUser> ");
    assert_eq!(
        without_ids(&view),
        format!(
            "{PROMPT}{RULE}Received REGULAR membership for group room with 1 members, where I am member 0:\n\
             \t#ann#d0\ngrp id is\nDue to the JOIN of #ann#d0\n{PROMPT}"
        )
    );
    let mut ben = bus.user(1, "ben");
    ben.types("j room\n");
    ann.screen.until("Due to the JOIN of #ben#d1\n\nUser> ");
    ben.screen.until("Due to the JOIN of #ben#d1\n\nUser> ");
    ann.types("s room\nhello spread\n");
    let message = format!(
        "{RULE}received SAFE message from #ann#d0, of type 1, (endian 0) to 1 groups \n\
         (13 bytes): hello spread\n\n{PROMPT}"
    );
    ann.screen.until(&message);
    assert_eq!(ben.screen.until(&message), message);

    bus.divide(1);
    let alone = |who: &str| {
        format!(
            "{RULE}received TRANSITIONAL membership for group room\n{PROMPT}\
             {RULE}Received REGULAR membership for group room with 1 members, where I am member 0:\n\
             \t{who}\ngrp id is\nDue to NETWORK change with 1 VS sets\n\
             LOCAL VS set 0 has 1 members:\n\t{who}\n{PROMPT}"
        )
    };
    let end = |who: &str| format!("LOCAL VS set 0 has 1 members:\n\t{who}\n{PROMPT}");
    assert_eq!(without_ids(&ann.screen.until(&end("#ann#d0"))), alone("#ann#d0"));
    assert_eq!(without_ids(&ben.screen.until(&end("#ben#d1"))), alone("#ben#d1"));

    bus.unite();
    for (user, place, own) in [(&ann, 0, "#ann#d0"), (&ben, 1, "#ben#d1")] {
        user.screen.containing("with 2 VS sets\n");
        let text = without_ids(&user.screen.until(PROMPT));
        let begin = format!(
            "{RULE}Received REGULAR membership for group room with 2 members, where I am member {place}:\n\
             \t#ann#d0\n\t#ben#d1\ngrp id is\nDue to NETWORK change with 2 VS sets\n"
        );
        assert!(text.starts_with(&begin), "{text}");
        assert_eq!(text.matches("LOCAL VS set ").count(), 1, "{text}");
        let local = text.split("LOCAL VS set ").nth(1).unwrap();
        assert!(local[1..].starts_with(&format!(" has 1 members:\n\t{own}\n")), "{text}");
        assert_eq!(text.matches("OTHER VS set ").count(), 1, "{text}");
    }
    ann.types("q\n");
    assert!(ben.screen.until(PROMPT).ends_with("Due to the DISCONNECT of #ann#d0\n\nUser> "));
}

#[test]
fn floods_of_two_daemons_wait_for_each_other() {
    let bus = Bus::start(2);
    let floods: Vec<Running> = (0..2)
        .map(|at| {
            let arguments = flood::Arguments {
                spread: bus.endpoint(at).to_string(),
                messages: 3_000,
                bytes: 100,
                members: 2,
                ..flood::Arguments::default()
            };
            Running::start(move |_, output| flood::run(&arguments, output))
        })
        .collect();
    for flood in floods {
        let (status, text) = flood.ends();
        assert_eq!(status, 0, "{text}");
        assert!(
            text.ends_with("completed multicast of 3000 messages, 100 bytes each.\n"),
            "{text}"
        );
    }
    let arguments = flood::Arguments {
        // The name of the one before may be taken still for a moment.
        user: "large".into(),
        spread: bus.endpoint(0).to_string(),
        messages: 300,
        bytes: flood::BYTES_MAX,
        ..flood::Arguments::default()
    };
    let mut output = Vec::new();
    let status = flood::run(&arguments, &mut output).unwrap();
    assert_eq!(status, 0, "{}", String::from_utf8_lossy(&output));
}

#[test]
fn a_purge_reaches_the_caches_of_all_machines() {
    let mut bus = Bus::start(3);
    let caches: Vec<Cache> = (0..3).map(|at| Cache::start(&bus.endpoint(at), at + 1)).collect();
    caches.iter().for_each(|cache| cache.stores(&["a/b", "a/c", "d"]));
    let (all, output, errors) = purge_within(&bus.endpoint(1), PATIENCE, &["http://w/a/*", "/d"]);
    assert!(all, "{errors}");
    assert_eq!(output, "/a/*: 6 files removed by 3 members\n/d: 3 files removed by 3 members\n");
    // A machine whose daemon ends is no member any more, and clears its cache when it is back.
    caches.iter().for_each(|cache| cache.stores(&["e", "f"]));
    bus.end(2);
    caches[2].log.containing("the folder will be cleared when the session is back");
    let begun = Instant::now();
    while purge_within(&bus.endpoint(0), PATIENCE, &["/e"]).1
        != "/e: 2 files removed by 2 members\n"
    {
        assert!(begun.elapsed() < PATIENCE);
        caches.iter().for_each(|cache| cache.stores(&["e"]));
    }
    assert!(caches[2].has("e"), "it could not be told");
    bus.begin(2);
    caches[2].waits_until_gone("e");
    caches[2].waits_until_gone("f");
    assert!(caches[0].has("f"));
}

#[test]
fn caches_that_were_cut_off_from_each_other_tell_each_other_what_they_purged() {
    let bus = Bus::start(3);
    let caches: Vec<Cache> = (0..3).map(|at| Cache::start(&bus.endpoint(at), at + 1)).collect();
    let stored = ["both", "here", "there/x", "there/y", "kept"];
    caches.iter().for_each(|cache| cache.stores(&stored));
    assert!(purge_within(&bus.endpoint(0), PATIENCE, &["/both"]).0);
    bus.divide(2);
    // Each side purges what it can reach, and says so.
    let (all, output, _) = purge_within(&bus.endpoint(0), PATIENCE, &["/here"]);
    assert_eq!((all, &output[..]), (true, "/here: 2 files removed by 2 members\n"));
    let (all, output, _) = purge_within(&bus.endpoint(2), PATIENCE, &["/there/*"]);
    assert_eq!((all, &output[..]), (true, "/there/*: 2 files removed by 1 members\n"));
    assert!(caches[2].has("here") && caches[0].has("there/x"));
    bus.unite();
    caches[2].waits_until_gone("here");
    for cache in &caches[..2] {
        cache.waits_until_gone("there/x");
        cache.waits_until_gone("there/y");
    }
    for cache in &caches {
        assert!(cache.has("kept"), "{}", cache.log.text());
    }
    let (all, output, errors) = purge_within(&bus.endpoint(2), PATIENCE, &["/kept"]);
    assert!(all, "{errors}");
    assert_eq!(output, "/kept: 3 files removed by 3 members\n");
}
