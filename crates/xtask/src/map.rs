//! The map of the crates, read from ARCHITECTURE.md: the table people read is the table that is checked.
//!
//! A row is `| floor | `crate` | kind | what lives there |`; a dash instead of a floor is an aid, which may use
//! everything and is used by nobody.

use anyhow::{Context, Result, bail};

use crate::tools;

/// What the map says of one crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    /// `None` for an aid.
    pub(crate) floor: Option<u32>,
    /// Whether it must live without an operating system.
    pub(crate) core: bool,
}

/// Reads the map of this workspace.
pub(crate) fn read() -> Result<Vec<Place>> {
    let path = tools::root().join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Place>> {
    let places: Vec<Place> = text.lines().filter_map(row).collect();
    if !places.iter().any(|place| place.core) {
        bail!("ARCHITECTURE.md has no table of floors with a core in it");
    }
    Ok(places)
}

fn row(line: &str) -> Option<Place> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let (floor, name, kind) = (cells.next()?, cells.next()?, cells.next()?);
    let name = name.strip_prefix('`')?.strip_suffix('`')?.to_owned();
    let floor = match floor {
        "–" | "-" => None,
        number => Some(number.parse().ok()?),
    };
    Some(Place { name, floor, core: kind == "core" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_table_become_places() {
        let text = "| floor | crate | kind | what |\n|--:|---|---|---|\n\
                    | 0 | `base` | core | time |\n| 5 | `lab` | product | x |\n| – | `xtask` | chores | y |\n";
        let place = |name: &str, floor, core| Place { name: name.to_owned(), floor, core };
        let expected = [
            place("base", Some(0), true),
            place("lab", Some(5), false),
            place("xtask", None, false),
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn a_text_without_the_table_is_an_error() {
        assert!(parse("no table here").is_err());
    }
}
