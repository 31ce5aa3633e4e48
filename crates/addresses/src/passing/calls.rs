//! The system call bpf(2): maps, programs, and where they are put. All `unsafe` of passing on is here.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands.
const MAKE_MAP: libc::c_int = 0;
const READ_ENTRY: libc::c_int = 1;
const WRITE_ENTRY: libc::c_int = 2;
const DELETE_ENTRY: libc::c_int = 3;
const LOAD_PROGRAM: libc::c_int = 5;
const PUT_PROGRAM: libc::c_int = 28;

/// BPF_PROG_TYPE_SCHED_CLS: for packets between the interface and the network layer.
const CLASSIFIER: u32 = 3;
/// BPF_TCX_INGRESS: before everything else that looks at what arrives (Linux 6.6).
const AT_ARRIVAL: u32 = 46;

/// What a map is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// BPF_MAP_TYPE_HASH, whose entries take memory only while they are there.
    Table,
    /// BPF_MAP_TYPE_ARRAY.
    Array,
    /// BPF_MAP_TYPE_LRU_HASH, which forgets what was not used for longest.
    Forgetful,
}

/// The arguments of a command, of which the kernel takes as many as it knows and minds only those that are not 0.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Arguments([u8; 128]);

impl Arguments {
    fn new() -> Self {
        Self([0; 128])
    }

    fn word(mut self, at: usize, word: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        self
    }

    fn place<T>(mut self, at: usize, place: *const T) -> Self {
        self.0[at..at + 8].copy_from_slice(&(place as u64).to_ne_bytes());
        self
    }

    fn descriptor(self, at: usize, descriptor: BorrowedFd<'_>) -> Self {
        // A descriptor that is open is not negative.
        self.word(at, descriptor.as_raw_fd().cast_unsigned())
    }
}

/// # Safety
/// Every place in the arguments must be of as many bytes as the kernel reads or writes there, until it returns.
#[allow(unsafe_code)]
unsafe fn call(command: libc::c_int, arguments: &Arguments) -> io::Result<libc::c_int> {
    // SAFETY: the arguments live through the call, and their length is given; the rest is the caller's word.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(arguments),
            size_of::<Arguments>() as libc::c_uint,
        )
    };
    libc::c_int::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(io::Error::last_os_error)
}

/// The same for commands that answer with a descriptor, which is closed when another program is executed.
///
/// # Safety
/// As for [`call`].
#[allow(unsafe_code)]
unsafe fn open(command: libc::c_int, arguments: &Arguments) -> io::Result<OwnedFd> {
    // SAFETY: the caller's word.
    let descriptor = unsafe { call(command, arguments) }?;
    // SAFETY: the kernel has just made it for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A map with keys and values of so many bytes and room for so many entries.
pub(super) fn map(kind: Kind, key: usize, value: usize, most: u32) -> io::Result<OwnedFd> {
    let (number, flags) = match kind {
        Kind::Table => (1, 1),
        Kind::Array => (2, 0),
        Kind::Forgetful => (9, 0),
    };
    // Both are a few bytes.
    let (key, value) = (key as u32, value as u32);
    let arguments = Arguments::new().word(0, number).word(4, key).word(8, value);
    let arguments = arguments.word(12, most).word(16, flags);
    // SAFETY: there are no places in it.
    #[allow(unsafe_code)]
    unsafe {
        open(MAKE_MAP, &arguments)
    }
}

/// Writes an entry, whether there is one or not.
pub(super) fn write<const K: usize, const V: usize>(
    map: BorrowedFd<'_>,
    key: &[u8; K],
    value: &[u8; V],
) -> io::Result<()> {
    let arguments = Arguments::new().descriptor(0, map);
    let arguments = arguments.place(8, key.as_ptr()).place(16, value.as_ptr());
    // SAFETY: callers use the lengths that the map was made with; both live through the call and are only read.
    #[allow(unsafe_code)]
    unsafe {
        call(WRITE_ENTRY, &arguments).map(drop)
    }
}

/// Reads an entry.
pub(super) fn read<const K: usize, const V: usize>(
    map: BorrowedFd<'_>,
    key: &[u8; K],
) -> io::Result<[u8; V]> {
    let mut value = [0; V];
    let arguments = Arguments::new().descriptor(0, map);
    let arguments = arguments.place(8, key.as_ptr()).place(16, value.as_mut_ptr());
    // SAFETY: callers use the lengths that the map was made with; the value is ours alone and lives through the call.
    #[allow(unsafe_code)]
    unsafe {
        call(READ_ENTRY, &arguments)?;
    }
    Ok(value)
}

/// Deletes an entry.
pub(super) fn delete<const K: usize>(map: BorrowedFd<'_>, key: &[u8; K]) -> io::Result<()> {
    let arguments = Arguments::new().descriptor(0, map).place(8, key.as_ptr());
    // SAFETY: callers use the length that the map was made with; the key lives through the call and is only read.
    #[allow(unsafe_code)]
    unsafe {
        call(DELETE_ENTRY, &arguments).map(drop)
    }
}

/// Gives the kernel a program of whole instructions of 8 bytes. It checks that the program ends and touches nothing that is not its own.
pub(super) fn load(program: &[u8]) -> io::Result<OwnedFd> {
    // It calls no function that is only for programs under the GPL.
    let license = c"MIT OR Apache-2.0";
    let count = u32::try_from(program.len() / 8).map_err(io::Error::other)?;
    let mut arguments = Arguments::new()
        .word(0, CLASSIFIER)
        .word(4, count)
        .place(8, program.as_ptr())
        .place(16, license.as_ptr())
        .word(68, AT_ARRIVAL);
    arguments.0[48..48 + 12].copy_from_slice(b"backhand_vip");
    // SAFETY: so many instructions are in the program, and the license ends with a zero; both are only read.
    #[allow(unsafe_code)]
    unsafe {
        open(LOAD_PROGRAM, &arguments)
    }
}

/// Puts a program at an interface. It stays until the descriptor is closed, by whomever, or the interface has gone.
pub(super) fn put(program: BorrowedFd<'_>, interface: u32) -> io::Result<OwnedFd> {
    let arguments = Arguments::new().descriptor(0, program).word(4, interface).word(8, AT_ARRIVAL);
    // SAFETY: there are no places in it.
    #[allow(unsafe_code)]
    unsafe {
        open(PUT_PROGRAM, &arguments)
    }
}
