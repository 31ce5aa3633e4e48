//! Where requests go: six unequal machines with antagonists, every rival before the same application, open-loop load.

mod app;
mod arrivals;
mod load;
mod report;
mod rivals;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use lab::{CgroupWish, Lab, LabConfig, Output, Process, Spawn, Wish};

use report::Cell;
use rivals::{APP_PORT, Rival};

/// Processor time per 5 ms of each machine, in microseconds. The kernel gives no quota below 1 ms, so the slow machines have that.
const QUOTAS: [u64; 6] = [1000, 1000, 1000, 1000, 1500, 2000];
const PERIOD: Duration = Duration::from_millis(5);
/// An antagonist burns for this long, then rests for four times as long.
const BURN: Duration = Duration::from_secs(1);

/// Compares where Backhand, HAProxy and nginx send requests. Needs root, control groups, and the Debian packages haproxy and nginx-light.
#[derive(Debug, Parser)]
struct Args {
    /// Requests per cell; the 99.9th percentile is printed from 20,000 up
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// Into how many rounds a cell is divided; the rivals take turns, so that an hour's ups and downs meet them all
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Loads as shares of the machines' capacity
    #[arg(long, value_delimiter = ',', default_values_t = [0.7, 0.9, 1.0, 1.1])]
    loads: Vec<f64>,
    /// Keep the cells that the JSON file has already, for other loads or other rivals
    #[arg(long)]
    add: bool,
    /// Only rivals whose name contains this
    #[arg(long)]
    rival: Option<String>,
    /// A run whose load was later than this at its 99th percentile is void, in milliseconds
    #[arg(long, default_value_t = 5.0)]
    lateness: f64,
    /// The Backhand binary
    #[arg(long, default_value = "target/release/backhand")]
    backhand: PathBuf,
    /// Where the JSON results go
    #[arg(long, default_value = "docs/benchmarks/balance.json")]
    json: PathBuf,
    /// Where the table goes
    #[arg(long, default_value = "docs/benchmarks/balance.md")]
    table: PathBuf,
    #[arg(long, hide = true)]
    app: Option<SocketAddr>,
}

fn main() -> Result<()> {
    lab::init();
    let args = Args::parse();
    if let Some(at) = args.app {
        return app::serve(at);
    }
    let binary = args.backhand.canonicalize().with_context(|| {
        format!("{} is not there: cargo build --release", args.backhand.display())
    })?;
    let folder = tempfile::tempdir()?;
    let capacity =
        QUOTAS.iter().sum::<u64>() as f64 / PERIOD.as_micros() as f64 * 1e6 / arrivals::MEAN_MICROS;
    eprintln!("capacity without antagonists: {capacity:.1} requests per second");
    let mut cells = if args.add { report::read(&args.json)? } else { Vec::new() };
    let rivals: Vec<Rival> = Rival::ALL
        .into_iter()
        .filter(|r| args.rival.as_ref().is_none_or(|only| r.name().contains(only.as_str())))
        .collect();
    for (n, &load) in args.loads.iter().enumerate() {
        let mut outcomes: Vec<load::Outcome> = rivals.iter().map(|_| Default::default()).collect();
        let each = args.requests.div_ceil(usize::from(args.rounds));
        for round in 1..=u64::from(args.rounds) {
            let plan = arrivals::plan(round * 100 + n as u64, capacity * load, each, QUOTAS.len());
            for (rival, outcome) in rivals.iter().zip(&mut outcomes) {
                outcome.join(run(*rival, folder.path(), &binary, &plan)?);
                let so_far = Cell::new(rival.name(), load, outcome, args.lateness);
                eprintln!(
                    "load {load}, round {round} of {}: {}",
                    args.rounds,
                    report::row(&so_far)
                );
            }
        }
        for (rival, outcome) in rivals.iter().zip(&mut outcomes) {
            report::insert(&mut cells, Cell::new(rival.name(), load, outcome, args.lateness));
        }
        report::write(&cells, &args.json, &args.table)?;
    }
    println!("{}", report::table(&cells));
    Ok(())
}

/// One cell: fresh machines, the application, the rival, antagonists, the load.
fn run(
    rival: Rival,
    folder: &Path,
    binary: &Path,
    plan: &[arrivals::Arrival],
) -> Result<load::Outcome> {
    let config = LabConfig {
        machines: QUOTAS.len(),
        cgroups: CgroupWish::Required,
        wish: Wish::RootNamespaces,
        ..LabConfig::default()
    };
    let lab = Arc::new(Lab::start(config)?);
    let mut processes = Vec::new();
    for (i, quota) in QUOTAS.iter().enumerate() {
        let machine = lab.machine(i);
        machine.throttle(Duration::from_micros(*quota), PERIOD)?;
        let at = SocketAddr::from((machine.address(), APP_PORT));
        let app = machine.spawn(Spawn::myself().args(["--app", &at.to_string()]))?;
        let group = group_of(&app)?;
        processes.push(app);
        wait_for(&lab, at)?;
        if let Some(spawn) = rival.spawn(&lab, i, folder, binary, &group)? {
            let said = said(folder, i);
            let process = machine
                .spawn(spawn.stdout(Output::File(said.clone())).stderr(Output::File(said)))?;
            leave_quota(&lab, i, &process)?;
            processes.push(process);
        }
    }
    let entries = rival.entries(&lab);
    for (i, &at) in entries.iter().enumerate() {
        wait_for(&lab, at).with_context(|| last_words(folder, i))?;
    }
    // A few requests through each entry, so that connections and knowledge are there as in a cluster that has been running.
    let warm = arrivals::plan(99, 50.0, 300, QUOTAS.len());
    load::run(&lab, &entries, &warm)?;
    let antagonists = Antagonists::start(&lab)?;
    let got = load::run(&lab, &entries, plan)?;
    drop(antagonists);
    drop(processes);
    Ok(got)
}

/// What a balancer said that does not accept.
fn last_words(folder: &Path, i: usize) -> String {
    let said = std::fs::read_to_string(said(folder, i)).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    let last = &lines[lines.len().saturating_sub(8)..];
    format!("the balancer of machine {i} does not accept; it said:\n{}", last.join("\n"))
}

fn said(folder: &Path, i: usize) -> PathBuf {
    folder.join(format!("balancer{i}.log"))
}

fn wait_for(lab: &Lab, at: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while lab.connect(at, Duration::from_millis(200)).is_err() {
        if Instant::now() > deadline {
            bail!("nothing accepts on {at}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The control group that limits a process, as a path that the file of Backhand can name.
fn group_of(process: &Process) -> Result<String> {
    let file = format!("/proc/{}/cgroup", process.pid());
    let text = std::fs::read_to_string(&file).with_context(|| file.clone())?;
    let limited = |line: &&str| {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        controllers.is_empty() || controllers.split(',').any(|c| c == "cpu")
    };
    let paths = text.lines().filter(limited).filter_map(|line| line.splitn(3, ':').nth(2));
    paths.max_by_key(|path| path.len()).map(String::from).with_context(|| format!("{file}: {text}"))
}

/// Moves a balancer out of its machine's control group, as all rivals' balancers are.
fn leave_quota(lab: &Lab, i: usize, process: &Process) -> Result<()> {
    for group in lab.machine(i).cgroup_dirs() {
        let parent =
            group.parent().and_then(Path::parent).context("a control group without parents")?;
        std::fs::write(parent.join("cgroup.procs"), process.pid().to_string())
            .with_context(|| format!("the balancer cannot leave {}", group.display()))?;
    }
    Ok(())
}

/// One burner a machine, each working a fifth of the time, one after the other.
struct Antagonists {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Antagonists {
    fn start(lab: &Arc<Lab>) -> Result<Self> {
        let burners: Vec<Process> =
            (0..QUOTAS.len()).map(|i| lab.machine(i).burn(1)).collect::<Result<_, _>>()?;
        burners.iter().try_for_each(Process::stop)?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            // Machine n begins n * 5/6 s after the first, so that at any moment one or two are disturbed.
            let start = Instant::now();
            let cycle = BURN * 5;
            while !told.load(Relaxed) {
                for (n, burner) in burners.iter().enumerate() {
                    let shift = cycle * n as u32 / QUOTAS.len() as u32;
                    let phase = (start.elapsed() + cycle - shift).as_nanos() % cycle.as_nanos();
                    let _ = if phase < BURN.as_nanos() { burner.cont() } else { burner.stop() };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Antagonists {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
