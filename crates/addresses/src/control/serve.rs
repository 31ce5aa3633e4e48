//! The connections of the control sockets, on a thread of their own.
//!
//! Whoever says nothing, half of something, or takes nothing is let go after a while; there are at most so many at a time, and whoever
//! comes beyond them is told so; and however often it is asked, the service tells of itself only so often.

use std::cell::OnceCell;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, oneshot};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use vip::{NoSuch, Order};

use super::explain::explain;
use super::historical;
use super::refusal::refusal;
use super::room::Room;
use super::table::{MachineRow, SetRow, Table};
use super::words::{Answer, Ask, DecisionRow, ErrorKind, REQUEST_MAX};
use crate::service::{Handle, NoAnswer};

/// How long a connection may stay without a request, and how long one may take to be said or to be read.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for one that there is no place for.
const IMPATIENCE: Duration = Duration::from_millis(500);
/// The service is asked for a report not more often than this, nor for more than a tenth of its time.
const SELDOM: Duration = Duration::from_millis(10);
/// Whoever follows is told not more often than this.
const FOLLOWED: Duration = Duration::from_millis(20);
/// How long a simulated failure may take to let everything go.
const LETTING_GO: Duration = Duration::from_secs(5);

struct Server {
    handle: Handle,
    last: Mutex<Option<Known>>,
}

/// The last report, and from when on another may be asked for.
struct Known {
    told: Rc<Told>,
    fresh_until: Instant,
}

/// A report as it is told. All who wait for it share it: a large cluster's is of many megabytes.
struct Told {
    table: Table,
    timeless: OnceCell<Table>,
    line: OnceCell<Vec<u8>>,
}

impl Told {
    fn new(table: Table) -> Self {
        Self { table, timeless: OnceCell::new(), line: OnceCell::new() }
    }

    /// Without what only time changes.
    fn timeless(&self) -> &Table {
        self.timeless.get_or_init(|| self.table.timeless())
    }

    /// As an answer.
    fn line(&self) -> &[u8] {
        self.line.get_or_init(|| Answer::Table(Box::new(self.table.clone())).line())
    }
}

/// Serves until told to stop.
pub(super) fn run(
    handle: Handle,
    listeners: Vec<UnixListener>,
    presence: Option<UnixListener>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "nobody can use the control sockets: there is no runtime for them");
            return;
        }
    };
    let server = Rc::new(Server { handle, last: Mutex::new(None) });
    let room = Rc::new(Room::new());
    LocalSet::new().block_on(&runtime, async {
        for listener in listeners {
            match tokio::net::UnixListener::from_std(listener) {
                Ok(listener) => {
                    drop(tokio::task::spawn_local(accept(server.clone(), room.clone(), listener)))
                }
                Err(error) => tracing::error!(%error, "a control socket cannot be served"),
            }
        }
        match presence.map(tokio::net::UnixListener::from_std) {
            Some(Ok(listener)) => drop(tokio::task::spawn_local(take_and_close(listener))),
            Some(Err(error)) => tracing::debug!(%error, "a presence is not looked after"),
            None => {}
        }
        // That the other end is gone is the word to stop.
        let _ = stopped.await;
    });
}

async fn accept(server: Rc<Server>, room: Rc<Room>, listener: tokio::net::UnixListener) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Descriptors may be short; that passes or not, and is not to be asked for all the time.
                tracing::debug!(%error, "a connection of a control socket was not taken");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (server, room) = (server.clone(), room.clone());
        tokio::task::spawn_local(async move {
            let (read, write) = stream.into_split();
            let read = BufReader::new(read);
            let connection = Connection { server, room: room.clone(), read, write };
            let place = room.enter();
            let ended = match &place {
                Ok(_) => connection.serve().await,
                Err(why) => {
                    let Some(_place) = room.turn_away() else { return };
                    let told = timeout(IMPATIENCE, connection.turn_away(why)).await;
                    told.unwrap_or_else(|_| Err(late("nothing was asked")))
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection of a control socket was closed");
            }
        });
    }
}

/// Whoever connects has seen who listens, and gets nothing else.
async fn take_and_close(listener: tokio::net::UnixListener) {
    loop {
        if listener.accept().await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Server {
    /// How everything is, or was a moment ago.
    async fn told(&self) -> Result<Rc<Told>, NoAnswer> {
        let mut last = self.last.lock().await;
        if let Some(known) = last.as_ref().filter(|known| Instant::now() < known.fresh_until) {
            return Ok(known.told.clone());
        }
        let asked = Instant::now();
        let report = self.handle.report_async().await?;
        let took = asked.elapsed();
        let told = Rc::new(Told::new(Table::new(&report)));
        let fresh_until = Instant::now() + SELDOM.max(took.saturating_mul(10));
        *last = Some(Known { told: told.clone(), fresh_until });
        Ok(told)
    }

    /// The same as it is now: after something was ordered.
    async fn told_now(&self) -> Result<Rc<Told>, NoAnswer> {
        let until = self.last.lock().await.as_ref().map(|known| known.fresh_until);
        if let Some(until) = until {
            sleep_until(until).await;
        }
        self.told().await
    }

    /// Away from the bus, with everything let go, or back.
    async fn away(&self, away: bool) -> Result<(), NoAnswer> {
        let mut changes = self.handle.changes();
        self.handle.away_async(away).await?;
        let let_go = async {
            while away && !self.told_now().await?.table.held.is_empty() {
                changes.changed().await.map_err(|_| NoAnswer)?;
            }
            Ok(())
        };
        // What takes longer is let go all the same.
        timeout(LETTING_GO, let_go).await.unwrap_or(Ok(()))
    }

    async fn answer(&self, ask: Ask) -> Result<Answer, Answer> {
        let told = self.told().await.map_err(no_answer)?;
        let table = &told.table;
        match ask {
            Ask::List { .. } | Ask::Watch { .. } => Ok(Answer::Table(Box::new(table.clone()))),
            Ask::Explain { set: None } => Ok(Answer::Explained { sets: explain(table, None) }),
            Ask::Explain { set: Some(set) } => {
                let set = find(table, &set)?;
                Ok(Answer::Explained { sets: explain(table, Some(set)) })
            }
            Ask::Drain { machine } => {
                self.order(meant(table, machine.as_deref())?, Order::Drain, None).await
            }
            Ask::Undrain { machine } => {
                self.order(meant(table, machine.as_deref())?, Order::Undrain, None).await
            }
            Ask::Move { set, machine } => {
                let set = find(table, &set)?;
                let to = meant(table, Some(&machine))?;
                if let Some(message) = refusal(table, set, to) {
                    return Err(Answer::Error { kind: ErrorKind::Refused, message });
                }
                let head = set.head;
                self.order(to, Order::Take(head), Some(head.to_string())).await
            }
            Ask::Away | Ask::Back => {
                self.away(ask == Ask::Away).await.map_err(no_answer)?;
                let member = table.own().map(|own| own.member.clone());
                Ok(Answer::Ordered { machine: table.machine.clone(), member, set: None })
            }
        }
    }

    /// Gives an order to a machine by its private group: several may have its name.
    async fn order(
        &self,
        to: &MachineRow,
        order: Order,
        set: Option<String>,
    ) -> Result<Answer, Answer> {
        let given = self.handle.order_async(&to.member, order).await.map_err(no_answer)?;
        given.map_err(|error| refused(&error))?;
        Ok(Answer::Ordered { machine: to.machine.clone(), member: Some(to.member.clone()), set })
    }
}

/// What has changed since the table was told.
fn refused(error: &NoSuch) -> Answer {
    let kind = match error {
        NoSuch::Group => ErrorKind::NoGroup,
        NoSuch::Machine(_) | NoSuch::Several { .. } => ErrorKind::NoMachine,
    };
    Answer::Error { kind, message: error.to_string() }
}

fn no_answer(error: NoAnswer) -> Answer {
    Answer::Error { kind: ErrorKind::NoAnswer, message: error.to_string() }
}

/// The machine that is meant; this very one if none is said.
fn meant<'a>(table: &'a Table, machine: Option<&str>) -> Result<&'a MachineRow, Answer> {
    let Some(own) = table.own() else {
        return Err(Answer::Error {
            kind: ErrorKind::NoGroup,
            message: format!(
                "{} is not in the group of the addresses: {}",
                table.machine, table.bus
            ),
        });
    };
    let Some(machine) = machine else { return Ok(own) };
    table.meant(machine).map_err(|several| {
        let message = if several.is_empty() {
            let there: Vec<String> = table.machines.iter().map(|one| table.called(one)).collect();
            format!("there is no machine {machine:?}; there are {}", there.join(", "))
        } else {
            let several: Vec<&str> = several.iter().map(|one| one.member.as_str()).collect();
            format!(
                "{} machines may be meant by {machine:?}; name one by its private group: {}",
                several.len(),
                several.join(", ")
            )
        };
        Answer::Error { kind: ErrorKind::NoMachine, message }
    })
}

/// Sets that an error names at most.
const NAMED_MAX: usize = 16;

fn find<'a>(table: &'a Table, set: &str) -> Result<&'a SetRow, Answer> {
    table.set(set).ok_or_else(|| {
        let there: Vec<String> = table.sets.iter().take(NAMED_MAX).map(SetRow::called).collect();
        let more = table.sets.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("there is no set {set:?}; there are {}{more}", there.join(", "));
        Answer::Error { kind: ErrorKind::NoSet, message }
    })
}

struct Connection {
    server: Rc<Server>,
    room: Rc<Room>,
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Connection {
    /// Any number of requests, until the other end or its time is over.
    async fn serve(mut self) -> std::io::Result<()> {
        loop {
            let first = match timeout(PATIENCE, self.read.read_u8()).await {
                Ok(Ok(byte)) => byte,
                Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Ok(());
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(late("nothing was asked")),
            };
            match first {
                historical::LIST => {
                    let Ok(told) = self.server.told_now().await else { return Ok(()) };
                    self.say(&historical::answer(&told.table)).await?;
                }
                historical::FAIL | historical::SUCCEED => {
                    let done = self.server.away(first == historical::FAIL).await;
                    let code: i32 = if done.is_ok() { 0 } else { -1 };
                    self.say(&code.to_be_bytes()).await?;
                }
                b'{' => {
                    let line = self.line().await?;
                    self.asked(&line).await?;
                }
                b'\n' | b'\r' => {}
                other => {
                    tracing::warn!(
                        "somebody asked {other:#04x} at the control socket, which is nothing"
                    );
                    return Ok(());
                }
            }
        }
    }

    /// There is no place for it: whoever asks is told why, as far as the language has words for it.
    async fn turn_away(mut self, why: &Answer) -> std::io::Result<()> {
        match self.read.read_u8().await? {
            historical::FAIL | historical::SUCCEED => self.say(&(-1_i32).to_be_bytes()).await,
            b'{' => {
                // What is not read when the connection is closed would take the answer along.
                self.line().await?;
                self.tell(why).await
            }
            _ => Ok(()),
        }
    }

    /// The rest of a request whose first byte has been read.
    async fn line(&mut self) -> std::io::Result<Vec<u8>> {
        let mut line = vec![b'{'];
        let mut rest = (&mut self.read).take(REQUEST_MAX as u64);
        timeout(PATIENCE, rest.read_until(b'\n', &mut line))
            .await
            .map_err(|_| late("half a request"))??;
        if line.len() > REQUEST_MAX {
            return Err(std::io::Error::other("a request that is too long"));
        }
        Ok(line)
    }

    async fn asked(&mut self, line: &[u8]) -> std::io::Result<()> {
        let ask = match Ask::read(line) {
            Ok(ask) => ask,
            Err(message) => {
                return self.tell(&Answer::Error { kind: ErrorKind::Malformed, message }).await;
            }
        };
        match ask {
            Ask::List { follow: true } => {
                let room = self.room.clone();
                match room.follow() {
                    Ok(_place) => self.follow().await,
                    Err(why) => self.tell_and_end(&why).await,
                }
            }
            Ask::Watch { after } => {
                let room = self.room.clone();
                match room.watch() {
                    Ok(_place) => self.watch(after).await,
                    Err(why) => self.tell_and_end(&why).await,
                }
            }
            Ask::List { follow: false } => match self.server.told().await {
                Ok(told) => self.say(told.line()).await,
                Err(error) => self.tell(&no_answer(error)).await,
            },
            ask => {
                let answer = self.server.answer(ask).await.unwrap_or_else(|error| error);
                self.tell(&answer).await
            }
        }
    }

    /// The table whenever it changes.
    async fn follow(&mut self) -> std::io::Result<()> {
        let mut changes = self.server.handle.changes();
        let mut before: Option<Rc<Told>> = None;
        loop {
            changes.mark_unchanged();
            let Ok(told) = self.server.told_now().await else { return Ok(()) };
            if before.is_none_or(|before| before.timeless() != told.timeless()) {
                self.say(told.line()).await?;
            }
            before = Some(told);
            if !self.wait(&mut changes).await {
                return Ok(());
            }
        }
    }

    /// Decisions as they happen.
    async fn watch(&mut self, after: Option<u64>) -> std::io::Result<()> {
        let mut changes = self.server.handle.changes();
        let Ok(all) = self.server.handle.decisions_async(0).await else { return Ok(()) };
        let mut above = begin_above(after, all.last().map_or(0, |last| last.number));
        loop {
            changes.mark_unchanged();
            let Ok(decisions) = self.server.handle.decisions_async(above).await else {
                return Ok(());
            };
            for decision in &decisions {
                above = decision.number;
                self.tell(&Answer::Decision(Box::new(DecisionRow::from(decision)))).await?;
            }
            if !self.wait(&mut changes).await {
                return Ok(());
            }
        }
    }

    /// Waits for a change; false if the other end is gone or says something, or the service has ended.
    async fn wait(&mut self, changes: &mut tokio::sync::watch::Receiver<u64>) -> bool {
        sleep(FOLLOWED).await;
        tokio::select! {
            changed = changes.changed() => changed.is_ok(),
            _ = self.read.read_u8() => false,
        }
    }

    /// What stays without a place would take one from those who only ask.
    async fn tell_and_end(&mut self, why: &Answer) -> std::io::Result<()> {
        self.tell(why).await?;
        Err(std::io::Error::other("there is no place for it"))
    }

    async fn tell(&mut self, answer: &Answer) -> std::io::Result<()> {
        self.say(&answer.line()).await
    }

    async fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        timeout(PATIENCE, self.write.write_all(bytes))
            .await
            .map_err(|_| late("an answer was not read"))?
    }
}

/// Above which number decisions are told to whoever asks for those after one. Numbers follow the clock from run to run: one that is
/// above the newest is of a run before whose clock was ahead, and nothing of this run is known there.
fn begin_above(after: Option<u64>, newest: u64) -> u64 {
    match after {
        Some(after) if after > newest => 0,
        Some(after) => after,
        None => newest,
    }
}

fn late(what: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_goes_to_this_very_machine_or_to_the_one_that_is_meant() {
        let machine = |member: &str, name: &str| {
            serde_json::json!({
                "machine": name, "member": member, "shown": null, "mature": true, "healthy": true, "drained": false,
                "leaving": false, "silent": false, "weight": 100, "sets": 0, "here_ms": 0,
            })
        };
        let mut table: Table = serde_json::from_value(serde_json::json!({
            "machine": "vm", "stage": "running", "connected": true, "bus": "#w2#m2", "away": false, "majority": null,
            "healthy": true, "health": "", "guarded": true, "held": [], "decision": 7, "sets": [],
            "machines": [machine("#w1#m1", "vm"), machine("#w2#m2", "vm"), machine("#w3#m3", "db")],
        }))
        .unwrap();
        let to = |table: &Table, said: Option<&str>| match meant(table, said) {
            Ok(row) => row.member.clone(),
            Err(Answer::Error { kind, message }) => format!("{kind:?}: {message}"),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(to(&table, None), "#w2#m2");
        for (said, member) in [("db", "#w3#m3"), ("#w1#m1", "#w1#m1"), ("m1", "#w1#m1")] {
            assert_eq!(to(&table, Some(said)), member);
        }
        assert_eq!(
            to(&table, Some("vm")),
            "NoMachine: 2 machines may be meant by \"vm\"; name one by its private group: #w1#m1, #w2#m2"
        );
        assert_eq!(
            to(&table, Some("m9")),
            "NoMachine: there is no machine \"m9\"; there are vm (#w1#m1), vm (#w2#m2), db"
        );
        (table.connected, table.bus) = (false, "the daemon is away".into());
        table.machines.clear();
        assert_eq!(
            to(&table, None),
            "NoGroup: vm is not in the group of the addresses: the daemon is away"
        );
    }

    #[test]
    fn whoever_watches_goes_on_after_a_number_or_with_all_if_it_is_above_the_newest() {
        assert_eq!(begin_above(None, 50), 50);
        assert_eq!(begin_above(Some(0), 50), 0);
        assert_eq!(begin_above(Some(49), 50), 49);
        assert_eq!(begin_above(Some(50), 50), 50);
        assert_eq!(begin_above(Some(51), 50), 0);
        assert_eq!(begin_above(Some(51), 0), 0);
    }
}
