//! The words of a `wackamole.conf`, with their places.
//!
//! `#` begins a comment that lasts to the end of the line, except between quotes. `{` and `}` stand for themselves. Text
//! between `"` or `'` is one word whatever is in it, over several lines too; there are no escapes. `=` needs no blanks around
//! it: it stands for itself at the beginning of a word and behind the name of a directive, and is part of any other word.

use base::{Cursor, Place};

use super::mistake::Mistake;
use super::words::{self, Directive};

/// One word or sign of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// The text: of a quoted word what is between the quotes.
    pub(super) text: &'a str,
    pub(super) place: Place,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare word: a keyword, a name, an address, a number, a time.
    Word,
    /// Text between quotes: never a keyword.
    Quoted,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `=`
    Equals,
    /// Behind the last word. Always the last token, and the only one of its kind.
    End,
}

impl Token<'_> {
    /// Whether it can stand where text is wanted.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted)
    }

    /// Whether it is this bare word, in any case.
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// The directive that it names.
    pub(super) fn directive(&self) -> Option<Directive> {
        if self.kind == Kind::Word { words::directive(self.text) } else { None }
    }
}

/// Divides `text`. Characters that cannot stand anywhere are mistakes and are left out.
pub(super) fn tokens(text: &str) -> (Vec<Token<'_>>, Vec<Mistake>) {
    let mut lexer = Lexer { cursor: Cursor::new(text), behind_equals: false };
    let (mut tokens, mut mistakes) = (Vec::new(), Vec::new());
    loop {
        match lexer.next() {
            Ok(token) => {
                lexer.behind_equals = token.kind == Kind::Equals;
                tokens.push(token);
                if token.kind == Kind::End {
                    return (tokens, mistakes);
                }
            }
            Err(mistake) if mistakes.len() < words::MANY => mistakes.push(mistake),
            Err(_) => {}
        }
    }
}

struct Lexer<'a> {
    cursor: Cursor<'a>,
    behind_equals: bool,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Token<'a>, Mistake> {
        self.cursor.skip_blank();
        let rest = self.cursor.rest();
        let Some(first) = rest.chars().next() else { return Ok(self.take(Kind::End, 0)) };
        match first {
            '{' => Ok(self.take(Kind::Open, 1)),
            '}' => Ok(self.take(Kind::Close, 1)),
            '=' => Ok(self.take(Kind::Equals, 1)),
            '"' | '\'' => self.quoted(first),
            _ if first.is_control() => {
                let token = self.take(Kind::Word, first.len_utf8());
                let message = "a control character cannot stand here";
                Err(Mistake::new(&token, message, "take it out"))
            }
            _ => {
                let ends =
                    |c: char| matches!(c, '{' | '}' | '#') || c.is_whitespace() || c.is_control();
                let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
                let length = match word.split_once('=') {
                    Some((name, _)) if !self.behind_equals && words::names(name) => name.len(),
                    _ => word.len(),
                };
                Ok(self.take(Kind::Word, length))
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token<'a>, Mistake> {
        let inner = &self.cursor.rest()[1..];
        let Some(length) = inner.find(quote) else {
            let line = inner.lines().next().unwrap_or_default();
            let token = self.take(Kind::Quoted, 1 + line.len());
            // What is behind it belongs to the quote or not; nobody knows.
            self.cursor.skip_rest();
            let message = "the quote that begins here is not closed";
            return Err(Mistake::new(&token, message, format!("write {quote} behind the text")));
        };
        let mut token = self.take(Kind::Quoted, length + 2);
        token.text = &inner[..length];
        Ok(token)
    }

    /// The token of the next `length` bytes, which are read with it.
    fn take(&mut self, kind: Kind, length: usize) -> Token<'a> {
        let (text, place) = self.cursor.take(length);
        Token { kind, text, place }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        let (tokens, mistakes) = tokens(text);
        assert_eq!(mistakes, []);
        tokens.iter().map(|token| token.text).collect()
    }

    #[test]
    fn an_equals_sign_needs_no_blanks_and_may_be_part_of_a_text() {
        assert_eq!(texts("Group=wack1"), ["Group", "=", "wack1", ""]);
        assert_eq!(
            texts("group =wack1 mature= 5s"),
            ["group", "=", "wack1", "mature", "=", "5s", ""]
        );
        assert_eq!(texts("Control = /tmp/a=b"), ["Control", "=", "/tmp/a=b", ""]);
        assert_eq!(texts("Control=/tmp/a=b"), ["Control", "=", "/tmp/a=b", ""]);
        assert_eq!(texts("Group=group=b"), ["Group", "=", "group=b", ""]);
    }

    #[test]
    fn comments_end_with_their_line_but_do_not_begin_within_quotes() {
        assert_eq!(texts("a # b } \"\n c#d\n'#e' \"f#\""), ["a", "c", "#e", "f#", ""]);
        assert_eq!(texts("{a}b{"), ["{", "a", "}", "b", "{", ""]);
    }

    #[test]
    fn a_quoted_text_may_span_lines_and_places_go_on_counting() {
        let (tokens, _) = tokens("ä 'b\nc' d\r\n\t# x\n  e");
        let places: Vec<_> = tokens.iter().map(|t| (t.place.line, t.place.column)).collect();
        assert_eq!(places, [(1, 1), (1, 3), (2, 4), (4, 3), (4, 4)]);
        assert_eq!(tokens[1].text, "b\nc");
    }

    #[test]
    fn an_open_quote_and_control_characters_are_told() {
        let (_, mistakes) = tokens("a \0 'b c\nd");
        let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "line 1, column 3: \"\\0\": a control character cannot stand here; take it out",
                "line 1, column 5: \"'b c\": the quote that begins here is not closed; write ' behind the text",
            ]
        );
    }
}
