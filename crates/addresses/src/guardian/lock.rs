//! The file that a guardian has locked (`flock`) for as long as it has something to do: a run of the program that begins waits for it.
//!
//! A run that does not wait any longer says so in the file, and the guardian looks there before it does anything: what it knows of may
//! be the newer run's by then. It comes to that when somebody has stopped the guardian and lets it go on later. To remove
//! the file would say the same, but others remove files too, and a guardian that does nothing is no guardian.
//!
//! The file is empty but for that, and its disk may hang: so its length, which is in memory, is asked for before anything else.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What is in the file once a newer run does not wait any longer.
const LEFT: &[u8] = b"left to the next run\n";

/// Takes back what was said in the file to whoever had it locked before: for the one that has locked it now.
///
/// # Errors
/// What the system says.
pub fn begin_anew(lock: &File) -> io::Result<()> {
    if lock.metadata()?.len() == 0 { Ok(()) } else { lock.set_len(0) }
}

/// Says to the guardian that has the file locked that a newer run does not wait for it any longer: it takes nothing off any more and
/// begins no program. What it runs already comes to its end.
///
/// # Errors
/// What the system says.
pub fn leave_to_next(lock: &File) -> io::Result<()> {
    lock.write_all_at(LEFT, 0)
}

/// Whether a newer run has said so. What cannot be read is not said.
pub(super) fn is_left_to_next(lock: &File) -> bool {
    let says_something = lock.metadata().is_ok_and(|file| file.len() > 0);
    let mut said = [0; LEFT.len()];
    says_something && lock.read_exact_at(&mut said, 0).is_ok() && said[..] == *LEFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_in_the_file_is_read_by_whoever_has_it_and_taken_back_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let open = || {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false).open(&path).unwrap()
        };
        let theirs = open();
        assert!(!is_left_to_next(&theirs), "nothing is said");
        open().write_all_at(b"left to nobody, and something else\n", 0).unwrap();
        assert!(!is_left_to_next(&theirs), "something else is said");
        leave_to_next(&open()).unwrap();
        assert!(is_left_to_next(&theirs));
        begin_anew(&open()).unwrap();
        assert!(!is_left_to_next(&theirs));
    }
}
