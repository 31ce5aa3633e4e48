//! Names and mail on shared addresses: a name server on each machine that answers from the address that was asked, and a mail server
//! that is started and stopped by hooks where its address is.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::{Lab, Place, Spawn};
use testkit::trial::Failed;

use crate::Named;
use crate::stand::{Stand, WARM, v4};

pub(crate) const TRIALS: &[Named] = &[
    ("names_are_told_from_the_address_that_was_asked_wherever_it_is", names),
    ("mail_that_was_acknowledged_is_kept_wherever_its_server_runs", mail),
];

/// Time between two tries of one client.
const PACE: Duration = Duration::from_millis(10);
/// How long a client waits for a word. Resolvers wait longer, and ask another server then.
const PATIENCE: Duration = Duration::from_millis(200);

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/addresses/services").join(name)
}

/// One try that began then; `None` where it failed.
type Tries<T> = Vec<(Instant, Option<T>)>;

/// A client that tries again and again.
struct Client<T> {
    tries: Arc<Mutex<Tries<T>>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl<T: Clone + Send + 'static> Client<T> {
    fn start(stand: &Stand, attempt: impl Fn(&Lab, u16) -> io::Result<T> + Send + 'static) -> Self {
        let (tries, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (noted, ends, lab) = (tries.clone(), stop.clone(), stand.lab.clone());
        let work = move || {
            let mut number = 0;
            while !ends.load(Ordering::Relaxed) {
                number += 1;
                let began = Instant::now();
                let outcome = attempt(&lab, number).ok();
                noted.lock().unwrap().push((began, outcome));
                std::thread::sleep(PACE);
            }
        };
        Self { tries, stop, thread: std::thread::spawn(work) }
    }

    /// Waits until a try has this outcome that was begun after this.
    fn wait_until(&self, stand: &Stand, after: Instant, what: &str, is: impl Fn(&T) -> bool) {
        stand.until(what, || {
            let tries = self.tries.lock().unwrap();
            let (began, outcome) = tries.last()?;
            (*began > after && outcome.as_ref().is_some_and(&is)).then_some(())
        });
    }

    fn finish(self) -> Tries<T> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        std::mem::take(&mut self.tries.lock().unwrap())
    }
}

/// How many tries were begun in this time and failed, and the longest time between two others of which the second was.
fn lost<T>(tries: &Tries<T>, from: Instant, until: Instant) -> (usize, Duration) {
    let within = |began: &Instant| (from..=until).contains(began);
    let bad = tries.iter().filter(|(began, outcome)| within(began) && outcome.is_none()).count();
    let good = tries.iter().filter(|(_, outcome)| outcome.is_some()).map(|(began, _)| *began);
    let good: Vec<Instant> = good.collect();
    let pauses = good.windows(2).filter(|two| within(&two[1])).map(|two| two[1] - two[0]);
    (bad, pauses.max().unwrap_or(Duration::MAX))
}

/// Asks a name server for its own name. The socket is connected: an answer from elsewhere is none.
fn name_of(lab: &Lab, server: IpAddr, number: u16) -> io::Result<String> {
    let any = (IpAddr::from([0, 0, 0, 0]), 0).into();
    let socket: UdpSocket = lab.udp(Place::Host(WARM), any).map_err(io::Error::other)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect((server, 53))?;
    let mut question = number.to_be_bytes().to_vec();
    question.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    question.extend(b"\x02id\x06server\0\0\x10\0\x01");
    socket.send(&question)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let answer = &answer[..length];
    let (head, rest) = answer.split_at_checked(question.len()).ok_or(ErrorKind::InvalidData)?;
    // The same number, an answer without an error, one record; then a pointer to the name, kind, class, age, two lengths, the text.
    let good = head.starts_with(&question[..2]) && head[2] & 0x80 != 0 && head[3] & 0x0f == 0;
    let text = rest.get(13..).filter(|_| good).ok_or(ErrorKind::InvalidData)?;
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn names() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, [v4(1), v4(2)]);
    for i in stand.all() {
        let name = format!("m{}", i + 1);
        let server = Spawn::new("python3").arg(script("names.py")).arg(&name).cwd("/");
        drop(stand.lab.machine(i).spawn(server)?);
    }
    stand.start_all();
    let clients =
        [v4(1), v4(2)].map(|ip| Client::start(&stand, move |lab, number| name_of(lab, ip, number)));
    let answers = |stand: &Stand, after: Instant| {
        for (client, ip) in clients.iter().zip([v4(1), v4(2)]) {
            client.wait_until(stand, after, &format!("{ip} is answered by who has it"), |name| {
                let at = stand.holder(&stand.all(), ip).map(|i| format!("m{}", i + 1));
                at.as_ref() == Some(name)
            });
        }
    };
    answers(&stand, Instant::now());

    let began = Instant::now();
    let first = stand.holder(&stand.all(), v4(1)).expect("one has it");
    stand.kill(first);
    let others: Vec<usize> = stand.all().into_iter().filter(|i| *i != first).collect();
    stand.wait_until_whole(&others);
    answers(&stand, Instant::now());
    let killed = Instant::now();

    let second = stand.holder(&others, v4(1)).expect("one has it");
    stand.stop(second);
    answers(&stand, Instant::now());
    let stopped = Instant::now();

    for (client, ip) in clients.into_iter().zip([v4(1), v4(2)]) {
        let tries = client.finish();
        let (at_kill, at_stop) = (lost(&tries, began, killed), lost(&tries, killed, stopped));
        println!("names: {ip}: {} questions; killed {at_kill:?}, stopped {at_stop:?}", tries.len());
        assert!(at_kill.1 < Duration::from_secs(3), "no answer for {:?}", at_kill.1);
        // One may be on its way to an address that leaves.
        assert!(at_stop.0 <= 1, "{ip}: {at_stop:?} at an orderly stop");
    }
    Ok(stand.all_live()?)
}

/// Delivers a message as a mail server does. Done is what was acknowledged.
fn deliver(lab: &Lab, number: u16) -> io::Result<u16> {
    let to = (v4(1), 25).into();
    let stream = lab.connect_from(Place::Host(WARM), to, PATIENCE).map_err(io::Error::other)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let mut heard = |code: &str| match lines.next() {
        Some(Ok(line)) if line.starts_with(code) => Ok(()),
        Some(Err(error)) => Err(error),
        _ => Err(ErrorKind::InvalidData.into()),
    };
    heard("220")?;
    let message = format!("{number}\r\n.");
    let words = [
        ("HELO client", "250"),
        ("MAIL FROM:<a@example.com>", "250"),
        ("RCPT TO:<b@example.com>", "250"),
        ("DATA", "354"),
        (&message, "250"),
    ];
    for (words, code) in words {
        (&stream).write_all(format!("{words}\r\n").as_bytes())?;
        heard(code)?;
    }
    Ok(number)
}

fn mail() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, [v4(1)]);
    let folder = stand.path("mail");
    std::fs::create_dir(&folder)?;
    let hook = |event: &str, what: &str| {
        format!(
            "[[addresses.hook]]\nevent = \"{event}\"\ncommand = [\"/usr/bin/env\", \"python3\", \"{}\", \"{what}\", \"{}\"]\n",
            script("mail.py").display(),
            folder.display()
        )
    };
    stand.more = hook("on up", "up") + &hook("on down", "down");
    stand.start_all();
    let client = Client::start(&stand, deliver);
    let runs = |i: usize| folder.join(format!("m{}.pid", i + 1)).exists();
    client.wait_until(&stand, Instant::now(), "mail is taken", |_| true);

    // The service dies, and its guardian stops the mail server.
    let began = Instant::now();
    let first = stand.holder(&stand.all(), v4(1)).expect("one has it");
    stand.kill(first);
    stand.until("the mail server has moved", || {
        let others = stand.all().into_iter().filter(|i| *i != first && runs(*i));
        (!runs(first) && others.count() == 1).then_some(())
    });
    client.wait_until(&stand, Instant::now(), "mail is taken again", |_| true);
    let killed = Instant::now();

    let met = stand.count(first, &["3 machines:"]);
    stand.start(first);
    stand.wait_until_said_again(first, &["3 machines:"], met);
    let second = stand.holder(&stand.all(), v4(1)).expect("one has it");
    stand.stop(second);
    stand.until("the mail server has moved", || (!runs(second)).then_some(()));
    client.wait_until(&stand, Instant::now(), "mail is taken again", |_| true);
    let stopped = Instant::now();

    let tries = client.finish();
    let taken: BTreeSet<u16> = tries.iter().filter_map(|(_, outcome)| *outcome).collect();
    let mut kept = BTreeSet::new();
    let mut places = 0;
    for spool in stand.all().into_iter().map(|i| folder.join(format!("m{}", i + 1))) {
        // There is none where the address never was.
        let Ok(files) = std::fs::read_dir(spool) else { continue };
        places += 1;
        for file in files {
            kept.insert(file?.file_name().to_string_lossy().parse::<u16>()?);
        }
    }
    let (at_kill, at_stop) = (lost(&tries, began, killed), lost(&tries, killed, stopped));
    println!(
        "mail: {} messages, {} acknowledged and {} kept on {places} machines; killed {at_kill:?}, stopped {at_stop:?}",
        tries.len(),
        taken.len(),
        kept.len()
    );
    assert!(taken.is_subset(&kept), "lost: {:?}", taken.difference(&kept));
    assert!(places >= 2, "it never moved");
    for (_, pause) in [at_kill, at_stop] {
        assert!(pause < Duration::from_secs(5), "no mail was taken for {pause:?}");
    }
    Ok(stand.all_live()?)
}
