//! Where in a file a mistake stands: keys found by path, bytes turned into line and caret.

use std::fmt::Write;
use std::ops::Range;

use base::Problem;
use toml::de::{DeTable, DeValue};

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
    let mut out = String::new();
    let (message, remedy) = (&problem.message, &problem.remedy);
    let _ = match at.filter(|at| at.start <= text.len() && text.is_char_boundary(at.start)) {
        None => writeln!(out, "error: {file}: {}: {message}", problem.key),
        Some(at) => {
            let (line, column) = position(text, at.start);
            let shown = text.lines().nth(line - 1).unwrap_or_default();
            let before = shown
                .chars()
                .take(column - 1)
                .map(|c| if c == '\t' { '\t' } else { ' ' })
                .collect::<String>();
            let marked =
                text.get(at).map_or(1, |s| s.lines().next().unwrap_or_default().chars().count());
            let carets = "^"
                .repeat(marked.clamp(1, shown.chars().count().saturating_sub(column - 1).max(1)));
            let margin = " ".repeat(line.to_string().len());
            writeln!(
                out,
                "error: {}: {message}\n{margin}--> {file}:{line}:{column}\n{margin} |\n{line} | {shown}\n{margin} | {before}{carets}",
                problem.key
            )
        }
    };
    if !remedy.is_empty() {
        let _ = writeln!(out, "  help: {remedy}");
    }
    out
}

/// Line and column, both from 1; columns count characters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (line, before[start..].chars().count() + 1)
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
