//! Places in texts that people write, and how such a place is shown to them.

use alloc::format;
use alloc::string::String;

/// A place in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, from 1; 0 for the text as a whole.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl Place {
    /// The place of the byte `at` of a text. One behind its end, or within a character, is that of the last character before.
    pub fn of(text: &str, at: usize) -> Self {
        let before = &text[..text.floor_char_boundary(at)];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        Self { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1 }
    }

    /// The file's name with the place, and below it the line with `length` characters marked (at least one, at most to the line's
    /// end), each line with its end. Of a line of more than `most` characters only those around the place are shown, and of a whole
    /// text none.
    pub fn shown(self, file: &str, text: &str, length: usize, most: usize) -> String {
        let Self { line, column } = self;
        let Some(above) = line.checked_sub(1) else { return format!(" --> {file}\n") };
        let margin = " ".repeat(digits(line));
        let whole = text.split('\n').nth(above).unwrap_or_default().trim_end_matches('\r');
        let (shown, at) = window(whole, column.saturating_sub(1), most);
        let before = shown.chars().take(at);
        let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let rest = shown.chars().count().saturating_sub(at);
        let carets = "^".repeat(length.clamp(1, rest.max(1)));
        format!(
            "{margin}--> {file}:{line}:{column}\n{margin} |\n{line} | {shown}\n{margin} | {indent}{carets}\n"
        )
    }
}

/// The `most` characters of a line around the one at `at`, with `…` where something is left out, and where in them it stands.
fn window(line: &str, at: usize, most: usize) -> (String, usize) {
    let count = line.chars().count();
    if count <= most {
        return (line.into(), at);
    }
    // What stands before it says where it is; what it is stands behind.
    let start = at.saturating_sub(most / 3).min(count - most);
    let mut shown = String::new();
    if start > 0 {
        shown.push('…');
    }
    let at = at - start + shown.chars().count();
    shown.extend(line.chars().skip(start).take(most));
    if start + most < count {
        shown.push('…');
    }
    (shown, at)
}

fn digits(line: usize) -> usize {
    line.checked_ilog10().map_or(1, |tens| tens as usize + 1)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "ä b\r\n\tc\n";
        for (at, line, column) in
            [(0, 1, 1), (3, 1, 3), (7, 2, 2), (9, 3, 1), (99, 3, 1), (1, 1, 1)]
        {
            assert_eq!(Place::of(text, at), Place { line, column }, "{at}");
        }
    }

    #[test]
    fn a_place_is_shown_with_its_line_and_as_many_carets_as_fit() {
        let text = "a\n\tb cd\r\n";
        let place = Place { line: 2, column: 4 };
        assert_eq!(place.shown("f", text, 2, 9), " --> f:2:4\n  |\n2 | \tb cd\n  | \t  ^^\n");
        assert_eq!(place.shown("f", text, 9, 9), place.shown("f", text, 2, 9));
        assert_eq!(Place::default().shown("f", text, 2, 9), " --> f\n");
        let end = Place::of(text, text.len());
        assert_eq!(end.shown("f", text, 0, 9), " --> f:3:1\n  |\n3 | \n  | ^\n");
        let tenth = Place { line: 10, column: 1 };
        assert!(
            tenth.shown("f", &"x\n".repeat(10), 1, 9).starts_with("  --> f:10:1\n   |\n10 | x")
        );
    }

    #[test]
    fn of_a_long_line_only_what_stands_around_the_place_is_shown() {
        let text = "abcdefghijklmnopqrstuvwxyz";
        let shown = |column| {
            let place = Place { line: 1, column };
            let shown = place.shown("f", text, 2, 9);
            shown.lines().skip(2).map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(shown(13), ["1 | …jklmnopqr…", "  |     ^^"]);
        assert_eq!(shown(1), ["1 | abcdefghi…", "  | ^^"]);
        assert_eq!(shown(26), ["1 | …rstuvwxyz", "  |          ^"]);
        assert_eq!(shown(27), ["1 | …rstuvwxyz", "  |           ^"]);
    }
}
