//! Reading a file's text into sections, with every mistake at once.
//!
//! The reader of TOML stops at the first value it cannot take. People who write a file would rather hear
//! of all their mistakes, so what it stumbled over is noted, taken out of the tree, and the rest is read
//! again, until it reads through.
//!
//! An unknown key gets the known one that it probably is: `did you mean head_timeout?`

use std::ops::Range;

use base::Problem;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue, Deserializer};

/// Mistakes noted before reading ends: nobody reads more.
const MISTAKES_MAX: usize = 32;
/// The key of a mistake that belongs to none.
const FILE: &str = "configuration";
/// Largest text read: a configuration is written by people.
pub const TEXT_MAX: usize = 1 << 20;

/// Reads a whole file's text. Never panics, whatever the text.
///
/// # Errors
/// Every mistake of form: text that is no TOML, unknown keys, values of a wrong kind. What is read but not
/// meaningful is for `check` to find.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Vec<Problem>> {
    if text.len() > TEXT_MAX {
        let message = format!("the file has {} bytes, more than {TEXT_MAX}", text.len());
        return Err(vec![Problem::new(FILE, message, "name the configuration file")]);
    }
    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().take(MISTAKES_MAX).map(|e| of_form(e, text)).collect());
    }
    let mut tree = tree;
    let mut problems = Vec::new();
    loop {
        let error = match T::deserialize(Deserializer::from(tree.clone())) {
            Ok(read) if problems.is_empty() => return Ok(read),
            Ok(_) => return Err(in_order(problems)),
            Err(error) => error,
        };
        let at = error.span().unwrap_or(0..0);
        let taken = take_out(tree.get_mut(), &at, "");
        problems.push(of_value(&error, taken.as_deref(), at));
        if taken.is_none() || problems.len() >= MISTAKES_MAX {
            return Err(in_order(problems));
        }
    }
}

/// As they stand in the file.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.at.as_ref().map_or(0, |at| at.start));
    problems
}

/// A mistake of the text itself.
fn of_form(error: &toml::de::Error, text: &str) -> Problem {
    let at = error.span().unwrap_or(0..0);
    let near = text.get(at.clone()).unwrap_or_default().trim();
    let remedy =
        if near.is_empty() { "" } else { "see https://toml.io for how such a file is written" };
    Problem::new(FILE, error.message(), remedy).at(at)
}

/// A key or value that nothing wants.
fn of_value(error: &toml::de::Error, key: Option<&str>, at: Range<usize>) -> Problem {
    let message = error.message().lines().next().unwrap_or_default();
    let key = key.unwrap_or(FILE);
    if let Some((unknown, known)) = unknown_field(message) {
        let remedy = match closest(unknown, &known) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("known here: {}", known.join(", ")),
        };
        return Problem::new(key, "this key is not known here", remedy).at(at);
    }
    // The reader's own name for a number means nothing to people.
    Problem::new(key, message.replace("expected i64", "expected a whole number"), "").at(at)
}

/// serde's words for an unknown field: ``unknown field `a`, expected one of `b`, `c` ``.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    Some((unknown, rest.split('`').skip(1).step_by(2).collect()))
}

/// The known word that is few edits away, if any is.
fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word: String = word.chars().take(64).collect::<String>().to_lowercase().replace('-', "_");
    let limit = (word.chars().count() / 3).clamp(1, 3);
    let scored = known.iter().map(|k| (edits(&word, k), *k));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= limit).then_some(best)
}

/// How many letters must be changed, added, removed or swapped with their neighbour.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<_>>(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=b.len() {
            let change = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = best;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

/// Takes the key or value at these bytes, or the smallest value around them, out of the tree; a value in a list
/// with its list. Tells its path.
fn take_out(table: &mut DeTable<'_>, at: &Range<usize>, path: &str) -> Option<String> {
    let within = |span: Range<usize>| span.start <= at.start && at.end <= span.end;
    let mut doomed = None;
    for (key, value) in table.iter_mut() {
        let name = key.get_ref();
        let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        if within(key.span()) {
            doomed = Some((key.clone(), path));
            break;
        }
        match look_into(value.get_mut(), at, &path) {
            Some(Found::TakenOut(inner)) => return Some(inner),
            Some(Found::Listed(inner)) => {
                doomed = Some((key.clone(), inner));
                break;
            }
            None if within(value.span()) => {
                doomed = Some((key.clone(), path));
                break;
            }
            None => {}
        }
    }
    let (key, path) = doomed?;
    table.remove(&key);
    Some(path)
}

enum Found {
    TakenOut(String),
    Listed(String),
}

fn look_into(value: &mut DeValue<'_>, at: &Range<usize>, path: &str) -> Option<Found> {
    match value {
        DeValue::Table(table) => take_out(table, at, path).map(Found::TakenOut),
        DeValue::Array(list) => list.iter_mut().enumerate().find_map(|(i, item)| {
            let path = format!("{path}[{i}]");
            let span = item.span();
            let here = span.start <= at.start && at.end <= span.end;
            look_into(item.get_mut(), at, &path).or(here.then_some(Found::Listed(path)))
        }),
        _ => None,
    }
}
