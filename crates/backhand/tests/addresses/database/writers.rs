//! Who writes meanwhile, and what is to be true of it afterwards.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::{Lab, Place};

use super::client::Session;
use super::cluster::{Cluster, PORT};
use crate::stand::{WARM, v4};

/// Time between two writes of one client.
const PACE: Duration = Duration::from_millis(20);

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug)]
struct Taken {
    number: u32,
    begun: Instant,
    ended: Instant,
}

/// A client and what was acknowledged to it.
struct Writer {
    taken: Arc<Mutex<Vec<Taken>>>,
    thread: JoinHandle<()>,
}

/// A client that writes by the address and waits until a standby has it too; and one on each machine that writes to its database
/// whoever has the address, and is content when that has it alone.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    by_address: Writer,
    alone: Vec<Writer>,
}

/// What was acknowledged to whom.
pub(crate) struct Written {
    by_address: Vec<Taken>,
    alone: Vec<Vec<Taken>>,
}

impl Writers {
    pub(crate) fn start(cluster: &Cluster) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = |from, to: SocketAddr, table: &str, commit: &str| {
            let insert = format!("insert into {table} values ");
            let set = format!("set synchronous_commit = {commit}");
            Writer::start(&cluster.stand.lab, &stop, (from, to), set, insert)
        };
        let alone = |i: usize| {
            let to = (cluster.stand.lab.machine(i).address4(), PORT).into();
            writer(Place::Machine(i), to, &format!("alone{i}"), "local")
        };
        let all = cluster.stand.all();
        let by_address = writer(Place::Host(WARM), (v4(1), PORT).into(), "t", "on");
        let alone = all.into_iter().map(alone).collect();
        Self { by_address, alone, stop }
    }

    /// Waits until much was taken by the address, and by the database of this machine alone.
    pub(crate) fn wait_until_busy(&self, cluster: &Cluster, primary: usize) {
        let both = [&self.by_address, &self.alone[primary]];
        let count = || both.map(|writer| writer.taken.lock().unwrap().len());
        let before = count();
        cluster.stand.until_within(super::MOVED * 2, "much is taken", || {
            let now = count();
            (now[0] >= before[0] + 25 && now[1] >= before[1] + 25).then_some(())
        });
    }

    /// Waits until a write by the address was taken that was begun after this.
    pub(crate) fn wait_until_taken(&self, cluster: &Cluster, after: Instant) {
        cluster.stand.until_within(super::MOVED * 2, "a write is taken", || {
            let taken = self.by_address.taken.lock().unwrap();
            taken.last().filter(|one| one.begun > after).map(drop)
        });
    }

    /// The newest write that was taken by the address.
    pub(crate) fn newest(&self) -> u32 {
        self.by_address.taken.lock().unwrap().last().expect("one was taken").number
    }

    pub(crate) fn finish(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        let alone = self.alone.into_iter().map(Writer::finish).collect();
        Written { by_address: self.by_address.finish(), alone }
    }
}

impl Writer {
    fn start(
        lab: &Arc<Lab>,
        stop: &Arc<AtomicBool>,
        (from, to): (Place, SocketAddr),
        set: String,
        insert: String,
    ) -> Self {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (lab, stop, noted) = (lab.clone(), stop.clone(), taken.clone());
        let work = move || {
            let mut session = None;
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(PACE);
                number += 1;
                let begun = Instant::now();
                let opened = session.take().map_or_else(
                    || {
                        let mut session = Session::open(&lab, from, to)?;
                        session.ask(&set).map(|_| session)
                    },
                    Ok,
                );
                let Ok(mut open) = opened else { continue };
                if open.ask(&format!("{insert}({number})")).is_ok() {
                    noted.lock().unwrap().push(Taken { number, begun, ended: Instant::now() });
                    session = Some(open);
                }
            }
        };
        Self { taken, thread: std::thread::spawn(work) }
    }

    fn finish(self) -> Vec<Taken> {
        self.thread.join().unwrap();
        Arc::try_unwrap(self.taken).unwrap().into_inner().unwrap()
    }
}

impl Written {
    /// Checks that these machines' databases took writes one after the other and never two at a time, and that nothing is missing
    /// of what was acknowledged by the address.
    pub(crate) fn check(&self, cluster: &Cluster, reigns: &[usize]) {
        let all = self.alone.iter().enumerate();
        let mut all: Vec<(usize, Taken)> =
            all.flat_map(|(i, taken)| taken.iter().map(move |one| (i, *one))).collect();
        all.sort_by_key(|(_, one)| one.begun);
        let mut seen: Vec<(usize, Taken, Taken, usize)> = Vec::new();
        for (i, one) in all {
            match seen.last_mut().filter(|(of, ..)| *of == i) {
                Some((_, _, last, count)) => (*last, *count) = (one, *count + 1),
                None => seen.push((i, one, one, 1)),
            }
        }
        let order: Vec<usize> = seen.iter().map(|(i, ..)| *i).collect();
        assert_eq!(order, reigns, "who took writes, one after the other");
        for pair in seen.windows(2) {
            let ((old, _, last, count), (new, first, ..)) = (pair[0], pair[1]);
            println!(
                "database: m{} took {count} writes alone; {:?} later m{} took one",
                old + 1,
                first.begun.saturating_duration_since(last.ended),
                new + 1
            );
            assert!(first.begun >= last.ended, "two took writes at a time");
        }
        for (i, taken) in self.alone.iter().enumerate() {
            let kept = cluster.ask(cluster.primary(), &format!("select count(*) from alone{i}"));
            println!(
                "database: of {} writes that m{} took alone {} are left",
                taken.len(),
                i + 1,
                kept[0]
            );
        }
        let kept: BTreeSet<u32> = cluster
            .ask(cluster.primary(), "select n from t")
            .iter()
            .map(|n| n.parse().unwrap())
            .collect();
        let lost: Vec<u32> =
            self.by_address.iter().map(|one| one.number).filter(|n| !kept.contains(n)).collect();
        println!(
            "database: {} writes were acknowledged, {} are there",
            self.by_address.len(),
            kept.len()
        );
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }
}
