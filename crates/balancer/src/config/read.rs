//! Reading a file's text into sections, with every mistake at once.
//!
//! The reader of TOML stops at the first value it cannot take. People who write a file would rather hear
//! of all their mistakes, so what it stumbled over is noted, taken out of the tree, and the rest is read
//! again, until it reads through. What is left can be judged as well ([`read_on`]).
//!
//! An unknown key gets the known one that it probably is: `did you mean head_timeout?`

use std::ops::Range;

use base::Problem;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::found::list;

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
    match read_on(text) {
        (Some(read), problems) if problems.is_empty() => Ok(read),
        (_, problems) => Err(problems),
    }
}

/// Like [`read`], and what is left of the file without its mistakes of form, so that it can be judged too. Nothing
/// is left of what is no TOML, or has more mistakes than anybody reads.
pub fn read_on<T: DeserializeOwned>(text: &str) -> (Option<T>, Vec<Problem>) {
    if text.len() > TEXT_MAX {
        let message = format!("the file has {} bytes, more than {TEXT_MAX}", text.len());
        let remedy = "this is hardly a configuration: name the right file with --config";
        return (None, vec![Problem::new(FILE, message, remedy)]);
    }
    let (whole, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return (None, errors.iter().take(MISTAKES_MAX).map(of_form).collect());
    }
    let mut tree = whole.clone();
    let mut problems = Vec::new();
    loop {
        let error = match T::deserialize(Deserializer::from(tree.clone())) {
            Ok(read) => return (Some(read), in_order(problems)),
            Err(error) => error,
        };
        let at = error.span().unwrap_or(0..0);
        // Named as in the whole file: what was taken out of a list before must not move the numbers of the rest.
        let key = path(whole.get_ref(), &at, "");
        problems.push(of_value(text, &error, key.as_deref(), at.clone()));
        if problems.len() >= MISTAKES_MAX {
            let mut problems = in_order(problems);
            let message = format!("reading ends here, after {MISTAKES_MAX} mistakes");
            problems.push(Problem::new(FILE, message, "mend these first: there may be more"));
            return (None, problems);
        }
        if !take_out(tree.get_mut(), &at) {
            return (None, in_order(problems));
        }
    }
}

/// As they stand in the file.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.at.as_ref().map_or(0, |at| at.start));
    problems
}

/// A mistake of the text itself.
fn of_form(error: &toml::de::Error) -> Problem {
    let at = error.span().unwrap_or(0..0);
    Problem::new(FILE, error.message(), "see https://toml.io for how such a file is written").at(at)
}

/// A key or value that nothing wants.
fn of_value(text: &str, error: &toml::de::Error, key: Option<&str>, at: Range<usize>) -> Problem {
    let message = error.message().lines().next().unwrap_or_default();
    let key = key.unwrap_or(FILE);
    if let Some(name) = doubled(text, message, &at) {
        let remedy = format!("write [{name}] in one pair of brackets, once");
        return Problem::new(key, "two pairs of brackets are one section of several", remedy)
            .at(at);
    }
    if let Some((unknown, known)) = unknown_field(message) {
        let remedy = match closest(unknown, &known) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("known here: {}", known.join(", ")),
        };
        return Problem::new(key, "this key is not known here", remedy).at(at);
    }
    let (message, remedy) = remedied(message, key);
    Problem::new(key, message, remedy).at(at)
}

/// The name of a section that is written as one of several and is single: serde takes what stands in it for its first value.
fn doubled<'a>(text: &'a str, message: &str, at: &Range<usize>) -> Option<&'a str> {
    if !message.contains("invalid type: map, expected ") {
        return None;
    }
    let name = text.get(at.clone())?.strip_prefix("[[")?.split(']').next()?;
    Some(name.trim())
}

/// A whole number that its key cannot hold, in serde's words: ``invalid value: integer `70000`, expected u16``, and of more than 64
/// bits ``invalid type: integer `1` as i128, expected i64``.
fn unheld(message: &str) -> Option<&str> {
    let (kind, rest) = message.split_once(": integer `")?;
    let (number, rest) = rest.split_once('`')?;
    let wide = [" as i128,", " as u128,"].iter().any(|wide| rest.starts_with(wide));
    let (value, type_) = (kind.ends_with("invalid value"), kind.ends_with("invalid type"));
    (value || type_ && wide).then_some(number)
}

/// Sections that are written once for each of several.
const TABLES: [&str; 4] = ["route", "addresses.set", "addresses.health", "addresses.hook"];

/// The reader's words apart: what is wrong, and what to write instead.
fn remedied(message: &str, key: &str) -> (String, String) {
    let section = key.split(['.', '[']).next().unwrap_or_default();
    if let Some(rest) = message.strip_prefix("unknown variant `")
        && let Some((word, rest)) = rest.split_once('`')
    {
        let known: Vec<_> =
            rest.split('`').skip(1).step_by(2).map(|word| format!("{word:?}")).collect();
        return (
            format!("{word:?} is none of the words known here"),
            format!("write {}", list(&known)),
        );
    }
    if let Some(number) = unheld(message) {
        let remedy = format!("see docs/configuration/{section}.md for its bounds");
        return (format!("{number} is beyond what this can be"), remedy);
    }
    // serde's words for a wrong kind: `invalid type: integer `1`, expected text in quotes`.
    if let Some((_, rest)) = message.split_once("invalid type: ")
        && let Some((got, expected)) = rest.rsplit_once(", expected ")
    {
        // Its own names for kinds mean nothing to people.
        let expected = match expected {
            "i64" | "u64" | "u32" | "u16" => "a whole number",
            "a string" | "string" | "path string" => "text in quotes",
            "a boolean" => "true or false",
            // Of tables there are lists only at the top.
            "a sequence" if got == "map" => {
                let remedy = format!("write [[{key}]] in two brackets, once for each");
                return ("one pair of brackets is a single section".into(), remedy);
            }
            "a sequence" if TABLES.contains(&key) => {
                let remedy =
                    format!("write [[{key}]] in two brackets, once for each, and its keys below");
                return ("this is a section of several".into(), remedy);
            }
            "a sequence" if key.ends_with(".status") => "a list: [200, \"300-399\"]",
            "a sequence" => "a list: [\"a\", \"b\"]",
            "a map" => "a table: { name = value }",
            structure if structure.starts_with("struct ") => {
                "a section or a table: { key = value }"
            }
            other => other,
        };
        let got = got.replace("string \"", "text \"");
        return (format!("{got} is of the wrong kind"), format!("write {expected}"));
    }
    // The words of our own types end in what to do.
    match message.rsplit_once("; ") {
        Some((message, remedy)) => (message.into(), remedy.into()),
        None => (message.into(), format!("see docs/configuration/{section}.md for what it takes")),
    }
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

/// The path of the key or value at these bytes, or of the smallest value around them.
fn path(table: &DeTable<'_>, at: &Range<usize>, above: &str) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let path = if above.is_empty() { name.to_string() } else { format!("{above}.{name}") };
        if is_within(at, &key.span()) {
            return Some(path);
        }
        path_into(value.get_ref(), at, &path).or(is_within(at, &value.span()).then_some(path))
    })
}

fn path_into(value: &DeValue<'_>, at: &Range<usize>, above: &str) -> Option<String> {
    match value {
        DeValue::Table(table) => path(table, at, above),
        DeValue::Array(list) => list.iter().enumerate().find_map(|(i, item)| {
            let path = format!("{above}[{i}]");
            path_into(item.get_ref(), at, &path).or(is_within(at, &item.span()).then_some(path))
        }),
        _ => None,
    }
}

fn is_within(at: &Range<usize>, span: &Range<usize>) -> bool {
    span.start <= at.start && at.end <= span.end
}

/// Takes the key or value at these bytes, or the smallest value around them, out of the tree; the last value of a list
/// with its list, since an empty one would be one more mistake. Whether there was any.
fn take_out(table: &mut DeTable<'_>, at: &Range<usize>) -> bool {
    let mut doomed = None;
    for (key, value) in table.iter_mut() {
        let here = is_within(at, &key.span());
        let inside = !here && take_out_of(value.get_mut(), at);
        let emptied = || value.get_ref().as_array().is_some_and(|list| list.is_empty());
        if inside && !emptied() {
            return true;
        }
        if here || inside || is_within(at, &value.span()) {
            doomed = Some(key.clone());
            break;
        }
    }
    doomed.is_some_and(|key| table.remove(&key).is_some())
}

fn take_out_of(value: &mut DeValue<'_>, at: &Range<usize>) -> bool {
    match value {
        DeValue::Table(table) => take_out(table, at),
        DeValue::Array(list) => {
            let mut doomed = None;
            for (i, item) in list.iter_mut().enumerate() {
                if take_out_of(item.get_mut(), at) {
                    return true;
                }
                if is_within(at, &item.span()) {
                    doomed = Some(i);
                    break;
                }
            }
            let Some(i) = doomed else { return false };
            let (before, after) = (&list[..i], &list[i + 1..]);
            *list = before.iter().chain(after).cloned().collect();
            true
        }
        _ => false,
    }
}
