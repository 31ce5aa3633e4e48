//! A small daemon of the bus, for tests of its clients: one machine, one order, sessions in threads. It writes to a client while it reads from
//! nobody else, so a client that does not receive while it sends stands still here.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spread_client::{Endpoint, Event, GroupName, PrivateName};
use spread_wire::client_message::{ClientMessage, Decoder};
use spread_wire::{
    Cause, GroupId, Handshake, Membership, Names, Order, Policy, PrivateGroup, Refusal, Regular,
    Reject, Session, Step, encode_self_leave,
};
use tempfile::TempDir;

/// A group that rejects everything.
pub const FORBIDDEN: &str = "forbidden";

/// The daemon. Its sessions end with the program.
pub struct Server {
    /// Its Unix socket.
    pub unix: Endpoint,
    /// Its TCP port.
    pub tcp: Endpoint,
    world: Arc<World>,
    _folder: TempDir,
}

#[derive(Default)]
struct World {
    state: Mutex<State>,
    /// How many names to call taken before one is free.
    refuse: AtomicUsize,
    /// Whether to leave unread what clients send.
    stalled: AtomicBool,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<PrivateGroup, Writer>,
    groups: BTreeMap<GroupName, Vec<PrivateGroup>>,
    changes: i32,
}

struct Writer {
    stream: Stream,
    membership: bool,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn again(&self) -> Self {
        match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone().unwrap()),
            Self::Unix(stream) => Self::Unix(stream.try_clone().unwrap()),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> usize {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
        .unwrap_or(0)
    }

    fn write(&mut self, bytes: &[u8]) {
        // Who is gone is noticed by who reads.
        let _ = match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        };
    }

    fn shut(&self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

impl Server {
    /// Starts one, with a socket and a port of its own.
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("4803");
        let world = Arc::new(World::default());
        let unix = UnixListener::bind(&path).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let here = world.clone();
        thread::spawn(move || {
            for stream in unix.incoming() {
                serve(&here, Stream::Unix(stream.unwrap()));
            }
        });
        let here = world.clone();
        thread::spawn(move || {
            for stream in tcp.incoming() {
                serve(&here, Stream::Tcp(stream.unwrap()));
            }
        });
        let unix = Endpoint::parse("4803", folder.path()).unwrap();
        let tcp = format!("{port}@127.0.0.1").parse().unwrap();
        Self { unix, tcp, world, _folder: folder }
    }

    /// Ends all sessions, as a daemon that dies.
    pub fn end_sessions(&self) {
        for writer in self.world.state.lock().unwrap().sessions.values() {
            writer.stream.shut();
        }
    }

    /// Refuses the next `count` sessions because of their names.
    pub fn refuse_names(&self, count: usize) {
        self.world.refuse.store(count, Ordering::SeqCst);
    }

    /// Leaves unread what clients send, or not any more.
    pub fn stall(&self, stalled: bool) {
        self.world.stalled.store(stalled, Ordering::SeqCst);
    }

    /// Sends `bytes` to the session `name`, whatever they are.
    pub fn say(&self, name: &PrivateGroup, bytes: &[u8]) {
        self.world.state.lock().unwrap().sessions.get_mut(name).unwrap().stream.write(bytes);
    }
}

fn serve(world: &Arc<World>, stream: Stream) {
    let world = world.clone();
    thread::spawn(move || {
        let mut stream = stream;
        let mut buffer = BytesMut::new();
        let Some(session) = greet(&world, &mut stream, &mut buffer) else { return };
        let group = session.group;
        listen(&world, &mut stream, buffer, group);
        stream.shut();
        world.gone(&group);
    });
}

fn greet(world: &World, stream: &mut Stream, buffer: &mut BytesMut) -> Option<Session> {
    let mut handshake = Handshake::new(Policy::default());
    let mut scratch = [0; 512];
    loop {
        let mut rest = &buffer[..];
        let step = handshake.receive(&mut rest);
        let used = buffer.len() - rest.len();
        let _ = buffer.split_to(used);
        match step {
            Step::Wait => match stream.read(&mut scratch) {
                0 => return None,
                read => buffer.extend_from_slice(&scratch[..read]),
            },
            Step::Name(name) => {
                let name = name.unwrap_or(PrivateName::new(b"r1-1").unwrap());
                let group = PrivateGroup::new(&name, b"here").unwrap();
                let refuse =
                    world.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    });
                let taken = world.state.lock().unwrap().sessions.contains_key(&group);
                let free = refuse.is_err() && !taken;
                handshake.answer_name(if free { Ok(group) } else { Err(Refusal::NotUnique) });
            }
            Step::Address => handshake.answer_address(true),
            Step::Send(bytes) => stream.write(&bytes),
            Step::Accepted(bytes, session) => {
                let writer = Writer { stream: stream.again(), membership: session.membership };
                let mut state = world.state.lock().unwrap();
                stream.write(&bytes);
                state.sessions.insert(session.group, writer);
                return Some(session);
            }
            Step::Refused(bytes, _) => {
                stream.write(&bytes);
                stream.shut();
                return None;
            }
        }
    }
}

fn listen(world: &World, stream: &mut Stream, mut buffer: BytesMut, group: PrivateGroup) {
    let mut decoder = Decoder::new(group);
    let mut scratch = [0; 8_192];
    loop {
        match decoder.decode(&mut buffer) {
            Ok(Some(ClientMessage::Kill)) | Err(_) => return,
            Ok(Some(message)) => world.handle(&group, message),
            Ok(None) => {
                while world.stalled.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                }
                match stream.read(&mut scratch) {
                    0 => return,
                    read => buffer.extend_from_slice(&scratch[..read]),
                }
            }
        }
    }
}

impl World {
    fn handle(&self, session: &PrivateGroup, message: ClientMessage) {
        let mut state = self.state.lock().unwrap();
        let forbidden = GroupName::new(FORBIDDEN.as_bytes()).unwrap();
        match message {
            ClientMessage::Join(group) if group == forbidden => {
                let reject = Reject::of_join(session, group, Order::NATIVE);
                state.tell(session, &reject.encode(Order::NATIVE));
            }
            ClientMessage::Join(group) => {
                let members = state.groups.entry(group).or_default();
                if !members.contains(session) {
                    members.push(*session);
                    members.sort();
                    state.announce(group, Cause::Join, session);
                }
            }
            ClientMessage::Leave(group) => {
                let members = state.groups.entry(group).or_default();
                if members.contains(session) {
                    members.retain(|member| member != session);
                    state.notify(session, &encode_self_leave(group, Order::NATIVE));
                    state.announce(group, Cause::Leave, session);
                }
            }
            ClientMessage::Multicast(message) if message.groups.contains(&forbidden) => {
                let reject = Reject::of_message(session, &message);
                state.tell(session, &reject.encode(Order::NATIVE));
            }
            ClientMessage::Multicast(message) => state.deliver(session, &message),
            ClientMessage::Kill | ClientMessage::Ignored(_) => {}
        }
    }

    fn gone(&self, session: &PrivateGroup) {
        let mut state = self.state.lock().unwrap();
        state.sessions.remove(session);
        let groups: Vec<GroupName> = state.groups.keys().copied().collect();
        for group in groups {
            let members = state.groups.get_mut(&group).unwrap();
            if members.contains(session) {
                members.retain(|member| member != session);
                state.announce(group, Cause::Disconnect, session);
            }
        }
    }
}

impl State {
    fn tell(&mut self, session: &PrivateGroup, bytes: &[u8]) {
        if let Some(writer) = self.sessions.get_mut(session) {
            writer.stream.write(bytes);
        }
    }

    /// Tells a session of members, if it wants that.
    fn notify(&mut self, session: &PrivateGroup, bytes: &[u8]) {
        if self.sessions.get(session).is_some_and(|writer| writer.membership) {
            self.tell(session, bytes);
        }
    }

    fn announce(&mut self, group: GroupName, cause: Cause, changed: &PrivateGroup) {
        self.changes += 1;
        let id = GroupId { proc: 1, time: 2, index: self.changes };
        let members = self.groups.get(&group).cloned().unwrap_or_default();
        let names: Names = members.iter().map(|member| *member.group()).collect();
        let view = Membership::of_one(group, cause, id, names, *changed.group());
        let bytes: Bytes = view.encode(Order::NATIVE);
        members.iter().for_each(|member| self.notify(member, &bytes));
    }

    fn deliver(&mut self, sender: &PrivateGroup, message: &Regular) {
        let mut receivers = Vec::new();
        for group in message.groups.iter() {
            receivers.extend(self.groups.get(&group).into_iter().flatten().copied());
            receivers.extend(group.private());
        }
        receivers.sort();
        receivers.dedup();
        let bytes = message.encode(Order::NATIVE);
        for receiver in receivers {
            if !(message.discards_self() && receiver == *sender) {
                self.tell(&receiver, &bytes);
            }
        }
    }
}

/// A group by its name.
pub fn group(name: &str) -> GroupName {
    GroupName::new(name.as_bytes()).unwrap()
}

/// The names of the members, if the event is a view.
pub fn members(event: &Event) -> Option<(Cause, Vec<String>)> {
    let Event::Membership(view) = event else { return None };
    Some((view.cause, view.members.iter().map(|name| name.to_string()).collect()))
}

/// The body, if the event is a message.
pub fn body(event: &Event) -> Option<&[u8]> {
    let Event::Regular(message) = event else { return None };
    Some(&message.body)
}
