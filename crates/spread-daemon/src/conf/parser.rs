//! The grammar of a `spread.conf`: words become segments, daemons and options, whose values nobody has judged yet.
//!
//! ```text
//! config  := { segment | option }
//! segment := "Spread_Segment" address { address } "{" { daemon } "}"
//! daemon  := ( name address | name | address ) [ "VirtualID" "=" number ] [ "{" { interface } "}" ] [ ";" ]
//! interface := { "M" | "C" | "D" } address
//! option  := Name "=" value | "EventTimeStamp" [ "=" text ] | "EventPreciseTimeStamp"
//!          | "DebugFlags" "=" "{" { ["!"] FLAG } "}"
//! ```
//!
//! After a mistake reading goes on where something new can begin: the next line of a segment, the next segment
//! or option of the file.

use std::mem;

use super::address::is_meant_as_address;
use super::lexer::{Kind, Token};
use super::mistake::{MANY, Mistake, What};
use super::settings::{self, Form};

/// The word that begins a segment.
const SEGMENT: &str = "Spread_Segment";
/// The word before a daemon's own id.
const VIRTUAL_ID: &str = "VirtualID";

/// The file, divided.
#[derive(Debug, Default)]
pub(super) struct Tree<'a> {
    pub(super) segments: Vec<Segment<'a>>,
    pub(super) options: Vec<Setting<'a>>,
    pub(super) mistakes: Vec<Mistake>,
}

#[derive(Debug)]
pub(super) struct Segment<'a> {
    /// `Spread_Segment`.
    pub(super) head: Token<'a>,
    /// The first may have a port.
    pub(super) addresses: Vec<Token<'a>>,
    pub(super) daemons: Vec<Daemon<'a>>,
}

#[derive(Debug)]
pub(super) struct Daemon<'a> {
    /// Its name; if there is none, its address is.
    pub(super) name: Token<'a>,
    pub(super) address: Option<Token<'a>>,
    pub(super) id: Option<Token<'a>>,
    /// What stands between braces, if they are there.
    pub(super) interfaces: Option<Vec<Interface<'a>>>,
}

#[derive(Debug)]
pub(super) struct Interface<'a> {
    pub(super) address: Token<'a>,
    pub(super) monitor: bool,
    pub(super) clients: bool,
    pub(super) data: bool,
}

/// An option as it is written.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) name: Token<'a>,
    /// What stands behind `=`, if that is there.
    pub(super) value: Option<Token<'a>>,
    /// The flags between braces, and whether `!` stands before each.
    pub(super) flags: Vec<(bool, Token<'a>)>,
}

/// Divides the words of a file, of which the last is [`Kind::End`].
pub(super) fn parse(tokens: Vec<Token<'_>>) -> Tree<'_> {
    let mut parser = Parser { tokens, at: 0, tree: Tree::default() };
    while parser.peek().kind != Kind::End {
        if let Err(mistake) = parser.item() {
            parser.note(mistake);
            parser.skip_to_item();
        }
    }
    parser.tree
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    tree: Tree<'a>,
}

type Parsed<T> = Result<T, Mistake>;

impl<'a> Parser<'a> {
    /// The next token; at the end of the file again and again its end.
    fn peek(&self) -> &Token<'a> {
        &self.tokens[self.at]
    }

    fn behind(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at + 1)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.tokens[self.at];
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn next_if(&mut self, kind: Kind) -> bool {
        let found = self.peek().kind == kind;
        if found {
            self.next();
        }
        found
    }

    /// Notes a mistake; after too many of them nothing more is read.
    fn note(&mut self, mistake: Mistake) {
        self.tree.mistakes.push(mistake);
        if self.tree.mistakes.len() >= MANY {
            self.at = self.tokens.len() - 1;
        }
    }

    fn sign(&mut self, kind: Kind, wanted: &'static str) -> Parsed<()> {
        if self.next_if(kind) { Ok(()) } else { Err(self.expected(wanted)) }
    }

    fn text(&mut self, wanted: &'static str) -> Parsed<Token<'a>> {
        if self.peek().is_text() { Ok(self.next()) } else { Err(self.expected(wanted)) }
    }

    fn expected(&self, wanted: &'static str) -> Mistake {
        Mistake::new(self.peek(), What::Expected(wanted))
    }

    /// Whether a segment or an option begins here.
    fn begins_item(&self) -> bool {
        let token = self.peek();
        if token.is(SEGMENT) {
            return true;
        }
        token.kind == Kind::Word
            && settings::form(token.text).is_some_and(|form| {
                form == Form::Flag
                    || form == Form::Maybe
                    || self.behind().is_some_and(|next| next.kind == Kind::Equals)
            })
    }

    /// Leaves out at least one token.
    fn skip_to_item(&mut self) {
        self.next();
        while self.peek().kind != Kind::End && !self.begins_item() {
            self.next();
        }
    }

    fn item(&mut self) -> Parsed<()> {
        if self.peek().is(SEGMENT) {
            return self.segment();
        }
        let name = *self.peek();
        let form = Some(name.kind).filter(|kind| *kind == Kind::Word);
        let Some(form) = form.and_then(|_| settings::form(name.text)) else {
            return Err(Mistake::new(&name, unknown(&name)));
        };
        self.next();
        let mut setting = Setting { name, value: None, flags: Vec::new() };
        match form {
            Form::Flag => {}
            Form::Maybe if self.peek().kind != Kind::Equals => {}
            Form::Maybe | Form::Value => {
                self.sign(Kind::Equals, "= and a value")?;
                setting.value = Some(self.text("a value")?);
            }
            Form::Set => {
                self.sign(Kind::Equals, "= and flags between braces")?;
                self.sign(Kind::Open, "{ and flags, such as { PRINT EXIT }")?;
                while !self.next_if(Kind::Close) {
                    let negated = self.next_if(Kind::Not);
                    setting.flags.push((negated, self.text("a flag or }")?));
                }
            }
        }
        self.tree.options.push(setting);
        Ok(())
    }

    fn segment(&mut self) -> Parsed<()> {
        let head = self.next();
        let line = head.place.line;
        let mut addresses = vec![self.text("the segment's address")?];
        while self.peek().is_text() {
            addresses.push(self.next());
        }
        let opened = self.sign(Kind::Open, "{ and the segment's daemons");
        let mut daemons = Vec::new();
        if opened.is_ok() {
            while !self.next_if(Kind::Close) {
                if self.peek().kind == Kind::End || self.begins_item() {
                    let mistake = Mistake::new(self.peek(), What::Open(line));
                    self.note(mistake);
                    break;
                }
                match self.daemon() {
                    Ok(daemon) => daemons.push(daemon),
                    Err(mistake) => self.skip_line_of(mistake),
                }
            }
        }
        self.tree.segments.push(Segment { head, addresses, daemons });
        opened
    }

    /// Notes a mistake in a segment and goes on at its next line or its end.
    fn skip_line_of(&mut self, mistake: Mistake) {
        let line = mistake.place.line;
        self.note(mistake);
        while self.peek().place.line == line && !matches!(self.peek().kind, Kind::Close | Kind::End)
        {
            self.next();
        }
    }

    fn daemon(&mut self) -> Parsed<Daemon<'a>> {
        let name = self.text("a daemon's name or address, or }")?;
        if name.is(VIRTUAL_ID) {
            return Err(Mistake::new(&name, What::Expected("a daemon's name or address")));
        }
        let named = name.kind == Kind::Quoted || !is_meant_as_address(name.text);
        let mut daemon = Daemon { name, address: None, id: None, interfaces: None };
        if !named {
            daemon.address = Some(daemon.name);
        } else if self.peek().kind == Kind::Word && is_meant_as_address(self.peek().text) {
            daemon.address = Some(self.next());
        }
        if self.peek().is(VIRTUAL_ID) {
            self.next();
            self.sign(Kind::Equals, "= and a number")?;
            daemon.id = Some(self.text("a number")?);
        }
        if self.next_if(Kind::Open) {
            daemon.interfaces = Some(self.interfaces());
        }
        self.next_if(Kind::Semicolon);
        Ok(daemon)
    }

    /// What stands between the braces of a daemon. Mistakes there are noted and passed over, so that the braces of
    /// the segment stay in step.
    fn interfaces(&mut self) -> Vec<Interface<'a>> {
        let mut interfaces = Vec::new();
        let (mut monitor, mut clients, mut data) = (false, false, false);
        while self.peek().kind != Kind::End && !self.begins_item() {
            let token = self.next();
            match token.text {
                "M" if token.kind == Kind::Word => monitor = true,
                "C" if token.kind == Kind::Word => clients = true,
                "D" if token.kind == Kind::Word => data = true,
                address if token.kind == Kind::Word && is_meant_as_address(address) => {
                    // No letter means all.
                    let all = !(monitor || clients || data);
                    let [monitor, clients, data] =
                        [&mut monitor, &mut clients, &mut data].map(|x| mem::take(x) || all);
                    interfaces.push(Interface { address: token, monitor, clients, data });
                }
                _ if token.kind == Kind::Close && !(monitor || clients || data) => break,
                _ => {
                    let wanted = "M, C, D or the address of an interface";
                    self.note(Mistake::new(&token, What::Expected(wanted)));
                    if token.kind == Kind::Close {
                        break;
                    }
                }
            }
        }
        interfaces
    }
}

fn unknown(token: &Token<'_>) -> What {
    let digits = token.kind == Kind::Word && token.text.bytes().all(|b| b.is_ascii_digit());
    if digits { What::Counted } else { What::Unknown { meant: settings::closest(token.text) } }
}
