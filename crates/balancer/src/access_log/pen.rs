//! Writing batches of lines to something that may refuse, without ever tearing a line for good.
//!
//! A full disk takes half of a batch and no more. What it did not take is kept and offered again, from the
//! very byte; if meanwhile the file became another, or shorter than it was, the line begins anew.
//!
//! Invariant: in every file, each line is complete or the last one.

use std::io;

/// Where lines go.
pub(super) trait Sink {
    /// Writes some of the bytes at the end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// How long it is now; `None` if that means nothing (a pipe, a terminal).
    fn len(&self) -> Option<u64>;
}

/// A batch being written.
#[derive(Debug, Default)]
pub(super) struct Pen {
    batch: Vec<u8>,
    written: usize,
    /// Length of the file after the last byte of ours, while a line is torn.
    torn_at: Option<u64>,
}

impl Pen {
    /// Whether everything is written.
    pub(super) fn is_idle(&self) -> bool {
        self.written == self.batch.len()
    }

    /// Takes the next batch of whole lines. The one before has to be written, or is given up.
    pub(super) fn load(&mut self, batch: Vec<u8>) {
        *self = Self { batch, ..Self::default() };
    }

    /// Writes until all is written or the sink refuses; then this is to be called again later.
    pub(super) fn write(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        if let Some(torn_at) = self.torn_at
            && sink.len().is_some_and(|len| len < torn_at)
        {
            self.begin_line();
        }
        while !self.is_idle() {
            match sink.write(&self.batch[self.written..]) {
                Ok(0) => return self.torn(sink, io::ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n.min(self.batch.len() - self.written),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return self.torn(sink, e),
            }
        }
        self.torn_at = None;
        Ok(())
    }

    /// The sink is another from now on: what stands half in the old one is written whole to the new one.
    pub(super) fn moved(&mut self) {
        self.begin_line();
    }

    /// Records of the batch that are not yet written in full.
    pub(super) fn lines_left(&self) -> u64 {
        memchr::memchr_iter(b'\n', &self.batch[self.written..]).count() as u64
    }

    fn torn(&mut self, sink: &impl Sink, e: io::Error) -> io::Result<()> {
        self.torn_at = sink.len();
        Err(e)
    }

    fn begin_line(&mut self) {
        let before = &self.batch[..self.written];
        self.written = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
        self.torn_at = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A disk with room for so many bytes, which takes at most some bytes at a time.
    struct Disk {
        file: Vec<u8>,
        room: usize,
        bite: usize,
    }

    impl Sink for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room).min(self.bite);
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.file.extend_from_slice(&bytes[..n]);
            self.room -= n;
            Ok(n)
        }
        fn len(&self) -> Option<u64> {
            Some(self.file.len() as u64)
        }
    }

    fn disk(room: usize) -> Disk {
        Disk { file: Vec::new(), room, bite: 4 }
    }

    fn loaded() -> Pen {
        let mut pen = Pen::default();
        pen.load(b"first\nsecond\nthird\n".to_vec());
        pen
    }

    #[test]
    fn what_a_full_disk_did_not_take_follows_when_there_is_room() {
        let (mut pen, mut disk) = (loaded(), disk(9));
        assert_eq!(pen.write(&mut disk).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(
            (&disk.file[..], pen.is_idle(), pen.lines_left()),
            (&b"first\nsec"[..], false, 2)
        );
        disk.room = 100;
        pen.write(&mut disk).unwrap();
        assert_eq!(disk.file, b"first\nsecond\nthird\n");
        assert!(pen.is_idle());
    }

    #[test]
    fn a_new_file_begins_with_a_whole_line() {
        let (mut pen, mut old) = (loaded(), disk(9));
        pen.write(&mut old).unwrap_err();
        pen.moved();
        let mut new = disk(100);
        pen.write(&mut new).unwrap();
        assert_eq!(new.file, b"second\nthird\n");
    }

    #[test]
    fn a_file_that_was_emptied_begins_with_a_whole_line() {
        let (mut pen, mut disk) = (loaded(), disk(9));
        pen.write(&mut disk).unwrap_err();
        disk.file.clear();
        disk.room = 100;
        pen.write(&mut disk).unwrap();
        assert_eq!(disk.file, b"second\nthird\n");
    }

    proptest! {
        #[test]
        fn no_line_is_lost_or_torn_however_the_disk_behaves(
            lines in proptest::collection::vec("[a-z]{0,9}", 1..9),
            rooms in proptest::collection::vec(0..12usize, 0..20),
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let (mut pen, mut disk) = (Pen::default(), disk(0));
            pen.load(text.clone().into_bytes());
            for room in rooms.into_iter().chain([1000]) {
                disk.room = room;
                let _ = pen.write(&mut disk);
            }
            prop_assert_eq!(String::from_utf8(disk.file).unwrap(), text);
        }
    }
}
