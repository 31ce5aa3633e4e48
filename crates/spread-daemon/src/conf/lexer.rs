//! The words of a `spread.conf`: what stands between white space, with its place.
//!
//! `#` begins a comment that lasts to the end of the line, except between quotes. `{ } = ; !` stand for
//! themselves, with or without white space around them. Text between `"` or `'` is one word, whatever
//! is in it, and ends on its own line; there are no escapes.

use base::{Cursor, Place};

use super::mistake::{MANY, Mistake, What};

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
    /// A bare word: a keyword, a name, an address, a number.
    Word,
    /// Text between quotes: never a keyword, never an address.
    Quoted,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `=`
    Equals,
    /// `;`
    Semicolon,
    /// `!`
    Not,
    /// Behind the last word. Always the last token, and the only one of its kind.
    End,
}

impl Token<'_> {
    /// Whether it can stand where text is wanted.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted)
    }

    /// Whether it is this bare word. Keywords are case-sensitive.
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word
    }
}

/// Divides `text`. Characters that cannot stand anywhere are mistakes and are left out.
pub(super) fn tokens(text: &str) -> (Vec<Token<'_>>, Vec<Mistake>) {
    let mut lexer = Lexer(Cursor::new(text));
    let (mut tokens, mut mistakes) = (Vec::new(), Vec::new());
    loop {
        match lexer.next() {
            Ok(token) => {
                let end = token.kind == Kind::End;
                tokens.push(token);
                if end {
                    return (tokens, mistakes);
                }
            }
            Err(mistake) if mistakes.len() < MANY => mistakes.push(mistake),
            Err(_) => {}
        }
    }
}

struct Lexer<'a>(Cursor<'a>);

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Token<'a>, Mistake> {
        self.0.skip_blank();
        let rest = self.0.rest();
        let Some(first) = rest.chars().next() else { return Ok(self.take(Kind::End, 0)) };
        let sign = match first {
            '{' => Kind::Open,
            '}' => Kind::Close,
            '=' => Kind::Equals,
            ';' => Kind::Semicolon,
            '!' => Kind::Not,
            '"' | '\'' => return self.quoted(first),
            _ if first.is_control() => {
                let token = self.take(Kind::Word, first.len_utf8());
                return Err(Mistake::new(&token, What::Control(first)));
            }
            _ => {
                let ends = |c: char| is_sign(c) || c.is_whitespace() || c.is_control();
                let length = rest.find(ends).unwrap_or(rest.len());
                return Ok(self.take(Kind::Word, length));
            }
        };
        Ok(self.take(sign, 1))
    }

    fn quoted(&mut self, quote: char) -> Result<Token<'a>, Mistake> {
        let inner = &self.0.rest()[1..];
        let line = inner.lines().next().unwrap_or_default();
        let Some(length) = line.find(quote) else {
            let token = self.take(Kind::Quoted, 1 + line.len());
            return Err(Mistake::new(&token, What::Unclosed(quote)));
        };
        let mut token = self.take(Kind::Quoted, length + 2);
        token.text = &inner[..length];
        Ok(token)
    }

    /// The token of the next `length` bytes, which are read with it.
    fn take(&mut self, kind: Kind, length: usize) -> Token<'a> {
        let (text, place) = self.0.take(length);
        Token { kind, text, place }
    }
}

/// Characters that end a bare word.
fn is_sign(c: char) -> bool {
    matches!(c, '{' | '}' | '=' | ';' | '!' | '"' | '\'' | '#')
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
    fn signs_need_no_space_around_them() {
        assert_eq!(
            texts("DebugFlags={PRINT !EXIT}; x"),
            ["DebugFlags", "=", "{", "PRINT", "!", "EXIT", "}", ";", "x", ""]
        );
    }

    #[test]
    fn a_comment_lasts_to_the_end_of_its_line_but_not_within_quotes() {
        assert_eq!(texts("a # b } \"\n c#d\n'#e' \"f#\""), ["a", "c", "#e", "f#", ""]);
        assert_eq!(texts("# only"), [""]);
    }

    #[test]
    fn each_quote_may_hold_the_other() {
        assert_eq!(texts("\"it's\" '\"' ''"), ["it's", "\"", "", ""]);
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let (tokens, _) = tokens("ä b\r\n\t\"c\"\n# x\n  d");
        let places: Vec<_> = tokens.iter().map(|t| (t.place.line, t.place.column)).collect();
        assert_eq!(places, [(1, 1), (1, 3), (2, 2), (4, 3), (4, 4)]);
    }

    #[test]
    fn an_open_quote_and_control_characters_are_told_and_left_out() {
        let (tokens, mistakes) = tokens("a 'b c\nd \0e");
        let texts: Vec<_> = tokens.iter().map(|token| token.text).collect();
        assert_eq!(texts, ["a", "d", "e", ""]);
        assert_eq!(mistakes.len(), 2);
        assert_eq!(mistakes[0].what, What::Unclosed('\''));
        assert_eq!(mistakes[1].what, What::Control('\0'));
        assert_eq!(mistakes[1].place, Place { line: 2, column: 3 });
    }
}
