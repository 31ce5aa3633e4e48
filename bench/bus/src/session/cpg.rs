//! A session with Corosync: the five calls of libcpg that the load needs.
//!
//! Its groups are closed: whoever sends is a member and receives its own messages, so a flood dispatches on a second thread, as
//! Corosync's own benchmark does. One process has one session; what its callbacks are told stands in a queue of the
//! dispatching thread.

use core::ffi::{c_char, c_int, c_uint, c_void};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use anyhow::{Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::{Event, Load, Session, Window};
use crate::clock;

/// `CPG_TYPE_AGREED`. Safe delivery is "not implemented", says its header.
const AGREED: c_int = 2;
/// `CS_DISPATCH_ONE`: waits for one callback.
const DISPATCH_ONE: c_int = 1;
/// `CS_DISPATCH_ALL`: all that has come; does not wait.
const DISPATCH_ALL: c_int = 2;
/// `CS_OK`.
const OK: c_int = 1;
/// `CS_ERR_TRY_AGAIN`: what does not fit now.
const TRY_AGAIN: c_int = 6;
/// Bytes of a name (`CPG_MAX_NAME_LENGTH`).
const NAME_BYTES: usize = 128;

#[repr(C)]
struct Name {
    length: u32,
    value: [c_char; NAME_BYTES],
}

#[repr(C)]
struct Address {
    node: u32,
    pid: u32,
    reason: u32,
}

type Deliver = extern "C" fn(u64, *const Name, u32, u32, *mut c_void, usize);
type Change = extern "C" fn(
    u64,
    *const Name,
    *const Address,
    usize,
    *const Address,
    usize,
    *const Address,
    usize,
);

#[repr(C)]
struct Callbacks {
    deliver: Deliver,
    change: Change,
}

#[allow(unsafe_code)]
#[link(name = "cpg")]
unsafe extern "C" {
    fn cpg_initialize(handle: *mut u64, callbacks: *mut Callbacks) -> c_int;
    fn cpg_finalize(handle: u64) -> c_int;
    fn cpg_fd_get(handle: u64, fd: *mut c_int) -> c_int;
    fn cpg_join(handle: u64, group: *const Name) -> c_int;
    fn cpg_mcast_joined(
        handle: u64,
        guarantee: c_int,
        parts: *const IoSlice<'_>,
        n: c_uint,
    ) -> c_int;
    fn cpg_dispatch(handle: u64, how: c_int) -> c_int;
}

/// What the callbacks of this thread were told.
#[derive(Default)]
struct Told {
    queue: VecDeque<Event>,
    window: Option<Window>,
    count: u64,
}

thread_local! {
    static TOLD: RefCell<Told> = RefCell::default();
}

extern "C" fn deliver(_: u64, _: *const Name, _: u32, _: u32, body: *mut c_void, length: usize) {
    TOLD.with_borrow_mut(|told| match told.window {
        Some(window) => told.count += u64::from(window.contains(clock::now())),
        None => {
            // SAFETY: libcpg says that `length` bytes are there until the callback returns; one is read if there is one.
            #[allow(unsafe_code)]
            let first = if length > 0 { unsafe { *body.cast::<u8>() } } else { 0 };
            told.queue.push_back(Event::Message(first));
        }
    });
}

extern "C" fn change(
    _: u64,
    _: *const Name,
    _: *const Address,
    members: usize,
    _: *const Address,
    _: usize,
    _: *const Address,
    _: usize,
) {
    TOLD.with_borrow_mut(|told| told.queue.push_back(Event::View(members)));
}

/// One session.
pub(crate) struct Client {
    handle: u64,
}

impl Client {
    /// Connects and joins. The number is that of the members.
    pub(crate) fn join(group: &str) -> Result<(Self, usize)> {
        let mut name = Name { length: group.len() as u32, value: [0; NAME_BYTES] };
        for (place, byte) in name.value.iter_mut().zip(group.bytes()) {
            *place = byte as c_char;
        }
        let mut handle = 0;
        let mut callbacks = Callbacks { deliver, change };
        // SAFETY: both pointers are to live values, of the layout of the header, and are used during the call only.
        #[allow(unsafe_code)]
        check("cpg_initialize", unsafe { cpg_initialize(&raw mut handle, &raw mut callbacks) })?;
        let mut client = Self { handle };
        // SAFETY: the handle is open and the name lives through the call.
        #[allow(unsafe_code)]
        again("cpg_join", || unsafe { cpg_join(handle, &raw const name) })?;
        loop {
            if let Event::View(members) = client.next()? {
                return Ok((client, members));
            }
        }
    }

    fn dispatch(&self, how: c_int) -> Result<()> {
        dispatch(self.handle, how)
    }
}

fn dispatch(handle: u64, how: c_int) -> Result<()> {
    // SAFETY: the handle is open; the callbacks are ours and run on this thread within the call.
    #[allow(unsafe_code)]
    let code = unsafe { cpg_dispatch(handle, how) };
    if code == TRY_AGAIN {
        return Ok(());
    }
    check("cpg_dispatch", code)
}

/// Counts until the window is over.
fn count(handle: u64, window: Window) -> Result<u64> {
    TOLD.with_borrow_mut(|told| (told.window, told.count) = (Some(window), 0));
    let mut fd: c_int = -1;
    // SAFETY: the handle is open and the number lives through the call.
    #[allow(unsafe_code)]
    check("cpg_fd_get", unsafe { cpg_fd_get(handle, &raw mut fd) })?;
    // SAFETY: the descriptor belongs to the handle, which is open for as long as this function runs.
    #[allow(unsafe_code)]
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    while clock::now() < window.until {
        let glance = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&glance))?;
        dispatch(handle, DISPATCH_ALL)?;
    }
    Ok(TOLD.with_borrow_mut(|told| {
        told.window = None;
        told.count
    }))
}

/// Does it again while the bus is full, as Corosync's own benchmark does.
fn again(what: &str, mut call: impl FnMut() -> c_int) -> Result<()> {
    loop {
        match call() {
            TRY_AGAIN => std::thread::yield_now(),
            code => return check(what, code),
        }
    }
}

fn check(what: &str, code: c_int) -> Result<()> {
    if code != OK {
        bail!("{what}: error {code} of Corosync");
    }
    Ok(())
}

fn multicast(handle: u64, body: &[u8]) -> Result<()> {
    let parts = [IoSlice::new(body)];
    // SAFETY: the handle is open; one part is there, of the layout of an iovec, and is read during the call only.
    #[allow(unsafe_code)]
    again("cpg_mcast_joined", || unsafe { cpg_mcast_joined(handle, AGREED, parts.as_ptr(), 1) })
}

impl Session for Client {
    fn send(&mut self, safe: bool, body: &[u8]) -> Result<()> {
        if safe {
            bail!("Corosync has no safe delivery");
        }
        multicast(self.handle, body)
    }

    fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = TOLD.with_borrow_mut(|told| told.queue.pop_front()) {
                return Ok(event);
            }
            self.dispatch(DISPATCH_ONE)?;
        }
    }

    fn count(&mut self, window: Window) -> Result<u64> {
        count(self.handle, window)
    }

    fn flood(&mut self, load: Load, window: Option<Window>) -> Result<u64> {
        let handle = self.handle;
        // Whoever sends has to receive.
        let window = window.unwrap_or(Window { from: load.until, until: load.until });
        let counting = std::thread::spawn(move || count(handle, window));
        let body = vec![7; load.size];
        clock::sleep_until(load.begin);
        while clock::now() < load.until {
            multicast(handle, &body)?;
        }
        match counting.join() {
            Ok(count) => count,
            Err(_) => bail!("the receiving thread ended"),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: the handle is open and not used again.
        #[allow(unsafe_code)]
        let _ = unsafe { cpg_finalize(self.handle) };
    }
}
