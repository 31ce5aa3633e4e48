//! The demonstration: a cluster on this computer, a client, a failure, and what the client saw.
//!
//! Nothing is pretended: the machines are separate processes of this binary in network namespaces of their own, found
//! by their announcements, entered by a client over real sockets. What one sees is what a cluster of real machines does.

mod board;
mod bus;
mod cluster;
mod control;
mod exchange;
mod files;
mod folder;
mod follow;
mod load;
mod probe;
mod screen;
mod tally;

use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cli::DemoArgs;
use board::{Board, Order, Shown};
use bus::Bus;
use cluster::{Cluster, Harm};
use control::Control;
use files::Files;
use folder::Folder;
use follow::{Fate, Follow};
use lab::Door;
use load::Load;
use probe::Probes;
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
    let (board, orders) = Board::new();
    let mut screen = Screen::new(stop.clone(), board.clone());
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
    let away = Arc::new(AtomicU64::new(0));
    let gone = away.clone();
    let here = move || {
        let gone = gone.load(Relaxed);
        let here = all.iter().enumerate().filter(|(i, _)| gone & (1 << i) == 0);
        here.map(|(_, entry)| *entry).collect()
    };
    let door = cluster.lab().door(listener, here).context("the door into the cluster")?;
    let control = Control::start(board.clone(), address)?;
    screen.say(&format!(
        "\n  site     http://{address}/\n  status   http://{address}/backhand/\n  control  {}\n",
        control.url()
    ));
    screen.event(&format!("every machine knows all {}", cluster.len()));

    let names: Vec<String> = (0..cluster.len()).map(|i| cluster.name(i)).collect();
    let bus = Bus::start(files.folder.as_path(), &names)?;
    let mut story = Story {
        stop,
        names,
        door,
        away,
        bus,
        probes: None,
        follows: Vec::new(),
        board,
        orders,
        second: (Instant::now(), Tally::default()),
        wrong: Vec::new(),
    };
    story.probe(&mut screen, &cluster)?;
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
        screen.say(&format!("Something was wrong: {sentence}."));
    }
    drop(control);
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
    let public = cluster.public();
    match (public.first(), public.last()) {
        (Some(first), Some(last)) => screen.say(&format!(
            "  {} addresses for clients, {} to {}: each always at one living machine",
            public.len(),
            first.ip(),
            last.ip()
        )),
        _ => screen.say(
            "  Addresses that move need network namespaces; here clients go to each machine's own.",
        ),
    }
}

fn start_load(cluster: &Cluster, args: &DemoArgs) -> Result<Load> {
    let lab = cluster.lab().clone();
    let connect: load::Connect =
        Arc::new(move |to, patience| lab.connect(to, patience).map_err(std::io::Error::other));
    let mut entries = cluster.public();
    if entries.is_empty() {
        entries = (0..cluster.len()).map(|i| cluster.entry(i)).collect();
    }
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

struct Story {
    stop: Arc<AtomicBool>,
    names: Vec<String>,
    /// The way in for the user's browser.
    door: Door,
    /// The machines that were harmed, to which the door leads nobody: a bit each.
    away: Arc<AtomicU64>,
    /// Those who chat.
    bus: Bus,
    /// Who sees who has which address; nobody without namespaces.
    probes: Option<Arc<Probes>>,
    /// Addresses of machines that were harmed and of which it is not told yet what became.
    follows: Vec<Follow>,
    /// What the control page shows.
    board: Arc<Board>,
    /// What it wants.
    orders: Receiver<Order>,
    /// What was seen in the second that began then.
    second: (Instant, Tally),
    /// What the bus or the addresses should have shown and did not.
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
        self.second.0 = Instant::now();
        screen.event("a client sends requests to any machine");
        let all: Vec<usize> = (0..cluster.len()).collect();
        self.see(screen, "somebody on each machine chats", &[all]);
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
            screen.say("\nIt goes on until you press Ctrl-C. Look at the pages; the control page does what you like to a machine.\n");
            self.board.open(true);
            while !self.stop.load(Relaxed) {
                self.watch(screen, load, Duration::from_millis(100), &mut total);
                self.obey(screen, cluster)?;
            }
        }
        Ok(total)
    }

    /// Begins to probe the addresses, and waits until each is answered for.
    fn probe(&mut self, screen: &mut Screen, cluster: &Cluster) -> Result<()> {
        self.board.cables.store(cluster.kind().has_cables(), Relaxed);
        self.show(cluster);
        let public = cluster.public();
        if public.is_empty() {
            return Ok(());
        }
        let probes = Arc::new(Probes::start(cluster.lab(), &public)?);
        self.board.show_probes(probes.clone());
        let start = Instant::now();
        while probes.owners().iter().any(Option::is_none) {
            if self.stop.load(Relaxed) {
                return Ok(());
            }
            if start.elapsed() >= SEEING {
                let what =
                    format!("not all addresses are answered for: {}", probes.map(&self.names));
                screen.event(&what);
                self.wrong.push(what);
                self.probes = Some(probes);
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        screen.event(&format!("every address is answered for: {}", probes.map(&self.names)));
        self.probes = Some(probes);
        Ok(())
    }

    /// Shows the machines on the control page.
    fn show(&self, cluster: &Cluster) {
        let machine = |i| Shown { name: cluster.name(i), harm: cluster.suffers(i) };
        self.board.show_machines((0..cluster.len()).map(machine).collect());
    }

    /// Does what was asked for on the control page.
    fn obey(&mut self, screen: &mut Screen, cluster: &mut Cluster) -> Result<()> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Harm(at, harm) if cluster.suffers(at).is_none() => {
                    if harm != Harm::Cut || cluster.kind().has_cables() {
                        self.harm(screen, cluster, at, harm)?;
                    }
                }
                Order::BringBack(at) if cluster.suffers(at).is_some() => {
                    self.bring_back(screen, cluster, at)?;
                }
                // Pressed twice, or on two pages.
                Order::Harm(..) | Order::BringBack(_) => {}
            }
        }
        Ok(())
    }

    /// Does harm to a machine, and says so.
    fn harm(
        &mut self,
        screen: &mut Screen,
        cluster: &mut Cluster,
        at: usize,
        harm: Harm,
    ) -> Result<()> {
        let name = cluster.name(at);
        let follow = self.probes.as_ref().and_then(|probes| Follow::begin(probes, &name));
        cluster.harm(at, harm)?;
        self.follows.extend(follow);
        // A machine without a cable cannot say that it is gone: browsers there would wait for its word.
        self.away.fetch_or(1 << at, Relaxed);
        self.door.hang_up(cluster.entry(at));
        self.show(cluster);
        screen.event(&format!("{name} {}", harm.words().0));
        Ok(())
    }

    /// Undoes what a machine suffers, and says so.
    fn bring_back(&mut self, screen: &mut Screen, cluster: &mut Cluster, at: usize) -> Result<()> {
        let Some(harm) = cluster.suffers(at) else { return Ok(()) };
        let name = cluster.name(at);
        cluster.undo(at)?;
        self.follows.retain(|follow| follow.machine() != name);
        self.away.fetch_and(!(1 << at), Relaxed);
        self.show(cluster);
        screen.event(&format!("{name} {}", harm.words().1));
        Ok(())
    }

    /// The machines whose bus cannot say anything: they are dead, or stand still.
    fn silent(&self) -> Vec<usize> {
        let machines = self.board.machines().into_iter().enumerate();
        machines
            .filter(|(_, machine)| matches!(machine.harm, Some(Harm::Kill | Harm::Freeze)))
            .map(|(at, _)| at)
            .collect()
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
        let begun = Instant::now();
        self.harm(screen, cluster, victim, harm)?;
        let others: Vec<usize> = (0..cluster.len()).filter(|at| *at != victim).collect();
        let parts = match harm {
            // It lives, and sees that it is alone.
            Harm::Cut => vec![others, vec![victim]],
            Harm::Kill | Harm::Freeze => vec![others],
        };
        self.see(screen, "the bus sees it", &parts);
        let away = self.watch(screen, load, AWAY, total);
        screen.event(&format!("without {name}: {away}"));
        self.probed(screen, begun);
        if self.stop.load(Relaxed) {
            return Ok(());
        }
        for follow in std::mem::take(&mut self.follows) {
            self.wrong
                .push(format!("what {} had was not answered for by others", follow.machine()));
        }
        let begun = Instant::now();
        self.bring_back(screen, cluster, victim)?;
        let all: Vec<usize> = (0..cluster.len()).collect();
        self.see(screen, "the bus is one again", &[all]);
        if !self.stop.load(Relaxed) {
            cluster.wait_until_all_know(cluster.len())?;
        }
        if !self.stop.load(Relaxed) {
            screen.event(&format!("{name} is known to all again"));
            let back = self.watch(screen, load, BACK, total);
            screen.event(&format!("with {name} again: {back}"));
            self.probed(screen, begun);
        }
        Ok(())
    }

    /// Tells what the probes saw since then, and who has what.
    fn probed(&self, screen: &mut Screen, since: Instant) {
        let Some(probes) = &self.probes else { return };
        let seen = probes.summary(since);
        let at = seen.at.map_or(String::new(), |at| format!(" at {}", probes.short(at)));
        screen.event(&format!("addresses: {seen}{at}; now {}", probes.map(&self.names)));
    }

    /// Tells what became of addresses, once it is known.
    fn follow_up(&mut self, screen: &mut Screen) {
        let Some(probes) = &self.probes else { return };
        self.follows.retain(|follow| match follow.look(probes) {
            None => true,
            Some(Fate::Elsewhere(what) | Fate::InVain(what)) => {
                screen.event(&what);
                false
            }
        });
    }

    /// Waits until the machines of each part see each other and nobody else, and tells what is seen.
    fn see(&mut self, screen: &mut Screen, what: &str, parts: &[Vec<usize>]) {
        let took = self.bus.wait(parts, SEEING, &self.stop);
        let views = self.bus.views(&self.silent());
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
        self.see(screen, "the bus sees it", &[others, vec![victim]]);
        self.watch(screen, load, BACK, total);
        self.bus.divide(None)?;
        screen.event(&format!("{name} has its bus back"));
        self.see(screen, "the bus is one again", &[all]);
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
        let mut phase = Tally::default();
        while start.elapsed() < long && !self.stop.load(Relaxed) {
            if let Some(ended) = load.next(Duration::from_millis(100)) {
                let second = &mut self.second.1;
                [&mut phase, second, total].into_iter().for_each(|tally| tally.add(&ended));
            }
            self.tell_second(screen);
            self.follow_up(screen);
        }
        phase
    }

    /// Shows the last second once it is over.
    fn tell_second(&mut self, screen: &mut Screen) {
        if self.second.0.elapsed() < Duration::from_secs(1) {
            return;
        }
        let (_, second) = std::mem::replace(&mut self.second, (Instant::now(), Tally::default()));
        let mut more = Vec::new();
        if let Some(probes) = &self.probes {
            more.push(format!("  addresses {}", probes.map(&self.names)));
            if let Err(error) = probes.tend() {
                screen.event(&format!("the probes go on as they are: {error:#}"));
            }
        }
        more.push(self.bus.second(&self.silent()));
        screen.second(&self.names, &second, &more);
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
