//! What is wrong in a `wackamole.conf`: where, what, and what to write instead.

use std::fmt::{self, Write};

use super::lexer::Token;

/// Most mistakes told of one file.
pub const MISTAKES_MAX: usize = 32;
/// Longest piece of the file that a mistake shows, in characters.
const SHOWN_MAX: usize = 40;
/// Longest line that is shown with a mistake, in characters.
const LINE_MAX: usize = 200;

/// A place in the file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line; 0 for the file as a whole.
    pub line: usize,
    /// The column.
    pub column: usize,
}

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
        let Place { line, column } = self.place;
        let mut out = String::new();
        let _ = writeln!(out, "error: {}{}", self.quoted(), self.message);
        let shown = line.checked_sub(1).map(|n| text.split('\n').nth(n).unwrap_or_default());
        let shown = shown.map(|shown| shown.trim_end_matches('\r'));
        if let Some(shown) = shown.filter(|shown| shown.chars().count() <= LINE_MAX) {
            let margin = " ".repeat(line.to_string().len());
            let before = shown.chars().take(column.saturating_sub(1));
            let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let carets = "^".repeat(self.token.chars().count().max(1));
            let _ = writeln!(
                out,
                "{margin}--> {file}:{line}:{column}\n{margin} |\n{line} | {shown}\n{margin} | {indent}{carets}"
            );
        } else {
            let _ = writeln!(out, " --> {file}:{line}:{column}");
        }
        let _ = writeln!(out, "  help: {}", self.remedy);
        out
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
