//! What is wrong in a `wackamole.conf`: where, what, and what to write instead.

use std::fmt;

use base::Place;

use super::lexer::Token;

/// Most mistakes told of one file.
pub const MISTAKES_MAX: usize = 32;
/// Longest piece of the file that a mistake shows, in characters.
const SHOWN_MAX: usize = 40;
/// Most of a line that is shown with a mistake, in characters.
const LINE_MAX: usize = 200;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// The word it is about, shortened; empty at the end of the file.
    pub token: String,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What to do; lower case, no full stop.
    pub remedy: String,
}

impl Mistake {
    pub(super) fn new(
        token: &Token<'_>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        // A quoted text may span lines; the caret stands in its first.
        let line = token.text.lines().next().unwrap_or_default();
        let mut shown: String = line.chars().take(SHOWN_MAX).collect();
        if shown.len() < token.text.len() {
            shown.push('…');
        }
        let (message, remedy) = (message.into(), remedy.into());
        Self { place: token.place, token: shown, message, remedy }
    }

    /// The mistake as people read it, with the line it stands in: `file` and `text` are the file's name and text.
    pub fn render(&self, file: &str, text: &str) -> String {
        let shown = self.place.shown(file, text, self.token.chars().count(), LINE_MAX);
        let Self { message, remedy, .. } = self;
        format!("error: {}{message}\n{shown}  help: {remedy}\n", self.quoted())
    }

    fn quoted(&self) -> String {
        if self.token.is_empty() { String::new() } else { format!("{:?}: ", self.token) }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(
            f,
            "line {line}, column {column}: {}{}; {}",
            self.quoted(),
            self.message,
            self.remedy
        )
    }
}

impl std::error::Error for Mistake {}

/// In the order of the file, and no more than anybody reads.
pub(super) fn in_order(mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    mistakes.sort_by_key(|mistake| mistake.place);
    if mistakes.len() > MISTAKES_MAX {
        let more = mistakes.len() - MISTAKES_MAX;
        mistakes.truncate(MISTAKES_MAX);
        mistakes.push(Mistake {
            place: mistakes.last().map(|last| last.place).unwrap_or_default(),
            token: String::new(),
            message: format!("{more} more mistakes follow"),
            remedy: "mend these first".into(),
        });
    }
    mistakes
}
