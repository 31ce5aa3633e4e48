//! What a program says, in lines, bounded.

use std::collections::VecDeque;

/// Bytes of a line; a longer one is cut there and goes on as the next.
const MAX_LINE: usize = 1000;
/// Lines of one run that go to the log; those after it are only counted.
const MAX_LINES: u64 = 200;
/// Lines that are kept for whoever asks how it ended.
const KEPT: usize = 20;

/// Takes bytes, gives lines.
#[derive(Default)]
pub(crate) struct Output {
    begun: Vec<u8>,
    lines: u64,
    kept: VecDeque<String>,
}

impl Output {
    /// Takes what was read; whole lines go to `log`.
    pub(crate) fn take(&mut self, bytes: &[u8], log: &mut impl FnMut(&str)) {
        for &byte in bytes {
            if byte == b'\n' || self.begun.len() >= MAX_LINE {
                self.line(log);
            }
            if byte != b'\n' {
                self.begun.push(byte);
            }
        }
    }

    /// The last line may lack its end. Gives the last lines of all.
    pub(crate) fn end(mut self, log: &mut impl FnMut(&str)) -> Vec<String> {
        if !self.begun.is_empty() {
            self.line(log);
        }
        if self.lines > MAX_LINES {
            log(&format!("and {} more lines, not logged", self.lines - MAX_LINES));
        }
        self.kept.into()
    }

    fn line(&mut self, log: &mut impl FnMut(&str)) {
        let text: String = String::from_utf8_lossy(&self.begun)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.begun.clear();
        self.lines += 1;
        if self.lines <= MAX_LINES {
            log(&text);
        }
        if self.kept.len() >= KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> (Vec<String>, Vec<String>) {
        let mut logged = Vec::new();
        let mut log = |line: &str| logged.push(line.to_owned());
        let mut output = Output::default();
        for piece in pieces {
            output.take(piece, &mut log);
        }
        let kept = output.end(&mut log);
        (logged, kept)
    }

    #[test]
    fn lines_come_whole_in_whatever_pieces_they_are_read() {
        let (logged, kept) = read(&[b"one\ntw", b"o\n\nlast"]);
        assert_eq!(logged, ["one", "two", "", "last"]);
        assert_eq!(kept, logged);
    }

    #[test]
    fn a_line_without_end_is_cut_and_odd_bytes_do_no_harm() {
        let (logged, _) = read(&[&[b'x'; 2500], b"\n\xff\x1b[0m\r\n"]);
        assert_eq!(logged.iter().map(String::len).collect::<Vec<_>>()[..3], [1000, 1000, 500]);
        assert_eq!(logged[3], "\u{fffd} [0m ");
    }

    #[test]
    fn a_flood_of_lines_is_counted_and_its_last_ones_are_kept() {
        let flood: Vec<u8> = (0..5000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        let (logged, kept) = read(&[&flood]);
        assert_eq!(logged.len(), 201);
        assert_eq!(logged[200], "and 4800 more lines, not logged");
        assert_eq!(kept.len(), 20);
        assert_eq!(kept[19], "4999");
    }
}
