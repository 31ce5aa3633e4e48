//! Machines of a lab that share addresses, each a whole Backhand, with hosts that use the addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lab::{
    CgroupWish, Exit, HostConfig, Lab, LabConfig, Mac, Output, Place, Process, Signal, Spawn, Wish,
};
use testkit::trial::Needs;

use crate::support::{KEY, PATIENCE, PROGRAM};

/// The port that every machine serves on at each of its addresses.
pub(crate) const PORT: u16 = 80;

/// A host that keeps what it has learned of its neighbours.
pub(crate) const WARM: usize = 0;
/// A host that forgets it before each connection.
pub(crate) const COLD: usize = 1;
/// A host that asks the wire who has an address.
pub(crate) const ASKER: usize = 2;
/// A router, and a client behind it.
pub(crate) const ROUTER: usize = 3;
pub(crate) const BEHIND: usize = 4;

/// The address `i`, from 1, of the first network that machines share.
pub(crate) fn v4(i: u8) -> IpAddr {
    Ipv4Addr::new(10, 77, 0, 100 + i).into()
}

/// The same for IPv6.
pub(crate) fn v6(i: u16) -> IpAddr {
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 1, i).into()
}

/// The usual hosts.
pub(crate) fn hosts() -> Vec<HostConfig> {
    let on = HostConfig::on(0);
    vec![on.clone(), on.clone(), on.clone(), on, HostConfig::behind(ROUTER)]
}

/// The lease, and what the kernel is late.
pub(crate) const LEASE: Duration = Duration::from_millis(3_000 + 1_100);

/// Whether there may be machines that give the kernel programs: only the first user of the whole system may.
pub(crate) fn may_pass_on() -> Needs {
    static MAY: OnceLock<Needs> = OnceLock::new();
    let wanted = || LabConfig { machines: 1, wish: Wish::RootNamespaces, ..LabConfig::default() };
    MAY.get_or_init(|| Lab::start(wanted()).map(drop).map_err(|why| why.to_string())).clone()
}

/// The usual lab, with machines that may give the kernel programs where that is possible.
pub(crate) fn passing_lab() -> LabConfig {
    let usual = LabConfig { hosts: hosts(), ..LabConfig::default() };
    match may_pass_on() {
        Ok(()) => LabConfig { wish: Wish::RootNamespaces, ..usual },
        Err(_) => usual,
    }
}

/// A lab with a Backhand in each machine, or none.
pub(crate) struct Stand {
    pub(crate) lab: Arc<Lab>,
    folder: tempfile::TempDir,
    runs: Vec<Option<Process>>,
    /// Those that were killed and may not be gone yet.
    dying: Vec<Process>,
    /// The addresses that are shared.
    pub(crate) shared: BTreeSet<IpAddr>,
    /// What the machines' section `[addresses]` says besides the list.
    pub(crate) more: String,
}

impl Stand {
    /// `n` machines that share these addresses and the usual hosts; nothing runs yet.
    pub(crate) fn silent(n: usize, shared: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::silent_in(n, shared, LabConfig { hosts: hosts(), ..LabConfig::default() })
    }

    /// The same in such a lab.
    pub(crate) fn silent_in(
        n: usize,
        shared: impl IntoIterator<Item = IpAddr>,
        lab: LabConfig,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab::start(LabConfig { machines: n, cgroups: CgroupWish::No, ..lab }).unwrap();
        let mut key = fs::OpenOptions::new();
        let mut key =
            key.write(true).create_new(true).mode(0o600).open(folder.path().join("key")).unwrap();
        key.write_all(KEY.as_bytes()).unwrap();
        let site = folder.path().join("site");
        fs::create_dir(&site).unwrap();
        fs::write(site.join("index.html"), "here\n").unwrap();
        let runs = (0..n).map(|_| None).collect();
        Self {
            lab: Arc::new(lab),
            folder,
            runs,
            dying: Vec::new(),
            shared: shared.into_iter().collect(),
            more: String::new(),
        }
    }

    /// `n` machines that share the first `m` addresses of version 4, started, and everything at rest.
    pub(crate) fn new(n: usize, m: u8) -> Self {
        let mut stand = Self::silent(n, (1..=m).map(v4));
        stand.start_all();
        stand
    }

    /// As [`Stand::silent`], with packets passed on in planned moves where that is possible.
    pub(crate) fn silent_passing(n: usize, shared: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut stand = Self::silent_in(n, shared, passing_lab());
        // The usual grace is short for a machine whose processors are all in use by others.
        stand.more = "grace = \"1s\"\n".to_owned();
        stand
    }

    /// As [`Stand::new`], with packets passed on in planned moves where that is possible.
    pub(crate) fn passing(n: usize, m: u8) -> Self {
        let mut stand = Self::silent_passing(n, (1..=m).map(v4));
        stand.start_all();
        stand
    }

    /// How many connections that stood each client may have had reset in so many planned moves: none where packets are passed on,
    /// else one in each.
    pub(crate) fn resets(&self, moves: usize) -> usize {
        let passes = may_pass_on().is_ok();
        for i in self.all().into_iter().filter(|i| self.runs(*i)) {
            let listed = self.listed(i);
            assert_eq!(listed["passes_on"], passes, "{listed}");
        }
        if passes { 0 } else { moves }
    }

    /// Starts every machine and waits until the addresses are spread evenly.
    pub(crate) fn start_all(&mut self) {
        let all = self.all();
        all.iter().for_each(|i| self.start(*i));
        self.wait_until_even(&all);
    }

    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.runs.len()).collect()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The list as it stands in the file.
    pub(crate) fn list(&self) -> String {
        let quoted: Vec<String> = self.shared.iter().map(|ip| format!("\"{ip}\"")).collect();
        format!("list = [{}]\n", quoted.join(", "))
    }

    /// What the file of machine `i` says but for its addresses.
    pub(crate) fn base(&self, i: usize) -> String {
        let (name, folder) = (self.lab.machine(i).name().to_owned(), self.folder.path().display());
        // Told to nobody but itself, each machine's balancer serves all by itself.
        format!(
            "[cluster]\nname = \"{name}\"\nkey_file = \"{folder}/key\"\nstate_dir = \"{folder}/{name}\"\n\
             accept = [\"10.0.0.0/8\", \"127.0.0.0/8\"]\n\
             [announce]\ntargets = [\"127.0.0.1:4445\"]\n\
             [http]\nlisten = [\"[::]:{PORT}\"]\nworkers = 1\nserved_by = true\n\
             [local]\ndirectory = \"{folder}/site\"\n\
             [bus]\nlisten = []\nsocket = \"{folder}/{name}.bus\"\n"
        )
    }

    /// The file of machine `i` with this section of addresses. Machines share their folders here, so none has the usual control
    /// socket, but one of its own: see [`Stand::vip`].
    pub(crate) fn with(&self, i: usize, section: &str) -> String {
        let socket = match section.contains("socket = ") {
            true => String::new(),
            false => format!("socket = \"{}\"\n", self.control(i).display()),
        };
        let usual = "mature = \"1s\"\nbalance = { interval = \"500ms\" }\n";
        format!("{}[addresses]\n{socket}{usual}{section}", self.base(i))
    }

    fn control(&self, i: usize) -> PathBuf {
        // In a folder of its own: a program that opens one in a folder keeps others from that for the moment.
        let folder = self.path(&format!("{}.run", self.lab.machine(i).name()));
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("vip")
    }

    /// What machine `i` says to `backhand vip` with these words; it has to be able to do it.
    pub(crate) fn vip(&self, i: usize, words: &[&str]) -> String {
        let mut ask = Command::new(PROGRAM);
        let done = ask.arg("vip").args(words).arg("--socket").arg(self.control(i)).output();
        let done = done.unwrap();
        let mistake = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "vip {words:?}: {mistake}\n{}", self.said(i));
        String::from_utf8(done.stdout).unwrap()
    }

    /// What machine `i` says with `backhand vip list --json`.
    pub(crate) fn listed(&self, i: usize) -> serde_json::Value {
        serde_json::from_str(&self.vip(i, &["list", "--json"])).unwrap()
    }

    /// Starts machine `i` with the usual file.
    pub(crate) fn start(&mut self, i: usize) {
        let text = self.with(i, &(self.list() + &self.more));
        self.start_as(i, &text, Spawn::new(PROGRAM));
    }

    /// Starts machine `i` with this file, through something that is the program or becomes it.
    pub(crate) fn start_as(&mut self, i: usize, text: &str, spawn: Spawn) {
        let name = self.lab.machine(i).name().to_owned();
        let file = self.path(&format!("{name}.toml"));
        fs::write(&file, text).unwrap();
        let log = self.path(&format!("{name}.log"));
        let spawn = spawn.args(["run", "--config"]).arg(&file).cwd("/");
        let spawn = spawn.stdout(Output::File(log.clone())).stderr(Output::File(log));
        self.start_with(i, spawn);
    }

    /// Starts machine `i` by this, whose log is its own affair.
    pub(crate) fn start_with(&mut self, i: usize, spawn: Spawn) {
        // The one before may still have its sockets.
        for dying in self.dying.drain(..) {
            assert_eq!(dying.wait_timeout(PATIENCE), Some(Exit::Signal(9)));
        }
        self.runs[i] = Some(self.lab.machine(i).spawn(spawn).unwrap());
    }

    /// Whether machine `i` was started and not killed or stopped since.
    pub(crate) fn runs(&self, i: usize) -> bool {
        self.runs[i].is_some()
    }

    pub(crate) fn run(&self, i: usize) -> &Process {
        self.runs[i].as_ref().expect("the machine was started")
    }

    /// Kills the program of machine `i`, but not its guardian.
    pub(crate) fn kill(&mut self, i: usize) {
        let run = self.runs[i].take().expect("the machine was started");
        run.signal_alone(Signal::KILL).unwrap();
        self.dying.push(run);
    }

    /// Waits until the program of machine `i` ends by itself; how it did, if it has.
    pub(crate) fn wait_until_ended(&mut self, i: usize) -> Option<Exit> {
        let run = self.runs[i].take().expect("the machine was started");
        run.wait_timeout(PATIENCE)
    }

    /// Kills everything of machine `i`.
    pub(crate) fn kill_all(&mut self, i: usize) {
        let run = self.runs[i].take().expect("the machine was started");
        self.lab.machine(i).kill().unwrap();
        self.dying.push(run);
    }

    /// Tells machine `i` to end, as an operator does, and does not wait for it.
    pub(crate) fn leave(&mut self, i: usize) -> Process {
        let run = self.runs[i].take().expect("the machine was started");
        run.term().unwrap();
        run
    }

    /// Ends machine `i` as an operator does. Returns when it has ended.
    pub(crate) fn stop(&mut self, i: usize) {
        let run = self.leave(i);
        let exit = run.wait_timeout(PATIENCE);
        assert_eq!(exit, Some(Exit::Code(0)), "{}", self.said(i));
    }

    /// What machine `i` wrote to its log, all runs together.
    pub(crate) fn said(&self, i: usize) -> String {
        let name = self.lab.machine(i).name().to_owned();
        fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// In how many lines machine `i` has said all of these words.
    pub(crate) fn count(&self, i: usize, words: &[&str]) -> usize {
        let has = |line: &&str| words.iter().all(|word| line.contains(word));
        self.said(i).lines().filter(has).count()
    }

    /// Waits until machine `i` has said all of these words in one line, in whichever of its runs.
    pub(crate) fn wait_until_said(&self, i: usize, words: &[&str]) {
        self.wait_until_said_again(i, words, 0);
    }

    /// Waits until machine `i` has said all of these words in one more line than those that it had said `before`, which
    /// [`Stand::count`] tells: counted before what is to make it say so again, since a log is of all its runs.
    pub(crate) fn wait_until_said_again(&self, i: usize, words: &[&str], before: usize) {
        self.until(&format!("m{} says {words:?} after {before} times", i + 1), || {
            (self.count(i, words) > before).then_some(())
        });
    }

    /// Looks on for so long: each address stays where it is on this map. How long that is is what is tried.
    pub(crate) fn stays(&self, map: &BTreeMap<IpAddr, Vec<usize>>, time: Duration) -> usize {
        let (until, mut looks) = (Instant::now() + time, 0);
        while Instant::now() < until {
            assert_eq!(self.map(), *map, "something has moved");
            looks += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        looks
    }

    /// Waits until `found` finds something.
    pub(crate) fn until<T>(&self, what: &str, found: impl FnMut() -> Option<T>) -> T {
        self.until_within(PATIENCE, what, found)
    }

    /// As [`until`](Self::until), for something that takes its time.
    pub(crate) fn until_within<T>(
        &self,
        patience: Duration,
        what: &str,
        mut found: impl FnMut() -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(Instant::now() < deadline, "in vain waited until {what}; {:?}", self.map());
            assert!(self.all_live().is_ok(), "one has ended; in vain waited until {what}");
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// The shared addresses on machine `i`'s interfaces.
    pub(crate) fn held(&self, i: usize) -> BTreeSet<IpAddr> {
        let all = self.lab.addresses(Place::Machine(i)).unwrap();
        all.into_iter().map(|held| held.address).filter(|ip| self.shared.contains(ip)).collect()
    }

    /// Which of these machines has which addresses.
    pub(crate) fn map_of(&self, who: &[usize]) -> BTreeMap<IpAddr, Vec<usize>> {
        let mut map: BTreeMap<IpAddr, Vec<usize>> = BTreeMap::new();
        for i in who {
            for ip in self.held(*i) {
                map.entry(ip).or_default().push(*i);
            }
        }
        map
    }

    pub(crate) fn map(&self) -> BTreeMap<IpAddr, Vec<usize>> {
        self.map_of(&self.all())
    }

    /// Whether each address is at exactly one of these machines.
    pub(crate) fn is_whole(&self, who: &[usize]) -> bool {
        self.each_once(&self.map_of(who))
    }

    fn each_once(&self, map: &BTreeMap<IpAddr, Vec<usize>>) -> bool {
        map.len() == self.shared.len() && map.values().all(|at| at.len() == 1)
    }

    /// Waits until each address is at exactly one of these machines; how long that took.
    pub(crate) fn wait_until_whole(&self, who: &[usize]) -> Duration {
        let began = Instant::now();
        self.until(&format!("{who:?} have each address once"), || self.is_whole(who).then_some(()));
        began.elapsed()
    }

    /// The same, and none has two more than another.
    pub(crate) fn wait_until_even(&self, who: &[usize]) {
        self.until_within(2 * PATIENCE, &format!("{who:?} share evenly"), || {
            let map = self.map_of(who);
            let count = |i: &usize| map.values().filter(|at| at.contains(i)).count();
            let counts: Vec<usize> = who.iter().map(count).collect();
            let (least, most) = (counts.iter().min()?, counts.iter().max()?);
            (most - least <= 1 && self.each_once(&map)).then_some(())
        });
    }

    /// Who among these machines has the address, if it is one.
    pub(crate) fn holder(&self, who: &[usize], ip: IpAddr) -> Option<usize> {
        match self.map_of(who).get(&ip).map(Vec::as_slice) {
            Some([one]) => Some(*one),
            _ => None,
        }
    }

    /// The hardware address of machine `i` on an interface.
    pub(crate) fn mac_on(&self, i: usize, interface: &str) -> Mac {
        let links = self.lab.links(Place::Machine(i)).unwrap();
        let link = links.into_iter().find(|link| link.name == interface);
        link.and_then(|link| link.mac).expect("it has a hardware address")
    }

    pub(crate) fn mac(&self, i: usize) -> Mac {
        self.mac_on(i, "eth0")
    }

    /// Where a host believes an address to be.
    pub(crate) fn believes(&self, host: usize, ip: IpAddr) -> Option<Mac> {
        let known = self.lab.neighbours(Place::Host(host)).unwrap();
        known.into_iter().find(|known| known.address == ip)?.mac
    }

    /// No program that was started has ended by itself.
    pub(crate) fn all_live(&self) -> Result<(), String> {
        for (i, run) in self.runs.iter().enumerate() {
            if run.as_ref().is_some_and(|run| !run.is_running()) {
                return Err(format!("m{} ended by itself:\n{}", i + 1, self.said(i)));
            }
        }
        Ok(())
    }
}

impl Drop for Stand {
    /// When a test fails, its reader wants to know what the machines thought.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for i in self.all() {
                eprintln!("--- m{}\n{}", i + 1, self.said(i));
            }
        }
    }
}
