//! `wackamole.conf`: the configuration file of the original, in full.
//!
//! [`parse`] turns a text into the same checked [`Config`] as the section `[addresses]`, or tells every mistake with line,
//! column and remedy; [`read`] finds the file first. [`control`] is for those who only ask a running service. Exit statuses
//! are the caller's.
//!
//! Both spellings of everything, in any case; what is not written is as the manual has it, not as the original daemon had it
//! (`Mature` 5s, `Interval` 4s). Where the original misread, this does not: `h` is hours, `=` needs no blanks, a number of
//! an address above 255 is a mistake, and so is a file that was named and is not there.
//!
//! More than the original has: IPv6 addresses, `eth0:fd00::1/64` or `eth0:[fd00::1]/64`; addresses without an interface.
//! What is not possible is a mistake and never passed over: functions of Perl, modules that are not there.

mod find;
mod lexer;
mod meaning;
mod mistake;
mod parser;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod tests;
mod words;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use find::{Control, FileError, Found, control, read};
pub use mistake::{MISTAKES_MAX, Mistake};

use base::Place;

use crate::config::Config;

/// Largest file, in bytes: it is written by people.
pub const TEXT_MAX: usize = 1 << 20;

/// What has to be asked of others.
pub struct Ask<'a> {
    /// All addresses of a host; the error says why there is none.
    pub resolve: &'a mut dyn FnMut(&str) -> Result<Vec<IpAddr>, String>,
    /// The file of a module in this folder; the error says where it was looked for.
    pub module: &'a mut dyn FnMut(&Path, &str) -> Result<PathBuf, String>,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The checked configuration.
    pub config: Config,
    /// Whether the daemon of the bus is written. With the original it counted then, whatever the command line said; here the
    /// command line counts.
    pub spread_is_written: bool,
}

/// Reads and judges the text of a file. Never panics, whatever the text.
///
/// # Errors
/// Every mistake that can be told apart, in the order of the file, at least one and at most [`MISTAKES_MAX`] and a last one
/// that says how many there are besides.
pub fn parse(text: &str, machine: &str, ask: &mut Ask<'_>) -> Result<Parsed, Vec<Mistake>> {
    let draft = draft(text)?;
    let spread_is_written = draft.spread.is_some();
    let (config, mistakes) = meaning::judge(draft, machine, ask);
    if mistakes.is_empty() {
        Ok(Parsed { config, spread_is_written })
    } else {
        Err(mistake::in_order(mistakes))
    }
}

/// What is written, which nobody has judged, with the mistakes of form.
fn draft(text: &str) -> Result<parser::Draft<'_>, Vec<Mistake>> {
    if text.len() > TEXT_MAX {
        return Err(vec![Mistake {
            place: Place::default(),
            token: String::new(),
            message: format!("the file has more than {TEXT_MAX} bytes"),
            remedy: "this is hardly a configuration: name the right file with -c".into(),
        }]);
    }
    let (tokens, mut misread) = lexer::tokens(text);
    let mut draft = parser::parse(&tokens);
    misread.append(&mut draft.mistakes);
    draft.mistakes = misread;
    Ok(draft)
}
