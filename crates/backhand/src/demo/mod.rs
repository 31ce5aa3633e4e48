//! The demonstration: a cluster on this computer, a client, a failure, and what the client saw.
//!
//! Nothing is pretended: the machines are separate processes of this binary in network namespaces of their own, found
//! by their announcements, entered by a client over real sockets. What one sees is what a cluster of real machines does.

mod bus;
mod cluster;
mod exchange;
mod files;
mod folder;
mod load;
mod screen;
mod tally;

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cli::DemoArgs;
use bus::Bus;
use cluster::{Cluster, Harm};
use files::Files;
use folder::Folder;
use lab::Door;
use load::Load;
use screen::Screen;
use tally::{Millis, Tally};

/// How long each part of the story lasts. With three kinds of harm the whole of it must end within a minute, the start included.
const CALM: Duration = Duration::from_secs(5);
const AWAY: Duration = Duration::from_secs(6);
const BACK: Duration = Duration::from_secs(4);
/// How long the bus may take to see who is there. Much more than it needs; a bound, not a wait.
const SEEING: Duration = Duration::from_secs(10);

/// Runs the demonstration. Success only if nothing was lost.
pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode> {
    // First of all: from here on nothing that is made is left behind.
    let stop = stop_on_signal()?;
    let folder = Folder::make()?;
    let listener = listen(args.port)?;
    let mut screen = Screen::new(stop.clone());
    screen.say("Backhand: a cluster on this computer\n");
    let files = Files::new(folder.path())?;
    let mut cluster =
        match Cluster::start(usize::from(args.machines), args.loopback, &files, stop.clone()) {
            // Ctrl-C on a terminal is heard by the machines too; that they end then is no fault.
            Err(_) if stop.load(Relaxed) => {
                screen.say("It was stopped before it began.");
                return Ok(ExitCode::FAILURE);
            }
            started => started?,
        };
    introduce(&mut screen, &cluster, args);
    cluster.wait_until_all_know(cluster.len())?;
    if stop.load(Relaxed) {
        screen.say("It was stopped before it began.");
        return Ok(ExitCode::FAILURE);
    }
    let all: Vec<_> = (0..cluster.len()).map(|i| cluster.entry(i)).collect();
    let address = listener.local_addr()?;
    let away = Arc::new(AtomicUsize::new(NOBODY));
    let gone = away.clone();
    let here = move || {
        let gone = gone.load(Relaxed);
        all.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, entry)| *entry).collect()
    };
    let door = cluster.lab().door(listener, here).context("the door into the cluster")?;
    screen.say(&format!("\n  site     http://{address}/\n  status   http://{address}/backhand/\n"));
    screen.event(&format!("every machine knows all {}", cluster.len()));

    let names: Vec<String> = (0..cluster.len()).map(|i| cluster.name(i)).collect();
    let bus = Bus::start(files.folder.as_path(), &names)?;
    let wrong = Vec::new();
    let mut story = Story { stop, names, door, away, silent: None, bus, wrong };
    let load = start_load(&cluster, args)?;
    let total = story.tell(&mut screen, &mut cluster, &load, args.once)?;
    let lost = finish(&mut screen, load, total);
    // Asked for once, it was to show all of it: a part of it proves nothing.
    let cut_short = args.once && story.stop.load(Relaxed);
    if cut_short {
        screen.say("It was stopped before its end.");
    }
    let wrong = !story.wrong.is_empty();
    for sentence in std::mem::take(&mut story.wrong) {
        screen.say(&format!("The bus was wrong: {sentence}."));
    }
    drop(story);
    drop(cluster);
    if args.keep {
        screen.say(&format!("The machines' files are kept in {}", folder.keep().display()));
    }
    Ok(if lost || wrong || cut_short { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn listen(port: Option<u16>) -> Result<TcpListener> {
    if let Some(port) = port {
        return TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            format!("port {port} of 127.0.0.1 cannot be used; choose another with --port")
        });
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 8080))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("no port of 127.0.0.1 is free")
}

fn introduce(screen: &mut Screen, cluster: &Cluster, args: &DemoArgs) {
    screen.say(&format!("{} machines: {}.", cluster.len(), cluster.kind()));
    if !cluster.kind().has_cables() && !args.loopback {
        screen.say("Namespaces are not allowed here, so the machines share this computer's network: run as root, or allow user namespaces, to see them apart.");
    }
    for i in 0..cluster.len() {
        screen.say(&format!(
            "  {:<4} {:<22} {}",
            cluster.name(i),
            cluster.entry(i),
            cluster.config(i).display()
        ));
    }
}

fn start_load(cluster: &Cluster, args: &DemoArgs) -> Result<Load> {
    let lab = cluster.lab().clone();
    let connect: load::Connect =
        Arc::new(move |to, patience| lab.connect(to, patience).map_err(std::io::Error::other));
    let entries = (0..cluster.len()).map(|i| cluster.entry(i)).collect();
    let paths = vec!["/".into(), "/dots/a".into(), "/style.css".into(), "/dots/b".into()];
    Ok(Load::start(entries, paths, args.rate, connect)?)
}

/// Set by the first SIGINT or SIGTERM, and when nobody reads any more what is said.
fn stop_on_signal() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    crate::signals::on_end({
        let stop = stop.clone();
        move || stop.store(true, Relaxed)
    })?;
    Ok(stop)
}

/// Instead of the machine that is away.
const NOBODY: usize = usize::MAX;

struct Story {
    stop: Arc<AtomicBool>,
    names: Vec<String>,
    /// The way in for the user's browser.
    door: Door,
    /// The machine that was harmed, to which the door leads nobody.
    away: Arc<AtomicUsize>,
    /// The machine whose bus cannot say anything: it is dead, or stands still.
    silent: Option<usize>,
    /// Those who chat.
    bus: Bus,
    /// What the bus should have shown and did not.
    wrong: Vec<String>,
}

impl Story {
    /// Calm, then each kind of harm to one machine and what comes of it; then, unless `once`, calm until told to stop. Returns what was
    /// seen in all.
    fn tell(
        &mut self,
        screen: &mut Screen,
        cluster: &mut Cluster,
        load: &Load,
        once: bool,
    ) -> Result<Tally> {
        let mut total = Tally::default();
        screen.event("a client sends requests to any machine");
        let all: Vec<usize> = (0..cluster.len()).collect();
        self.see(screen, "somebody on each machine chats", &[all], None);
        self.watch(screen, load, CALM, &mut total);
        // Another machine each time, so that none is special.
        let victims = (0..cluster.len()).cycle().skip(1);
        for (harm, victim) in [Harm::Kill, Harm::Freeze, Harm::Cut].into_iter().zip(victims) {
            if self.stop.load(Relaxed) {
                break;
            }
            if harm == Harm::Cut && !cluster.kind().has_cables() {
                screen.event("no cable is pulled: these machines have none");
                self.divide(screen, load, victim, &mut total)?;
                continue;
            }
            self.suffer(screen, cluster, load, (harm, victim), &mut total)?;
        }
        if !once && !self.stop.load(Relaxed) {
            screen.say("\nIt goes on until you press Ctrl-C. Look at the pages.\n");
            self.watch(screen, load, Duration::MAX, &mut total);
        }
        Ok(total)
    }

    /// One machine is harmed, and brought back; says what the client saw meanwhile.
    fn suffer(
        &mut self,
        screen: &mut Screen,
        cluster: &mut Cluster,
        load: &Load,
        (harm, victim): (Harm, usize),
        total: &mut Tally,
    ) -> Result<()> {
        let name = cluster.name(victim);
        let (done, undone) = harm.words();
        cluster.harm(victim, harm)?;
        // A machine without a cable cannot say that it is gone: browsers there would wait for its word.
        self.away.store(victim, Relaxed);
        self.door.hang_up(cluster.entry(victim));
        screen.event(&format!("{name} {done}"));
        let others: Vec<usize> = (0..cluster.len()).filter(|at| *at != victim).collect();
        let (parts, silent) = match harm {
            // It lives, and sees that it is alone.
            Harm::Cut => (vec![others, vec![victim]], None),
            Harm::Kill | Harm::Freeze => (vec![others], Some(victim)),
        };
        self.silent = silent;
        self.see(screen, "the bus sees it", &parts, silent);
        let away = self.watch(screen, load, AWAY, total);
        screen.event(&format!("without {name}: {away}"));
        if self.stop.load(Relaxed) {
            return Ok(());
        }
        cluster.undo(victim, harm)?;
        self.away.store(NOBODY, Relaxed);
        self.silent = None;
        screen.event(&format!("{name} {undone}"));
        let all: Vec<usize> = (0..cluster.len()).collect();
        self.see(screen, "the bus is one again", &[all], None);
        if !self.stop.load(Relaxed) {
            cluster.wait_until_all_know(cluster.len())?;
        }
        if !self.stop.load(Relaxed) {
            screen.event(&format!("{name} is known to all again"));
            let back = self.watch(screen, load, BACK, total);
            screen.event(&format!("with {name} again: {back}"));
        }
        Ok(())
    }

    /// Waits until the machines of each part see each other and nobody else, and tells what is seen.
    fn see(
        &mut self,
        screen: &mut Screen,
        what: &str,
        parts: &[Vec<usize>],
        silent: Option<usize>,
    ) {
        let took = self.bus.wait(parts, SEEING, &self.stop);
        let views = self.bus.views(silent);
        match took {
            Some(took) => screen.event(&format!("{what} after {}: {views}", Millis(took))),
            None if self.stop.load(Relaxed) => {}
            None => {
                screen.event(&format!("in vain waited until {what}: {views}"));
                self.wrong.push(format!("in vain waited until {what}; {views}"));
            }
        }
    }

    /// The bus of one machine is cut off and comes back; requests go on as if nothing were.
    fn divide(
        &mut self,
        screen: &mut Screen,
        load: &Load,
        victim: usize,
        total: &mut Tally,
    ) -> Result<()> {
        let name = self.names[victim].clone();
        self.bus.divide(Some(victim))?;
        screen.event(&format!("{name} has its bus cut off by a monitor"));
        let all: Vec<usize> = (0..self.names.len()).collect();
        let others = all.iter().copied().filter(|at| *at != victim).collect();
        self.see(screen, "the bus sees it", &[others, vec![victim]], None);
        self.watch(screen, load, BACK, total);
        self.bus.divide(None)?;
        screen.event(&format!("{name} has its bus back"));
        self.see(screen, "the bus is one again", &[all], None);
        self.watch(screen, load, BACK, total);
        Ok(())
    }

    /// Shows each second until `long` has passed or the user has had enough.
    fn watch(
        &mut self,
        screen: &mut Screen,
        load: &Load,
        long: Duration,
        total: &mut Tally,
    ) -> Tally {
        let start = Instant::now();
        let (mut phase, mut second, mut shown) =
            (Tally::default(), Tally::default(), Instant::now());
        while start.elapsed() < long && !self.stop.load(Relaxed) {
            if let Some(ended) = load.next(Duration::from_millis(100)) {
                [&mut phase, &mut second, total].into_iter().for_each(|tally| tally.add(&ended));
            }
            if shown.elapsed() >= Duration::from_secs(1) {
                let bus = self.bus.second(self.silent);
                screen.second(&self.names, &second, &bus);
                (second, shown) = (Tally::default(), Instant::now());
            }
        }
        phase
    }
}

/// Lets the last requests end and says what the client saw in all. Returns whether something was lost.
fn finish(screen: &mut Screen, load: Load, mut total: Tally) -> bool {
    load.finish().iter().for_each(|ended| total.add(ended));
    screen.say(&format!("\nThe client saw: {total}."));
    let lost = !total.nothing_lost() || total.requests() == 0;
    screen.say(if lost { "Something was lost." } else { "Nothing was lost." });
    lost
}
