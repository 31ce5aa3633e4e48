//! The control page of the demonstration: what the probes see, and buttons that pull a machine's cable, freeze it or kill it.
//!
//! It belongs to the demonstration's own process and is on 127.0.0.1 only. It is no part of the machines, whose pages change nothing.
//!
//! Other people of this computer and other sites' pages in the same browser shall not press the buttons:
//! - everything is below a path with a random part, which the terminal alone tells;
//! - the host that is asked for must be the one that this listens on, so no name of somebody else leads here;
//! - an order must come from this page by its `Origin`, which a browser does not let a page choose.

mod page;
mod request;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::board::{Board, NotTaken, Order};
use super::cluster::Harm;
use request::{Answer, Request};

/// How long a client may take to say what it wants, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Clients that are answered at once.
const CLIENTS: usize = 16;

/// The running endpoint. Ends when dropped.
pub(crate) struct Control {
    address: SocketAddr,
    token: String,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What each client's thread has.
struct Desk {
    /// The `Host` that leads here.
    host: String,
    token: String,
    board: Arc<Board>,
    /// Where the cluster is, for links.
    site: SocketAddr,
    busy: AtomicUsize,
}

impl Control {
    /// Opens it, with links to the cluster at `site`.
    pub(crate) fn start(board: Arc<Board>, site: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("no port of 127.0.0.1 is free for the control page")?;
        let address = listener.local_addr()?;
        let mut token = crate::key::random()?;
        token.truncate(32);
        let end = Arc::new(AtomicBool::new(false));
        let desk = Arc::new(Desk {
            host: address.to_string(),
            token: token.clone(),
            board,
            site,
            busy: AtomicUsize::new(0),
        });
        let over = end.clone();
        let work = move || serve(&listener, &desk, &over);
        let thread = std::thread::Builder::new().name("control".into()).spawn(work);
        Ok(Self {
            address,
            token,
            end,
            thread: Some(thread.context("no thread for the control page")?),
        })
    }

    /// Where the page is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/{}/", self.address, self.token)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
        // Whoever waits for a client gets one.
        let _ = TcpStream::connect_timeout(&self.address, PATIENCE);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, desk: &Arc<Desk>, end: &AtomicBool) {
    for stream in listener.incoming() {
        if end.load(Relaxed) {
            return;
        }
        let Ok(stream) = stream else {
            // Descriptors are scarce for the moment.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        if desk.busy.fetch_add(1, Relaxed) >= CLIENTS {
            desk.busy.fetch_sub(1, Relaxed);
            continue;
        }
        let theirs = desk.clone();
        let work = move || {
            // A client that went away wants nothing any more.
            let _ = theirs.serve(stream);
            theirs.busy.fetch_sub(1, Relaxed);
        };
        if std::thread::Builder::new().name("control".into()).spawn(work).is_err() {
            desk.busy.fetch_sub(1, Relaxed);
        }
    }
}

/// A client that has to be through by then, however it divides its words.
struct Within<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl Read for Within<'_> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut stream = self.stream;
        stream.read(to)
    }
}

impl Desk {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut within = Within { stream: &stream, until: Instant::now() + PATIENCE };
        let answer = match Request::read(&mut within.by_ref().take(request::MAX as u64)) {
            Some(request) => self.answer(&request),
            None => Answer::text(400, "this is no request that the control page understands\n"),
        };
        (&stream).write_all(&answer.bytes())?;
        stream.shutdown(Shutdown::Write)?;
        // What is left unread would reset the connection, and with it the answer.
        std::io::copy(&mut within.take(request::MAX as u64), &mut std::io::sink())?;
        Ok(())
    }

    fn answer(&self, request: &Request) -> Answer {
        if request.field("host") != Some(&self.host) {
            return Answer::text(
                421,
                "the control page is only at the address that the terminal tells\n",
            );
        }
        let below = request.path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let Some((_, name)) = below.filter(|(token, _)| same(token, &self.token)) else {
            return Answer::text(404, "the control page is where the terminal says\n");
        };
        match (request.method.as_str(), name) {
            ("GET", "") => Answer::html(page::whole(&self.board, self.site)),
            ("GET", "parts.json") => Answer::json(page::parts(&self.board)),
            ("GET", "control.css") => Answer::file("text/css; charset=utf-8", page::STYLE),
            ("GET", "control.js") => Answer::file("text/javascript; charset=utf-8", page::SCRIPT),
            ("POST", "do") => self.order(request),
            (_, "" | "parts.json" | "control.css" | "control.js" | "do") => {
                Answer::text(405, "this is not asked for in this way\n")
            }
            _ => Answer::text(404, "there is no such page\n"),
        }
    }

    fn order(&self, request: &Request) -> Answer {
        if request.field("origin") != Some(&format!("http://{}", self.host)) {
            return Answer::text(403, "orders are taken from the control page only\n");
        }
        let machines = self.board.machines().len();
        let order = order(&request.body).filter(|order| match order {
            Order::Harm(machine, _) | Order::BringBack(machine) => *machine < machines,
        });
        let Some(order) = order else {
            return Answer::text(400, "say machine=0&what=cut, freeze, kill or back\n");
        };
        match self.board.order(order) {
            Ok(()) => Answer::back(),
            Err(NotTaken::NotYet) => Answer::text(
                409,
                "the demonstration does it by itself first; wait until it is through\n",
            ),
            Err(NotTaken::TooMany) => Answer::text(503, "wait until the others are carried out\n"),
        }
    }
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

/// What the body of a form asks for.
fn order(body: &str) -> Option<Order> {
    let value = |name: &str| {
        body.split('&').filter_map(|pair| pair.split_once('=')).find(|(is, _)| *is == name)
    };
    let machine = value("machine")?.1.parse().ok()?;
    Some(match value("what")?.1 {
        "cut" => Order::Harm(machine, Harm::Cut),
        "freeze" => Order::Harm(machine, Harm::Freeze),
        "kill" => Order::Harm(machine, Harm::Kill),
        "back" => Order::BringBack(machine),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
