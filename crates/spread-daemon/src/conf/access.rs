//! `spread.access_ip`: from where clients of the authentication method IP may come.
//!
//! One rule a line: `a.b.c.d`, `a.b.c.d/prefix`, `local` (127.0.0.0/8) or `unix`; `#` begins a comment. Besides, IPv6
//! addresses and blocks can be written, which the original could not. Everybody else is refused.

use std::net::IpAddr;

use base::{AddrBlock, AddrBlocks};

/// Most rules of a file.
const RULES_MAX: usize = 10_000;
/// Most characters of a rule that are shown in a mistake.
const SHOWN_MAX: usize = 60;

/// Who may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    /// By TCP, from these addresses.
    pub blocks: AddrBlocks,
    /// Through the Unix socket.
    pub unix: bool,
}

/// A line that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule:?}: {why}")]
pub struct AccessMistake {
    /// From 1.
    pub line: usize,
    /// The rule, at most 60 characters of it.
    pub rule: String,
    /// What is wrong and what to write instead.
    pub why: String,
}

impl AccessList {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Every line that is no rule. None of the file counts then: who is meant to be kept out cannot be known.
    pub fn parse(text: &str) -> Result<Self, Vec<AccessMistake>> {
        let mut list = Self::default();
        let mut mistakes = Vec::new();
        let rules = (1..).zip(text.lines()).filter_map(|(line, text)| {
            let rule = text.split('#').next().unwrap_or_default().trim();
            (!rule.is_empty()).then_some((line, rule))
        });
        for (line, rule) in rules {
            if list.blocks.0.len() + mistakes.len() >= RULES_MAX {
                let why =
                    format!("there are more than {RULES_MAX} rules; write blocks of addresses");
                mistakes.push(mistake(line, rule, why));
                break;
            }
            match read(rule) {
                Ok(Rule::Unix) => list.unix = true,
                Ok(Rule::Block(block)) => list.blocks.0.push(block),
                Err(why) => mistakes.push(mistake(line, rule, why)),
            }
        }
        if mistakes.is_empty() { Ok(list) } else { Err(mistakes) }
    }

    /// Whether a client may come: by TCP from an address, or through the Unix socket (`None`).
    pub fn allows(&self, from: Option<IpAddr>) -> bool {
        from.map_or(self.unix, |ip| self.blocks.contains(ip))
    }
}

enum Rule {
    Unix,
    Block(AddrBlock),
}

fn read(rule: &str) -> Result<Rule, String> {
    let block = |text: &str| text.parse().map(Rule::Block).map_err(|error| error.to_string());
    match rule {
        "unix" => Ok(Rule::Unix),
        "local" => block("127.0.0.0/8"),
        // Dotted prefixes are of other files: here 10.0 was never one.
        _ if rule.split('/').next().is_some_and(|ip| ip.parse::<IpAddr>().is_ok()) => block(rule),
        _ => {
            Err("this is no rule; write an address, a block such as 10.0.0.0/8, local or unix"
                .into())
        }
    }
}

fn mistake(line: usize, rule: &str, why: String) -> AccessMistake {
    AccessMistake { line, rule: rule.chars().take(SHOWN_MAX).collect(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn addresses_blocks_local_and_unix_are_rules() {
        let text =
            "# who may come\n10.0.0.0/8\n192.168.1.7 # the printer\n\n  local\nfd00::/8\nunix\n";
        let list = AccessList::parse(text).unwrap();
        for allowed in ["10.9.9.9", "192.168.1.7", "127.3.2.1", "fd00::7", "::ffff:10.0.0.1"] {
            assert!(list.allows(ip(allowed)), "{allowed}");
        }
        for refused in ["11.0.0.1", "192.168.1.8", "::1"] {
            assert!(!list.allows(ip(refused)), "{refused}");
        }
        assert!(list.allows(None));
    }

    #[test]
    fn an_empty_list_lets_nobody_in() {
        let list = AccessList::parse("# nothing\n").unwrap();
        assert!(!list.allows(None) && !list.allows(ip("127.0.0.1")));
    }

    #[test]
    fn every_line_that_is_no_rule_is_told_and_nothing_of_the_file_counts() {
        let mistakes =
            AccessList::parse("10.0.0.5/24\nLOCAL\n10.0\n10.0.0.0/33\nunix\n").unwrap_err();
        let lines: Vec<_> = mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
        assert!(mistakes[0].to_string().contains("did you mean 10.0.0.0/24"), "{}", mistakes[0]);
        assert!(mistakes[1].to_string().starts_with("line 2: \"LOCAL\": this is no rule; write"));
    }
}
