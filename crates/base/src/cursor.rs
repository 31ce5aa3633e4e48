//! Reading a text that people wrote, word by word, with the place of each word.

use crate::Place;

/// How far a text has been read.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    /// Bytes read so far.
    at: usize,
    /// Of the byte `counted`.
    place: Place,
    counted: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, place: Place { line: 1, column: 1 }, counted: 0 }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Passes over white space, and over comments from `#` to the end of their line.
    pub fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            let Some(comment) = self.rest().strip_prefix('#') else { return };
            self.at += 1 + comment.find('\n').unwrap_or(comment.len());
        }
    }

    /// Passes over all that is left.
    pub fn skip_rest(&mut self) {
        self.at = self.text.len();
    }

    /// Reads the next `length` bytes, which end where a character does; they and their place.
    pub fn take(&mut self, length: usize) -> (&'a str, Place) {
        let taken = &self.rest()[..length];
        // Counted on from the last word: a whole file may be one line.
        for c in self.text[self.counted..self.at].chars() {
            if c == '\n' {
                self.place = Place { line: self.place.line + 1, column: 1 };
            } else {
                self.place.column += 1;
            }
        }
        self.counted = self.at;
        self.at += length;
        (taken, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_on_counting_over_lines_comments_and_what_was_taken() {
        let text = "ä 'b\nc' d\r\n\t# x\n  e# y";
        let mut cursor = Cursor::new(text);
        for (length, word) in [(2, "ä"), (5, "'b\nc'"), (1, "d"), (1, "e"), (0, "")] {
            cursor.skip_blank();
            let at = text.len() - cursor.rest().len();
            assert_eq!(cursor.take(length), (word, Place::of(text, at)));
        }
        let mut cursor = Cursor::new(text);
        cursor.skip_rest();
        assert_eq!((cursor.rest(), cursor.take(0).1), ("", Place::of(text, text.len())));
    }
}
