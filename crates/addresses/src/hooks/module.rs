//! Modules of the historical `RunDynamic`: a function of a shared object, called as the original called it.
//!
//! ```c
//! int f(struct interface head, struct interface *set, struct interface owner);
//! ```
//!
//! `include/backhand_addresses.h` has the types. `head` is the first address of the set, `set` those behind it, ended by
//! one that is all zero (the original had room for 30 and zeroes behind them), `owner` the machine that has it, as far
//! as known. After a round (`post-up`, `post-down`) all three are zero. IPv4 only, as the structure has room for no more:
//! of a set with both, the IPv4 addresses are passed; for one without any, the function is not called. What it returns is
//! ignored, so functions of the old style that return nothing work too.
//!
//! **Each call is a process of its own**: our binary, started again ([`super::init`]). A
//! function that crashes or hangs harms nobody, has a time limit like any hook, and an `on-down` may be in another
//! process than the `on-up` before it: what a module keeps in variables is gone after each call. One process per module
//! that stays would keep them, but its crash would lose them at a time that nobody can foresee, which is worse than a
//! rule. A call costs a few milliseconds.

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_uchar, c_void};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::call::{Document, Located};
use super::{HookCall, is_post};

const FILE: &str = "BACKHAND_MODULE_FILE";
const SYMBOL: &str = "BACKHAND_MODULE_SYMBOL";

/// A document longer than this is none of ours.
const MAX_DOCUMENT: u64 = 16 * 1024 * 1024;

/// Whether a function can be called for this, else why not.
pub(super) fn may_run(call: &HookCall) -> Result<(), String> {
    if !is_post(call.event) && !call.addresses.iter().any(|at| at.address.is_ipv4()) {
        return Err(
            "the set has no IPv4 address, and modules know no other; use a command".to_owned()
        );
    }
    Ok(())
}

/// What tells a helper which function.
pub(super) fn marks(file: &Path, symbol: &str) -> [(String, String); 2] {
    [(FILE.to_owned(), file.to_string_lossy().into_owned()), (SYMBOL.to_owned(), symbol.to_owned())]
}

/// `struct interface` of the historical ABI. An address is an `in_addr`: 32 bits in network byte order. So the structure
/// ends with two bytes of nothing.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Interface {
    name: [c_char; 16],
    address: u32,
    broadcast: u32,
    netmask: u32,
    network: u32,
    mac: [c_uchar; 6],
}

const _: () = assert!(size_of::<Interface>() == 40 && align_of::<Interface>() == 4);

type Function = unsafe extern "C" fn(Interface, *mut Interface, Interface) -> c_int;

/// What a helper does: the one call.
pub(super) fn call() -> Result<(), String> {
    let given = |name: &str| std::env::var_os(name).ok_or_else(|| format!("{name} is not set"));
    let (file, symbol) = (given(FILE)?, given(SYMBOL)?);
    unmark();
    let mut text = Vec::new();
    let input = std::io::stdin().lock();
    input.take(MAX_DOCUMENT).read_to_end(&mut text).map_err(|e| format!("standard input: {e}"))?;
    let document: Document =
        serde_json::from_slice(&text).map_err(|e| format!("standard input: {e}"))?;
    let function = load(&file, &symbol)?;
    let (head, mut set, owner) = arguments(&document);
    call_function(function, head, &mut set, owner);
    Ok(())
}

/// What the function starts needs to know nothing of it.
#[allow(unsafe_code)]
fn unmark() {
    for name in [FILE, SYMBOL] {
        // SAFETY: the only thread of this process.
        unsafe { std::env::remove_var(name) };
    }
}

fn arguments(document: &Document) -> (Interface, Vec<Interface>, Interface) {
    let mut all = document.addresses.iter().filter_map(Interface::of);
    let head = all.next().unwrap_or_default();
    let mut set: Vec<_> = all.collect();
    // Functions that look at more than there is find zeroes, as in the original, which had 30.
    set.resize(set.len().max(30) + 1, Interface::default());
    let owner = document.owner.as_ref().and_then(|owner| match owner.address? {
        IpAddr::V4(address) => Some(Interface::new(&owner.machine, address, 32, None)),
        IpAddr::V6(_) => None,
    });
    (head, set, owner.unwrap_or_default())
}

impl Interface {
    fn of(at: &Located) -> Option<Self> {
        match at.address {
            IpAddr::V4(address) => {
                Some(Self::new(&at.interface, address, at.prefix, at.mac.as_deref()))
            }
            IpAddr::V6(_) => None,
        }
    }

    fn new(name: &str, address: Ipv4Addr, prefix: u8, mac: Option<&str>) -> Self {
        let bits = 32_u32.saturating_sub(u32::from(prefix));
        let mask = Ipv4Addr::from(u32::MAX.checked_shl(bits).unwrap_or(0));
        let mut interface = Self {
            address: in_addr(address),
            broadcast: in_addr(address | !mask),
            netmask: in_addr(mask),
            network: in_addr(address & mask),
            mac: mac.and_then(link_address).unwrap_or_default(),
            ..Self::default()
        };
        // The last byte stays zero, so that C finds an end.
        for (to, from) in interface.name.iter_mut().take(15).zip(name.bytes()) {
            *to = from as c_char;
        }
        interface
    }
}

fn in_addr(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

fn link_address(text: &str) -> Option<[u8; 6]> {
    let mut parts = text.split(':').map(|part| u8::from_str_radix(part, 16));
    let mut mac = [0; 6];
    for byte in &mut mac {
        *byte = parts.next()?.ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// Finds the function, in `file` or else in `file.so`.
#[allow(unsafe_code)]
fn load(file: &OsString, symbol: &OsString) -> Result<Function, String> {
    let mut longer = file.clone();
    longer.push(".so");
    let (handle, found) = match open(file) {
        Ok(handle) => (handle, file),
        Err(first) => match open(&longer) {
            Ok(handle) => (handle, &longer),
            Err(second) => return Err(format!("loading a module: {first}; {second}")),
        },
    };
    let name = c_string(symbol)?;
    // SAFETY: a handle that dlopen gave and that is never closed, and a name that ends with zero.
    let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
    if address.is_null() {
        return Err(format!(
            "{} has no function {}: {}",
            found.display(),
            symbol.display(),
            trouble()
        ));
    }
    // SAFETY: whoever configured the module says that this is a function of this type. A wrong one harms only this
    // process, which exists for nothing but this call.
    Ok(unsafe { std::mem::transmute::<*mut c_void, Function>(address) })
}

#[allow(unsafe_code)]
fn open(file: &OsString) -> Result<*mut c_void, String> {
    let name = c_string(file)?;
    // SAFETY: a name that ends with zero. The constructors of the object run; see `load`.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if handle.is_null() { Err(trouble()) } else { Ok(handle) }
}

/// What dlopen or dlsym did not like.
#[allow(unsafe_code)]
fn trouble() -> String {
    // SAFETY: called in the only thread of this process; the text stays until the next call of the family.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "no reason given".to_owned();
    }
    // SAFETY: not null, so a text that ends with zero.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn c_string(text: &OsString) -> Result<CString, String> {
    CString::new(text.as_bytes().to_vec())
        .map_err(|_| format!("{} has a zero byte", text.display()))
}

/// Calls it; what it returns may be a register's rubbish.
#[allow(unsafe_code)]
fn call_function(function: Function, head: Interface, set: &mut [Interface], owner: Interface) {
    // SAFETY: see `load`; the structures are those of the header, and `set` ends with one that is zero.
    let _ = unsafe { function(head, set.as_mut_ptr(), owner) };
}
