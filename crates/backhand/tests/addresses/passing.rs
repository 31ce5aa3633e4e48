//! Planned moves with clients who are in the middle of something: what reaches the wrong one of the two machines is passed on.
//!
//! A client that hesitates between its handshake and its request is to the machines what one far away is. How often a machine is stopped
//! may be said in `BACKHAND_PASSING_STOPS`.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use lab::{Exit, Place, Probing, Signal, Spawn, TcpProbe, TcpTrace};
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{ASKER, COLD, PORT, Stand, WARM, passing_lab, v4, v6};
use crate::support::{PATIENCE, PROGRAM};

/// Those that need packets passed on: see [`may_pass_on`](crate::stand::may_pass_on).
pub(crate) const TRIALS: &[Named] = &[
    ("clients_near_and_far_lose_no_connection_by_orderly_stops", stops_of_four),
    ("clients_of_version_6_lose_no_connection_by_orderly_stops", stops_of_six),
    ("what_a_kill_in_the_middle_of_a_move_leaves_passes_nothing_on", killed),
    ("what_is_begun_before_a_move_is_ended_by_the_old_owner_and_then_reset", straddling),
    ("a_change_of_the_view_in_the_middle_of_a_move_costs_no_connection", changed),
    ("a_change_of_the_view_at_the_beginning_of_a_move_costs_no_connection", changed_early),
    ("what_went_to_a_machine_that_dies_is_had_again_at_once_with_its_connections", returned),
];

/// Three machines that may give the kernel programs.
fn stand(shared: impl IntoIterator<Item = IpAddr>, more: &str) -> Stand {
    let mut stand = Stand::silent_in(3, shared, passing_lab());
    stand.more = more.to_owned();
    stand.start_all();
    stand
}

fn stops_of_four() -> Result<(), Failed> {
    stops((1..=6).map(v4).collect())
}

fn stops_of_six() -> Result<(), Failed> {
    stops((1..=6).map(v6).collect())
}

fn stops(shared: Vec<IpAddr>) -> Result<(), Failed> {
    let count = std::env::var("BACKHAND_PASSING_STOPS");
    let count: usize = count.map_or(2, |count| count.parse().unwrap());
    let ip = shared[0];
    // The usual grace is short for a machine whose processors are all in use by others.
    let mut stand = stand(shared, "grace = \"1s\"\n");
    for i in stand.all() {
        assert_eq!(stand.listed(i)["passes_on"], true, "{}", stand.listed(i));
    }
    let (mut lost, mut passed) = ([0; 5], 0);
    for _ in 0..count {
        let at = stand.holder(&stand.all(), ip).expect("one has it");
        let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
        let before: u64 = others.iter().map(|i| passed_on(&stand, *i)).sum();
        let clients = Clients::open(&stand, ip);
        stand.stop(at);
        clients.wait_until_served(&stand, Instant::now());
        passed += others.iter().map(|i| passed_on(&stand, *i)).sum::<u64>() - before;
        // It comes back, and the address may move once more, before the same eyes.
        stand.start(at);
        stand.wait_until_even(&stand.all());
        clients.wait_until_served(&stand, Instant::now());
        for (all, one) in lost.iter_mut().zip(clients.close()) {
            *all += one;
        }
    }
    let lost: Vec<_> = Clients::NAMES.iter().zip(lost).collect();
    println!("{count} stops and starts, {passed} packets passed on at the stops, lost {lost:?}");
    assert!(lost.iter().all(|(_, lost)| *lost == 0), "{lost:?}");
    assert!(passed > 0, "nothing was passed on: nothing was tried");
    Ok(stand.all_live()?)
}

fn passed_on(stand: &Stand, i: usize) -> u64 {
    stand.listed(i)["passed_on"].as_u64().unwrap()
}

/// Clients of one address, near and far, that know their neighbours and that do not.
struct Clients([Probing<TcpTrace>; 5]);

impl Clients {
    const NAMES: [&str; 5] = ["near", "30 ms away", "100 ms away", "cold", "cold, 30 ms away"];

    /// Returns when all are served.
    fn open(stand: &Stand, ip: IpAddr) -> Self {
        Self::open_every(stand, ip, 1)
    }

    /// The same, with the one that is near and knows its neighbours connecting every so many milliseconds, and those far away half as
    /// often.
    fn open_every(stand: &Stand, ip: IpAddr, near: u64) -> Self {
        let probe = |host, every, hesitation| TcpProbe {
            every: Duration::from_millis(every),
            hesitation: Duration::from_millis(hesitation),
            ..TcpProbe::new(Place::Host(host), (ip, PORT).into())
        };
        let warm = |every, hesitation| probe(WARM, every, hesitation);
        // Each on a host of its own, and not too often: one that forgets a neighbour whom another is just asking for makes that one fail.
        let cold = |host, hesitation| probe(host, 50, hesitation).cold(Place::Host(host));
        let far = 2 * near;
        let probes = [warm(near, 0), warm(far, 30), warm(far, 100), cold(COLD, 0), cold(ASKER, 30)];
        let clients = Self(probes.map(|probe| probe.start(&stand.lab).unwrap()));
        clients.wait_until_served(stand, Instant::now());
        clients
    }

    fn wait_until_served(&self, stand: &Stand, after: Instant) {
        for (probe, name) in self.0.iter().zip(Self::NAMES) {
            stand.until(&format!("the client {name} is served"), || {
                probe.look(|trace| trace.first_success_after(after).map(drop))
            });
        }
    }

    /// Prints what each has seen; how many connections each has lost.
    fn close(self) -> Vec<usize> {
        let close = |(probe, name): (Probing<TcpTrace>, &str)| {
            let trace = probe.finish();
            let (all, lost) = (trace.tries().len(), trace.lost_by_kind());
            let pause = trace.longest_pause().map(|span| span.length());
            let late = trace.late().count();
            println!("{name}: {all} connections, lost {lost:?}, late {late}, pause {pause:?}");
            for one in trace.lost() {
                // How long it stood, and took in all, tells what it fell between.
                let connected = one.connected.map(|at| at - one.started);
                println!(
                    "  {:?} in {:?}, connected in {connected:?}",
                    one.outcome,
                    one.ended - one.started
                );
            }
            trace.lost().count()
        };
        self.0.into_iter().zip(Self::NAMES).map(close).collect()
    }
}

fn straddling() -> Result<(), Failed> {
    // Long enough for what is done in between, however busy this machine is.
    let mut stand = stand((1..=3).map(v4), "grace = \"3s\"\n");
    let ip = v4(1);
    let at = stand.holder(&stand.all(), ip).expect("one has it");
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
    let connect =
        || stand.lab.connect_from(Place::Host(WARM), (ip, PORT).into(), PATIENCE).unwrap();
    let (mut asks, mut lasts) = (connect(), connect());
    // A request that is not whole keeps its connection open whatever the balancer does.
    lasts.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let old = stand.lab.machine(at).name().to_owned();
    let run = stand.run(at);
    run.term().unwrap();
    let new = stand.until("the client has heard of another owner", || {
        others.iter().copied().find(|i| stand.believes(WARM, ip) == Some(stand.mac(*i)))
    });
    assert_eq!(by(&mut asks, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), old, "asked of the old owner");
    let mut begun = connect();
    let name = stand.lab.machine(new).name().to_owned();
    assert_eq!(by(&mut begun, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), name, "begun after the move");
    // And who still believes in the old one.
    assert!(stand.held(at).contains(&ip), "it was to be there still");
    let waited = Instant::now();
    lasts.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = lasts.read(&mut [0]);
    println!("the connection of the old owner ended after {:?}: {end:?}", waited.elapsed());
    // The end of the balancer may come before the reset.
    assert!(!matches!(&end, Err(e) if e.kind() == ErrorKind::WouldBlock), "it hangs");
    assert_eq!(by(&mut begun, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), name, "goes on");
    assert_eq!(run.wait_timeout(PATIENCE), Some(Exit::Code(0)), "{}", stand.said(at));
    stand.start(at);
    stand.wait_until_even(&stand.all());
    Ok(stand.all_live()?)
}

/// Who is killed while both have the address: nothing goes to the dead one for longer than after any other death.
fn killed() -> Result<(), Failed> {
    for new_one in [false, true] {
        let mut stand = stand((1..=3).map(v4), "grace = \"3s\"\n");
        let ip = v4(1);
        let at = stand.holder(&stand.all(), ip).expect("one has it");
        let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != at).collect();
        let probe = TcpProbe {
            every: Duration::from_millis(5),
            hesitation: Duration::from_millis(30),
            ..TcpProbe::new(Place::Host(WARM), (ip, PORT).into())
        };
        let probe = probe.start(&stand.lab)?;
        let served = |stand: &Stand, after: Instant| {
            stand.until("the client is served", || {
                probe.look(|trace| trace.first_success_after(after).map(drop))
            });
        };
        served(&stand, Instant::now());
        let leaving = stand.leave(at);
        let new = stand.until("the client has heard of another owner", || {
            others.iter().copied().find(|i| stand.believes(WARM, ip) == Some(stand.mac(*i)))
        });
        assert!(stand.held(at).contains(&ip), "it was to be at both");
        let killed = Instant::now();
        if new_one {
            stand.kill(new);
        } else {
            leaving.signal_alone(Signal::KILL)?;
        }
        served(&stand, killed);
        let took = killed.elapsed();
        println!("killed the {} owner: served after {took:?}", if new_one { "new" } else { "old" });
        // The kernel forgets what nobody takes back after 15 s, and only then.
        assert!(took < Duration::from_secs(10), "{took:?}");
        let exit = leaving.wait_timeout(PATIENCE);
        assert_eq!(exit, Some(if new_one { Exit::Code(0) } else { Exit::Signal(9) }));
        let rest: Vec<usize> = others.into_iter().filter(|i| stand.runs(*i)).collect();
        stand.wait_until_whole(&rest);
        served(&stand, Instant::now());
        drop(probe.finish());
        stand.all_live()?;
    }
    Ok(())
}

/// Three machines with an address of each version, and beside them a fourth that lists nothing of theirs: whether it is there
/// changes their view and nothing else.
fn beside(grace: &str) -> Stand {
    let mut stand = Stand::silent_in(4, [v4(1), v6(1)], passing_lab());
    stand.more = format!("grace = \"{grace}\"\n");
    THREE.iter().for_each(|i| stand.start(*i));
    stand.wait_until_even(&THREE);
    come(&mut stand);
    stand
}

const THREE: [usize; 3] = [0, 1, 2];
const FOURTH: usize = 3;

/// The fourth machine comes, and the others have heard of it.
fn come(stand: &mut Stand) {
    let before = gathered(stand, "4 machines:");
    let text = stand.with(FOURTH, &format!("list = [\"{}\"]\n", v4(50)));
    stand.start_as(FOURTH, &text, Spawn::new(PROGRAM));
    wait_until_gathered(stand, "4 machines:", &before);
}

/// How often each of the three has said that it has heard so many.
fn gathered(stand: &Stand, words: &str) -> [usize; 3] {
    THREE.map(|i| stand.count(i, &[words]))
}

fn wait_until_gathered(stand: &Stand, words: &str, before: &[usize; 3]) {
    for (i, before) in THREE.iter().zip(before) {
        stand.wait_until_said_again(*i, &[words], *before);
    }
}

/// Clients of each address. There are many of them, and for long.
fn clients_of_all(stand: &Stand) -> Vec<Clients> {
    stand.shared.iter().map(|ip| Clients::open_every(stand, *ip, 10)).collect()
}

/// Orders that each address is to go to the next of the three machines: what goes from where to where.
fn move_all(stand: &Stand) -> Vec<(IpAddr, usize, usize)> {
    let one = |ip: &IpAddr| {
        // What was ordered before may still go on.
        let from = stand.until("one has it", || stand.holder(&THREE, *ip));
        let to = (from + 1) % THREE.len();
        let name = stand.lab.machine(to).name().to_owned();
        stand.vip(from, &["move", &ip.to_string(), &name, "--no-wait"]);
        (*ip, from, to)
    };
    stand.shared.iter().map(one).collect()
}

/// Returns when all is at rest and served.
fn rest(stand: &Stand, clients: &[Clients]) {
    stand.wait_until_whole(&THREE);
    clients.iter().for_each(|some| some.wait_until_served(stand, Instant::now()));
}

fn nothing_lost(stand: &Stand, clients: Vec<Clients>) -> Result<(), Failed> {
    for some in clients {
        let lost = some.close();
        assert!(lost.iter().all(|lost| *lost == 0), "{lost:?}");
    }
    let passed: u64 = THREE.iter().map(|i| passed_on(stand, *i)).sum();
    assert!(passed > 0, "nothing was passed on: nothing was tried");
    Ok(stand.all_live()?)
}

/// While an address is at its old owner and at its new one, and clients may believe in either.
fn changed() -> Result<(), Failed> {
    // Long enough for a machine to come in between, however busy this machine is.
    let mut stand = beside("5s");
    let clients = clients_of_all(&stand);
    for what in ["killed", "comes", "stopped"] {
        let moves = move_all(&stand);
        for (ip, _, to) in &moves {
            stand.until("the client has heard of the new owner", || {
                (stand.believes(WARM, *ip) == Some(stand.mac(*to))).then_some(())
            });
        }
        let before = gathered(&stand, "3 machines:");
        match what {
            "killed" => stand.kill(FOURTH),
            "stopped" => stand.stop(FOURTH),
            _ => come(&mut stand),
        }
        if what != "comes" {
            wait_until_gathered(&stand, "3 machines:", &before);
        }
        for (ip, from, _) in &moves {
            assert!(stand.held(*from).contains(ip), "{what}: {ip} was to be at both still");
        }
        rest(&stand, &clients);
    }
    nothing_lost(&stand, clients)
}

/// Before the group has heard that the new owner has it, or at any other moment: both may hold it when members are heard again.
fn changed_early() -> Result<(), Failed> {
    let mut stand = beside("1s");
    let clients = clients_of_all(&stand);
    for _ in 0..6 {
        move_all(&stand);
        stand.stop(FOURTH);
        rest(&stand, &clients);
        come(&mut stand);
        rest(&stand, &clients);
    }
    nothing_lost(&stand, clients)
}

/// The old owner is the only one that can have it: it does not wait for the end of the grace.
fn returned() -> Result<(), Failed> {
    for ip in [v4(1), v6(1)] {
        let mut stand = Stand::silent_in(2, [ip], passing_lab());
        stand.more = "grace = \"5s\"\n".to_owned();
        stand.start_all();
        let old = stand.holder(&[0, 1], ip).expect("one has it");
        let new = 1 - old;
        let [old_name, new_name] = [old, new].map(|i| stand.lab.machine(i).name().to_owned());
        let probe = TcpProbe::new(Place::Host(WARM), (ip, PORT).into()).start(&stand.lab)?;
        let served = |stand: &Stand, after: Instant| {
            stand.until("the client is served", || {
                probe.look(|trace| trace.first_success_after(after).map(drop))
            });
        };
        served(&stand, Instant::now());
        let mut lasts = stand.lab.connect_from(Place::Host(WARM), (ip, PORT).into(), PATIENCE)?;
        lasts.write_all(b"GET / HTTP/1.1\r\n")?;
        stand.vip(old, &["move", &ip.to_string(), &new_name, "--no-wait"]);
        stand.until("the client has heard of the new owner", || {
            (stand.believes(WARM, ip) == Some(stand.mac(new))).then_some(())
        });
        assert!(stand.held(old).contains(&ip), "it was to be at both");
        let killed = Instant::now();
        stand.kill(new);
        served(&stand, killed);
        let took = killed.elapsed();
        println!("{ip}: the new owner killed, served after {took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
        assert_eq!(by(&mut lasts, "Host: x\r\n\r\n"), old_name, "begun before the move");
        drop(probe.finish());
        stand.all_live()?;
    }
    Ok(())
}

/// Which machine answers this request.
fn by(stream: &mut TcpStream, request: &str) -> String {
    let answer = crate::support::send(stream, request).unwrap();
    answer.header("x-served-by").unwrap_or("nobody").to_owned()
}
