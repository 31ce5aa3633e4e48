//! The grammar of a `wackamole.conf`: words become what is written, whose meaning nobody has judged yet.
//!
//! ```text
//! config  := { scalar "=" value | balance | prefer | virtual | notify | hook }
//! scalar  := "Spread" | "SpreadRetryInterval" | "Group" | "Control" | "LogFacility" | "Mature" | "Arp-Cache" | "ModuleDir"
//! balance := "Balance" "{" { "Interval" "=" time | "AcquisitionsPerRound" "=" ( number | "all" ) } "}"
//! prefer  := "Prefer" ( "None" | wanted | "{" { wanted } "}" )            wanted := address | name of a host
//! virtual := ( "VirtualInterfaces" | "VIFs" | "VIPs" ) "{" { address | "{" { address } "}" } "}"
//! notify  := "Notify" ( "None" | whom | "{" { whom } "}" )
//! whom    := address { "throttle" number | "ping" } | "arp-cache" [ "ping" ]
//! hook    := "RunDynamic" text ( "on" | "post" ) ( "up" | "down" ) | "PerlUseLib" text | "PerlUse" text
//! address := [ interface ":" ] ip "/" length [ "n" length ]               time := digits ( "s" | "m" | "h" )
//! ```
//!
//! After a mistake reading goes on at the next directive. One in the midst of braces means that they were not closed.

use std::time::Duration;

use super::lexer::{Kind, Token};
use super::mistake::Mistake;
use super::words::{self, Directive, INTERVAL, MANY, ROUNDS};
use crate::config::{AddressText, HookEvent, PER_ROUND_MAX, PerRound, ValueError};

/// A value and the word it is written in.
pub(super) type At<'a, T> = (T, Token<'a>);

/// What is written, each thing with its word.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) spread: Option<Token<'a>>,
    pub(super) retry: Option<Duration>,
    pub(super) group: Option<Token<'a>>,
    pub(super) control: Option<Token<'a>>,
    pub(super) log_facility: Option<Token<'a>>,
    pub(super) mature: Option<Duration>,
    pub(super) arp_cache: Option<Duration>,
    pub(super) module_dir: Option<Token<'a>>,
    pub(super) interval: Option<Duration>,
    pub(super) per_round: Option<PerRound>,
    pub(super) sets: Vec<(Vec<At<'a, AddressText>>, Token<'a>)>,
    pub(super) prefer: Vec<Wanted<'a>>,
    pub(super) notify: Vec<Whom<'a>>,
    pub(super) hooks: Vec<(Token<'a>, HookEvent)>,
    /// Scalars that stand twice.
    pub(super) repeated: Vec<Token<'a>>,
    pub(super) mistakes: Vec<Mistake>,
    seen: Vec<String>,
}

/// What a machine prefers.
pub(super) enum Wanted<'a> {
    Block(AddressText, Token<'a>),
    Host(Token<'a>),
}

/// Who is told of a new holder.
pub(super) enum Whom<'a> {
    Hosts { text: AddressText, throttle: Option<u32>, ping: bool, token: Token<'a> },
    Cache { ping: bool },
}

/// There was a mistake, which is noted, and the directive cannot be read on.
struct Lost;

type Read<T> = Result<T, Lost>;

/// Reads all tokens; the last one is the end.
pub(super) fn parse<'a>(tokens: &[Token<'a>]) -> Draft<'a> {
    let mut parser = Parser { tokens, at: 0, draft: Draft::default() };
    while parser.peek().kind != Kind::End {
        if parser.directive().is_err() {
            parser.recover();
        }
    }
    parser.draft
}

struct Parser<'a, 't> {
    tokens: &'t [Token<'a>],
    at: usize,
    draft: Draft<'a>,
}

impl<'a> Parser<'a, '_> {
    fn peek(&self) -> Token<'a> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Token<'a> {
        let end = Token { kind: Kind::End, text: "", place: Default::default() };
        self.tokens.get(self.at + ahead).or(self.tokens.last()).copied().unwrap_or(end)
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn wrong(&mut self, token: &Token<'_>, message: impl Into<String>, remedy: impl Into<String>) {
        if self.draft.mistakes.len() < MANY {
            self.draft.mistakes.push(Mistake::new(token, message, remedy));
        }
    }

    fn lost<T>(
        &mut self,
        token: &Token<'_>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Read<T> {
        let end = if token.kind == Kind::End { "the file ends, but " } else { "" };
        self.wrong(token, format!("{end}{}", message.into()), remedy);
        Err(Lost)
    }

    /// To the next directive, whatever stands before it.
    fn recover(&mut self) {
        while self.peek().kind != Kind::End && !self.begins() {
            self.take();
        }
    }

    /// Whether a directive begins here that could not stand in braces.
    fn begins(&self) -> bool {
        match self.peek().directive() {
            None => false,
            // The entry of Notify is written like the directive.
            Some(Directive::ArpCache) => self.peek_at(1).kind == Kind::Equals,
            Some(_) => true,
        }
    }

    fn directive(&mut self) -> Read<()> {
        let name = self.take();
        let Some(directive) = name.directive() else { return self.unknown(name) };
        match directive {
            Directive::Spread
            | Directive::Group
            | Directive::Control
            | Directive::LogFacility
            | Directive::ModuleDir => {
                self.once(name);
                self.equals(name)?;
                let value = Some(self.text(name)?);
                let draft = &mut self.draft;
                match directive {
                    Directive::Spread => draft.spread = value,
                    Directive::Group => draft.group = value,
                    Directive::Control => draft.control = value,
                    Directive::LogFacility => draft.log_facility = value,
                    _ => draft.module_dir = value,
                }
                Ok(())
            }
            Directive::SpreadRetryInterval | Directive::Mature | Directive::ArpCache => {
                self.once(name);
                self.equals(name)?;
                let least = u64::from(directive != Directive::Mature);
                let time = self.time(name, least)?;
                match directive {
                    Directive::SpreadRetryInterval => self.draft.retry = time,
                    Directive::Mature => self.draft.mature = time,
                    _ => self.draft.arp_cache = time,
                }
                Ok(())
            }
            Directive::Balance => self.balance(name),
            Directive::Prefer => self.prefer(name),
            Directive::VirtualInterfaces => self.sets(name),
            Directive::Notify => self.notify(name),
            Directive::PerlUseLib | Directive::PerlUse => {
                self.text(name)?;
                self.wrong(&name, "there is no Perl in this program", NO_PERL);
                Ok(())
            }
            Directive::RunDynamic => self.hook(name),
        }
    }

    fn unknown(&mut self, token: Token<'a>) -> Read<()> {
        let remedy = match words::meant(token.text).filter(|_| token.is_text()) {
            Some(meant) if [INTERVAL, ROUNDS].contains(&meant) => {
                format!("write it between the braces of Balance: Balance {{ {meant} = ... }}")
            }
            Some(meant) => format!("did you mean {meant}?"),
            None => "write a directive such as Group or VirtualInterfaces; # makes a comment of the line".into(),
        };
        let message = match token.kind {
            Kind::Close => "there is no open brace that this closes",
            Kind::Open => "no directive stands before this brace",
            _ => "this is no directive",
        };
        self.lost(&token, message, remedy)
    }

    /// Notes a scalar that stands before; the last one counts.
    fn once(&mut self, name: Token<'a>) {
        let lower = name.text.to_ascii_lowercase();
        if self.draft.seen.contains(&lower) {
            if self.draft.repeated.len() < MANY {
                self.draft.repeated.push(name);
            }
        } else {
            self.draft.seen.push(lower);
        }
    }

    fn equals(&mut self, name: Token<'a>) -> Read<()> {
        let token = self.peek();
        if token.kind == Kind::Equals {
            self.take();
            return Ok(());
        }
        let remedy = format!("write {} = and its value", name.text);
        self.lost(&token, format!("an equals sign is expected behind {}", name.text), remedy)
    }

    fn text(&mut self, name: Token<'a>) -> Read<Token<'a>> {
        let token = self.peek();
        if !token.is_text() {
            let message = format!("a text is expected for {}", name.text);
            return self.lost(&token, message, "write it, between quotes if it has blanks");
        }
        if token.kind == Kind::Word && words::reserved(token.text) {
            let message = format!(
                "this word has a meaning of its own, and a text is expected for {}",
                name.text
            );
            return self.lost(
                &token,
                message,
                format!("write it between quotes: {:?}", token.text),
            );
        }
        // It stands for what could not be read.
        if token.text.contains(char::REPLACEMENT_CHARACTER) {
            let message = format!("what is written for {} is no UTF-8", name.text);
            return self.lost(&token, message, "save the file as UTF-8");
        }
        Ok(self.take())
    }

    /// Whole seconds, minutes or hours, at least so many seconds, at most a day. `None` is a mistake that is noted.
    fn time(&mut self, name: Token<'a>, least: u64) -> Read<Option<Duration>> {
        let token = self.peek();
        if token.kind != Kind::Word || token.directive().is_some() {
            let message = format!("a time is expected for {}", name.text);
            return self.lost(&token, message, "write a whole number and s, m or h: 5s");
        }
        self.take();
        let split = token.text.find(|c: char| !c.is_ascii_digit()).unwrap_or(token.text.len());
        let (digits, unit) = token.text.split_at(split);
        let factor = match unit {
            "s" | "S" => 1,
            "m" | "M" => 60,
            "h" | "H" => 3600,
            _ => 0,
        };
        if digits.is_empty() || factor == 0 {
            let remedy = match unit {
                "" => format!(
                    "write {digits}s for seconds, {digits}m for minutes or {digits}h for hours"
                ),
                _ => "write a whole number and s, m or h: 5s".into(),
            };
            self.wrong(&token, format!("this is no time for {}", name.text), remedy);
            return Ok(None);
        }
        let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        match seconds.filter(|seconds| (least..=86_400).contains(seconds)) {
            Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
            None => {
                let message = format!("this time is not between {least}s and 24h");
                self.wrong(&token, message, format!("write {least}s to 24h"));
                Ok(None)
            }
        }
    }

    fn open(&mut self, name: Token<'a>) -> Read<Token<'a>> {
        let token = self.peek();
        if token.kind == Kind::Open {
            return Ok(self.take());
        }
        let (message, remedy) = (
            format!("an opening brace is expected behind {}", name.text),
            format!("write {} {{ ... }}", name.text),
        );
        self.lost(&token, message, remedy)
    }

    /// Reads what is between braces, the first of which is read, to the closing one.
    fn braced(&mut self, open: Token<'a>, mut each: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        loop {
            let token = self.peek();
            match token.kind {
                Kind::Close => {
                    self.take();
                    return Ok(());
                }
                Kind::End => {
                    let message = format!("the brace of line {} is not closed", open.place.line);
                    return self.lost(&token, message, "write } at its end");
                }
                _ if self.begins() => {
                    let message =
                        format!("the brace of line {} is not closed before this", open.place.line);
                    return self.lost(&token, message, "write } before it");
                }
                _ => each(self)?,
            }
        }
    }

    fn balance(&mut self, name: Token<'a>) -> Read<()> {
        let open = self.open(name)?;
        let from = self.at;
        self.braced(open, |parser| {
            let key = parser.take();
            if key.is(INTERVAL) {
                parser.once(key);
                parser.equals(key)?;
                parser.draft.interval = parser.time(key, 1)?;
                Ok(())
            } else if key.is(ROUNDS) {
                parser.once(key);
                parser.equals(key)?;
                parser.draft.per_round = parser.per_round(key)?;
                Ok(())
            } else {
                let remedy = "write Interval = 4s or AcquisitionsPerRound = all";
                parser.lost(&key, "this says nothing about balance", remedy)
            }
        })?;
        if self.at == from + 1 {
            let remedy = "write Interval = 4s, AcquisitionsPerRound = all, or leave Balance out";
            return self.lost(&name, "nothing stands between the braces", remedy);
        }
        Ok(())
    }

    fn per_round(&mut self, name: Token<'a>) -> Read<Option<PerRound>> {
        let token = self.peek();
        if token.kind != Kind::Word || token.directive().is_some() {
            let message = format!("a number or all is expected for {}", name.text);
            return self.lost(&token, message, "write 1, another number, or all");
        }
        self.take();
        if token.is("all") {
            return Ok(Some(PerRound::All));
        }
        let number = number(token.text).filter(|number| (1..=PER_ROUND_MAX).contains(number));
        if number.is_none() {
            let message = "this is no number of moves in a round";
            self.wrong(&token, message, format!("write 1 to {PER_ROUND_MAX}, or all"));
        }
        Ok(number.map(PerRound::Number))
    }

    /// An address, whose length must be written. `None` is a mistake that is noted.
    fn address(&mut self, token: Token<'a>) -> Option<AddressText> {
        match token.text.parse::<AddressText>() {
            Ok(text) if text.prefix.is_none() => {
                let length = if text.ip.is_ipv4() { 32 } else { 128 };
                let remedy = format!("write {}/{length}, or the length of its network", token.text);
                self.wrong(&token, "the length of the prefix is missing", remedy);
                None
            }
            Ok(text) => Some(text),
            Err(error) => {
                let message = match &error {
                    ValueError::Address(_) => "this is no address",
                    ValueError::Interface(_) => "what stands before the colon is no interface",
                    ValueError::Net { .. } => "the number behind the n is no length of a network",
                    _ => "the number behind the slash is no length of a prefix",
                };
                let said = error.to_string();
                let remedy = match &error {
                    ValueError::Address(_) => {
                        "write eth0:10.0.0.1/32, with numbers from 0 to 255, or eth0:[fd00::1]/128"
                    }
                    _ => said.split_once("; ").map_or("", |(_, remedy)| remedy),
                };
                self.wrong(&token, message, remedy);
                None
            }
        }
    }

    fn address_word(&mut self) -> Read<Token<'a>> {
        let token = self.peek();
        if token.kind == Kind::Word {
            return Ok(self.take());
        }
        self.lost(&token, "an address is expected", "write eth0:10.0.0.1/32 without quotes")
    }

    fn sets(&mut self, name: Token<'a>) -> Read<()> {
        let open = self.open(name)?;
        self.braced(open, |parser| {
            let mut addresses = Vec::new();
            let first = parser.peek();
            if first.kind == Kind::Open {
                parser.take();
                // What is left of a set with a mistake is judged all the same.
                let mut told = false;
                parser.braced(first, |parser| {
                    let token = parser.address_word()?;
                    match parser.address(token) {
                        Some(text) => addresses.push((text, token)),
                        None => told = true,
                    }
                    Ok(())
                })?;
                if addresses.is_empty() && told {
                    return Ok(());
                }
            } else {
                let token = parser.address_word()?;
                let Some(text) = parser.address(token) else { return Ok(()) };
                addresses.push((text, token));
            }
            parser.draft.sets.push((addresses, first));
            Ok(())
        })
    }

    fn prefer(&mut self, name: Token<'a>) -> Read<()> {
        if self.peek().kind == Kind::Open {
            let open = self.take();
            return self.braced(open, Self::wanted);
        }
        if self.peek().kind == Kind::End || self.begins() {
            let token = self.peek();
            let remedy = "write Prefer None, or an address of VirtualInterfaces";
            return self.lost(
                &token,
                format!("an address is expected behind {}", name.text),
                remedy,
            );
        }
        self.wanted()
    }

    fn wanted(&mut self) -> Read<()> {
        let token = self.peek();
        let reserved = token.kind == Kind::Word && words::reserved(token.text);
        if !token.is_text() || reserved && !token.is("none") {
            let remedy = "write None, eth0:10.0.0.1/32, or the name of a host";
            return self.lost(&token, "an address or the name of a host is expected", remedy);
        }
        self.take();
        if token.is("none") {
            return Ok(());
        }
        let text = token.text;
        if let Ok(ip) = text.parse() {
            let exact = AddressText { interface: None, ip, prefix: None, net: None };
            self.draft.prefer.push(Wanted::Block(exact, token));
        } else if is_host(text) {
            self.draft.prefer.push(Wanted::Host(token));
        } else if let Some(address) = self.address(token) {
            self.draft.prefer.push(Wanted::Block(address, token));
        }
        Ok(())
    }

    fn notify(&mut self, name: Token<'a>) -> Read<()> {
        if self.peek().kind == Kind::Open {
            let open = self.take();
            return self.braced(open, Self::whom);
        }
        if self.peek().kind == Kind::End || self.begins() {
            let token = self.peek();
            let remedy = "write Notify None, Notify arp-cache, or Notify { eth0:10.0.0.1/32 }";
            return self.lost(
                &token,
                format!("it is expected behind {} who is told", name.text),
                remedy,
            );
        }
        self.whom()
    }

    fn whom(&mut self) -> Read<()> {
        let token = self.address_word()?;
        if token.is("none") {
            return Ok(());
        }
        let cache = token.directive() == Some(Directive::ArpCache);
        let text = if cache { None } else { self.address(token) };
        let (mut throttle, mut ping) = (None, false);
        loop {
            let word = self.peek();
            if word.is("ping") {
                self.take();
                ping = true;
            } else if word.is("throttle") {
                self.take();
                if cache {
                    let remedy = "leave it out, and the number behind it";
                    self.wrong(&word, "arp-cache takes no throttle", remedy);
                }
                throttle = self.throttle()?;
            } else {
                break;
            }
        }
        match text {
            _ if cache => self.draft.notify.push(Whom::Cache { ping }),
            Some(text) => self.draft.notify.push(Whom::Hosts { text, throttle, ping, token }),
            None => {}
        }
        Ok(())
    }

    /// Hosts a second; 0 was, and is, no limit.
    fn throttle(&mut self) -> Read<Option<u32>> {
        let token = self.peek();
        let number = number(token.text).filter(|number| *number <= 1_000_000);
        match number.filter(|_| token.kind == Kind::Word) {
            Some(number) => {
                self.take();
                Ok(Some(number).filter(|number| *number > 0))
            }
            None => {
                let message = "a number of hosts a second is expected behind throttle";
                self.lost(&token, message, "write 0 to 1000000, such as throttle 16")
            }
        }
    }

    fn hook(&mut self, name: Token<'a>) -> Read<()> {
        let what = self.text(name)?;
        let event = self.event(name)?;
        self.draft.hooks.push((what, event));
        Ok(())
    }

    fn event(&mut self, name: Token<'a>) -> Read<HookEvent> {
        let (first, second) = (self.peek(), self.peek_at(1));
        let event = HookEvent::ALL.into_iter().find(|event| {
            let words = event.as_str().split_once(' ');
            words.is_some_and(|(one, two)| first.is(one) && second.is(two))
        });
        if let Some(event) = event {
            self.take();
            self.take();
            return Ok(event);
        }
        let message = format!("an event is expected behind the function of {}", name.text);
        self.lost(&first, message, "write on up, on down, post up or post down")
    }
}

/// What to do without Perl.
pub(super) const NO_PERL: &str = "make an executable of it and name it in [[addresses.hook]] of backhand.toml, or a C function: RunDynamic \"file:function\" on up";

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Whether a name of a host was meant, rather than an address.
fn is_host(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !text.starts_with(['-', '.'])
}
