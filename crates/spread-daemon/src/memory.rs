//! Memory that the token needs stays in memory: what waits for the disk holds up everybody in the ring.
//!
//! Locked are the stack of the thread, where datagrams are received into and sealed in, and the program's code. Not all of the
//! process: that would take along what waits for clients, and with a limit (RLIMIT_MEMLOCK) allocations that come later would
//! fail (MCL_FUTURE). The packets of the ring, at most 512 of them, are on the heap among everything else and are not locked; they
//! are used many times a second, which keeps them as surely as anything can be kept.
//!
//! Without permission or room for all of it, the rest is done and what is missing is said.

use std::fs;
use std::hint::black_box;
use std::ops::Range;

/// Bytes of the stack that are locked, from where the thread is when it begins its work; it never needs more.
const STACK: usize = 128 << 10;

/// Locks the stack of the calling thread, the buffers at these addresses and the code; what came of it, in words.
pub(crate) fn lock(buffers: &[Range<usize>]) -> String {
    let mut parts: Vec<(&str, Range<usize>)> = vec![("its stack", stack())];
    parts.extend(buffers.iter().map(|buffer| ("its buffers", buffer.clone())));
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    parts.extend(
        code(&maps, lock as fn(&[Range<usize>]) -> String as usize)
            .map(|range| ("its code", range)),
    );
    let mut locked = 0;
    let mut missing: Option<(Vec<&str>, std::io::Error)> = None;
    for (what, range) in parts {
        match hold(&range) {
            Ok(()) => locked += range.len(),
            Err(error) => {
                let (list, _) = missing.get_or_insert((Vec::new(), error));
                if list.last() != Some(&what) {
                    list.push(what);
                }
            }
        }
    }
    let kilobytes = locked >> 10;
    match missing {
        None => format!("{kilobytes} KB of its memory are locked"),
        Some((list, error)) => format!(
            "{kilobytes} KB of its memory are locked, {} cannot be ({error}); raise the limit of locked memory (LimitMEMLOCK=, ulimit -l) or give it CAP_IPC_LOCK",
            list.join(" and ")
        ),
    }
}

/// What the calling thread will use of its stack.
fn stack() -> Range<usize> {
    // A stack grows as it is used. Touching twice as much leaves unlocked pages below the locked ones: a locked end of a stack could
    // not grow any more once the limit is reached, which would end the process.
    deep();
    let here = 0_u8;
    let top = &raw const here as usize;
    top.saturating_sub(STACK)..top
}

#[inline(never)]
fn deep() {
    let mut below = [0_u8; 2 * STACK];
    black_box(&mut below);
}

/// The mapping in which the function at this address lies.
fn code(maps: &str, function: usize) -> Option<Range<usize>> {
    maps.lines().find_map(|line| {
        let (range, _) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let parse = |text| usize::from_str_radix(text, 16).ok();
        let range = parse(start)?..parse(end)?;
        range.contains(&function).then_some(range)
    })
}

/// Keeps pages in memory once they have been used. Pages nobody uses are not fetched for that.
fn hold(range: &Range<usize>) -> std::io::Result<()> {
    // SAFETY: no memory is read or written by this call and none is unmapped; the kernel checks that the range is mapped.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::mlock2(
            range.start as *const libc::c_void,
            range.len(),
            libc::MLOCK_ONFAULT as libc::c_uint,
        )
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_by_the_address_of_a_function() {
        let maps = "5500-5600 r--p 00000000 08:01 1 /bin/a\n5600-7a00 r-xp 00000100 08:01 1 /bin/a\n\nnoise\n";
        assert_eq!(code(maps, 0x5700), Some(0x5600..0x7a00));
        assert_eq!(code(maps, 0x8000), None);
        assert_eq!(code("", 0), None);
    }

    #[test]
    fn what_is_locked_is_what_the_kernel_counts_and_the_rest_is_named() {
        let buffer = vec![7_u8; 1 << 20];
        let start = buffer.as_ptr() as usize;
        let part = start..start + buffer.len();
        let said = lock(std::slice::from_ref(&part));
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let counted = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
        let counted: usize = counted.trim().trim_end_matches(" kB").parse().unwrap();
        let told: usize = said.split(' ').next().unwrap().parse().unwrap();
        // Pages are whole, and a range may begin and end within one.
        assert!(
            counted >= told && counted <= told + 64,
            "{counted} KB are locked, said was {said}"
        );
        assert!(told >= 1 << 10 || said.contains("cannot be"), "{said}");
    }
}
