//! Where in a file a mistake stands: keys found by path, bytes turned into line and caret.

use std::fmt::Write;
use std::ops::Range;

use base::{Place, Problem};
use toml::de::{DeTable, DeValue};

/// Most of a line that is shown with a mistake, in characters.
const LINE_MAX: usize = 120;

/// The bytes of the value that `key` (`announce.targets[1].ttl`) names, or of the nearest table above it that is there.
pub(super) fn find(text: &str, key: &str) -> Option<Range<usize>> {
    look(text, key).0
}

/// Whether the value that `key` names stands in the file.
pub(super) fn is_written(text: &str, key: &str) -> bool {
    look(text, key).1
}

/// The nearest place, and whether it is the very one.
fn look(text: &str, key: &str) -> (Option<Range<usize>>, bool) {
    let Ok(table) = DeTable::parse(text) else { return (None, false) };
    let mut found = None;
    let mut here: Option<&DeValue<'_>> = None;
    for step in steps(key) {
        let next = match (step, here) {
            (Step::Name(name), None) => table.get_ref().get(name),
            (Step::Name(name), Some(value)) => value.as_table().and_then(|t| t.get(name)),
            (Step::Index(i), value) => value.and_then(DeValue::as_array).and_then(|a| a.get(i)),
        };
        let Some(next) = next else { return (found, false) };
        found = Some(next.span());
        here = Some(next.get_ref());
    }
    (found, true)
}

enum Step<'a> {
    Name(&'a str),
    Index(usize),
}

fn steps(key: &str) -> impl Iterator<Item = Step<'_>> {
    key.split('.').flat_map(|part| {
        let (name, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        let indexes = indexes.split(['[', ']']).filter_map(|i| i.parse().ok().map(Step::Index));
        std::iter::once(Step::Name(name)).filter(|_| !name.is_empty()).chain(indexes)
    })
}

/// A problem as people read it: file, line and column; the line itself with a caret; what is wrong; what to do.
pub(super) fn render(file: &str, text: &str, problem: &Problem) -> String {
    let at = problem.at.clone().or_else(|| find(text, &problem.key));
    let Problem { key, message, remedy, .. } = problem;
    let mut out = match at.filter(|at| text.is_char_boundary(at.start)) {
        None => format!("error: {file}: {key}: {message}\n"),
        Some(at) => {
            let place = Place::of(text, at.start);
            let marked =
                text.get(at).map_or(1, |s| s.lines().next().unwrap_or_default().chars().count());
            format!("error: {key}: {message}\n{}", place.shown(file, text, marked, LINE_MAX))
        }
    };
    if !remedy.is_empty() {
        let _ = writeln!(out, "  help: {remedy}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[announce]\ninterval = \"1ms\"\ntargets = [\"a\", \"b\"]\n";

    #[test]
    fn a_key_is_found_by_its_path() {
        assert_eq!(&TEXT[find(TEXT, "announce.interval").unwrap()], "\"1ms\"");
        assert_eq!(&TEXT[find(TEXT, "announce.targets[1]").unwrap()], "\"b\"");
    }

    #[test]
    fn a_key_that_is_not_there_points_at_what_is_above_it() {
        assert_eq!(find(TEXT, "announce.port"), find(TEXT, "announce"));
        assert_eq!(find(TEXT, "nowhere"), None);
        assert!(
            is_written(TEXT, "announce.targets[1]") && !is_written(TEXT, "announce.targets[2]")
        );
        assert!(!is_written(TEXT, "announce.port"));
    }

    #[test]
    fn a_problem_shows_line_caret_and_remedy() {
        let problem = Problem::new("announce.interval", "1ms is below 50ms", "write 50ms or more");
        let shown = render("b.toml", TEXT, &problem);
        let expected = "error: announce.interval: 1ms is below 50ms\n --> b.toml:2:12\n  |\n2 | interval = \"1ms\"\n  |            ^^^^^\n  help: write 50ms or more\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_place_beyond_the_text_does_no_harm() {
        assert!(render("b.toml", "", &Problem::new("a", "b", "").at(100..200)).contains("b.toml"));
        assert!(render("b.toml", "é", &Problem::new("a", "b", "").at(1..2)).contains("b.toml"));
        assert!(render("b.toml", "x = 1", &Problem::new("a", "b", "").at(5..5)).contains("1:6"));
    }
}
