//! Disks and pipes that take nothing: whoever writes to them hangs, and the addresses do not.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::{Exit, Output, Spawn};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{Stand, v4};
use crate::support::{PATIENCE, PROGRAM};

pub(crate) const TRIALS: &[Named] =
    &[("an_access_log_and_a_log_that_nobody_reads_stop_nothing", unread)];

/// Those that need a disk that can be frozen: see [`may_freeze`].
pub(crate) const FREEZING: &[Named] = &[
    ("a_disk_that_hangs_moves_nothing_and_a_program_killed_on_it_loses_its_addresses", hung),
    ("a_machine_with_a_disk_that_hangs_gives_its_addresses_away_when_it_is_stopped", stopped),
];

/// What a hung disk is tried for: longer than a lease with what the kernel is late.
const HUNG: Duration = Duration::from_millis(4_500);

/// One pipe for all that is said, full from the start.
fn unread() -> Result<(), Failed> {
    let mut stand = Stand::silent(3, (1..=6).map(v4));
    let pipe = stand.path("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    // Open at both ends, so that it has a reader: one that never reads.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let mut full = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&pipe)?;
    while full.write(&[b'.'; 512]).is_ok() {}
    let file = stand.path("m1.toml");
    // Little may wait, so that records are soon dropped as well.
    let log = "[access_log]\nbuffer = \"64KiB\"\n[log]\nlevel = \"debug\"\n";
    fs::write(&file, stand.with(0, &stand.list()) + log)?;
    let spawn = Spawn::new(PROGRAM).args(["run", "--config"]).arg(&file).cwd("/");
    let to = || Output::File(pipe.clone());
    stand.start_with(0, spawn.stdout(to()).stderr(to()));
    [1, 2].into_iter().for_each(|i| stand.start(i));
    stand.wait_until_even(&stand.all());
    // Much is to be said of these, and of each request.
    let asked = Eyes::open(&stand, *stand.held(0).first().expect("it has some"));
    let rounds = Instant::now();
    for _ in 0..2 {
        stand.kill(2);
        stand.wait_until_whole(&[0, 1]);
        stand.start(2);
        stand.wait_until_even(&stand.all());
    }
    asked.close().gap("nobody reads its logs", rounds, Duration::from_secs(2));
    let eyes = Eyes::open(&stand, *stand.held(0).first().expect("it has some"));
    let took = full.write(b".");
    assert!(took.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "somebody has read");
    let began = Instant::now();
    stand.stop(0);
    println!("nobody reads its logs: stopped after {:?}", began.elapsed());
    assert!(stand.is_whole(&[1, 2]), "{:?}", stand.map());
    eyes.wait_until_served(&stand, Instant::now());
    eyes.close().nothing_lost("nobody reads its logs, stopped", 1);
    Ok(stand.all_live()?)
}

/// Three machines, the first with a disk that hangs, eyes on an address that it has, and the end of the hanging; then this.
fn hang_with(
    then: impl FnOnce(&Disk, &mut Stand, Eyes, Thaw<'_>) -> Result<(), Failed>,
) -> Result<(), Failed> {
    // Dropped in the other order: what hangs on the disk ends only when that is thawed.
    let disk = Disk::make();
    let mut stand = Stand::silent(3, (1..=6).map(v4));
    let thaw = disk.thaw();
    start_on(&disk, &mut stand);
    let ip = *stand.held(0).first().expect("it has some");
    let eyes = Eyes::open(&stand, ip);
    disk.freeze();
    wait_until_hung(&stand);
    then(&disk, &mut stand, eyes, thaw)
}

fn hung() -> Result<(), Failed> {
    hang_with(move_nothing)
}

fn move_nothing(disk: &Disk, stand: &mut Stand, eyes: Eyes, thaw: Thaw<'_>) -> Result<(), Failed> {
    let map = stand.map();
    stand.stays(&map, HUNG);
    // It can be asked, and takes part in what happens.
    let asked = Spawn::new(PROGRAM).args(["vip", "list", "--socket"]).arg(disk.path("vip.sock"));
    let asked = stand.lab.machine(0).spawn(asked.cwd("/").stdout(Output::Null))?;
    assert_eq!(asked.wait_timeout(PATIENCE), Some(Exit::Code(0)));
    stand.kill(2);
    println!("beside a hung disk: whole {:?} after a death", stand.wait_until_whole(&[0, 1]));
    stand.start(2);
    stand.wait_until_even(&stand.all());
    eyes.wait_until_served(stand, Instant::now());
    eyes.close().nothing_lost("a hung disk", 1);
    // It cannot end while a thread of it hangs in the kernel, and is as good as dead.
    let (pid, began) = (stand.run(0).pid(), Instant::now());
    let ip = *stand.held(0).first().expect("it has some");
    let eyes = Eyes::open(stand, ip);
    stand.kill(0);
    stand.until("its kernel is empty", || stand.held(0).is_empty().then_some(()));
    let empty = began.elapsed();
    let whole = stand.wait_until_whole(&[1, 2]);
    eyes.wait_until_served(stand, Instant::now());
    println!(
        "killed on a hung disk: kernel empty after {empty:?}, others whole {whole:?} later; threads that hang: {}",
        hanging(pid)
    );
    assert!(hanging(pid) > 0, "it did not hang");
    eyes.close().gap("killed on a hung disk", began, Duration::from_secs(3));
    drop(thaw);
    start_on(disk, stand);
    Ok(stand.all_live()?)
}

fn stopped() -> Result<(), Failed> {
    hang_with(|_, stand, eyes, thaw| {
        let began = Instant::now();
        stand.run(0).term()?;
        stand.until("the others have all", || {
            (stand.held(0).is_empty() && stand.is_whole(&[1, 2])).then_some(())
        });
        println!("stopped on a hung disk: all with others after {:?}", began.elapsed());
        eyes.wait_until_served(stand, Instant::now());
        eyes.close().nothing_lost("stopped on a hung disk", 1);
        drop(thaw);
        assert_eq!(stand.run(0).wait_timeout(PATIENCE), Some(Exit::Code(0)));
        Ok(())
    })
}

/// Starts those that do not run, the first with its state, its sockets and its logs on the disk.
fn start_on(disk: &Disk, stand: &mut Stand) {
    let (here, there) = (stand.path("m1"), disk.path("m1"));
    let section = format!("{}socket = \"{}\"\n", stand.list(), disk.path("vip.sock").display());
    let text = stand.with(0, &section).replace(here.to_str().unwrap(), there.to_str().unwrap());
    let file = stand.path("m1.toml");
    fs::write(&file, text).unwrap();
    // What is said there can be read here too, for whoever reads hangs with nobody.
    let link = stand.path("m1.log");
    if !link.is_symlink() {
        symlink(disk.path("m1.log"), link).unwrap();
    }
    let log = || Output::File(disk.path("m1.log"));
    let spawn = Spawn::new(PROGRAM).args(["run", "--config"]).arg(&file).cwd("/");
    stand.start_with(0, spawn.stdout(log()).stderr(log()));
    for i in [1, 2] {
        if !stand.runs(i) {
            stand.start(i);
        }
    }
    stand.wait_until_even(&stand.all());
}

/// Waits until the first machine's program hangs in the kernel, which what it is asked brings about.
fn wait_until_hung(stand: &Stand) {
    let pid = stand.run(0).pid();
    stand.until("it writes and hangs", || (hanging(pid) > 0).then_some(()));
}

/// How many threads of a process wait in the kernel without an end that a signal could bring.
fn hanging(pid: u32) -> usize {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let state = |path: PathBuf| {
        let text = fs::read_to_string(path.join("stat")).ok()?;
        // After the name, which is in brackets.
        text.rsplit(')').next()?.trim_start().chars().next()
    };
    threads.filter(|thread| state(thread.path()) == Some('D')).count()
}

/// What a disk of its own needs.
const TOOLS: [&str; 4] = ["mkfs.ext4", "mount", "umount", "fsfreeze"];

/// Whether a disk of its own can be made here, and frozen.
pub(crate) fn may_freeze() -> Result<(), String> {
    let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let there = |tool: &&str| folders.iter().any(|folder| Path::new(folder).join(tool).is_file());
    if let Some(tool) = TOOLS.iter().find(|tool| !there(tool)) {
        return Err(format!("there is no {tool}"));
    }
    match OpenOptions::new().read(true).write(true).open("/dev/loop-control") {
        Ok(_) if rustix::process::geteuid().is_root() => Ok(()),
        _ => Err("only root with loop devices may mount a disk and freeze it".into()),
    }
}

/// A small disk of its own, which can hang.
struct Disk {
    folder: tempfile::TempDir,
    /// Thaws and unmounts it when this process ends, however it does, for a frozen disk would stay for ever.
    keeper: Child,
}

/// Lets a disk go on when it is dropped: before the stand whose programs hang on it.
struct Thaw<'a>(&'a Disk);

impl Disk {
    fn make() -> Self {
        use std::os::unix::process::CommandExt;
        let folder = tempfile::tempdir().unwrap();
        let (image, at) = (folder.path().join("image"), folder.path().join("disk"));
        fs::create_dir(&at).unwrap();
        fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        let script = "trap '' HUP INT TERM; PATH=$PATH:/usr/sbin:/sbin; \
             mkfs.ext4 -q \"$1\" && mount -o loop \"$1\" \"$2\" && echo ready; \
             read line; fsfreeze -u \"$2\" 2>/dev/null; umount -l \"$2\"";
        let mut keeper = Command::new("sh");
        keeper.args(["-c", script, "sh"]).arg(&image).arg(&at).process_group(0);
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut word = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut word).unwrap();
        let disk = Self { folder, keeper };
        assert_eq!(word, "ready\n", "there is no disk");
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("disk").join(name)
    }

    fn freeze(&self) {
        assert!(self.fsfreeze("-f"), "the disk cannot be frozen");
    }

    fn thaw(&self) -> Thaw<'_> {
        Thaw(self)
    }

    fn fsfreeze(&self, how: &str) -> bool {
        let mut command = Command::new("fsfreeze");
        command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").arg(how).arg(self.path(""));
        command.stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Thaw<'_> {
    fn drop(&mut self) {
        // One that is not frozen stays as it is.
        let _ = self.0.fsfreeze("-u");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
