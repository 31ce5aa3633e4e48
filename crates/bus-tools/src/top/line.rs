//! Lines of the screen: pieces of text, each with a tone, and tables that leave out columns where there is no room.

/// How a piece is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    /// The bar at the top and the one at the bottom.
    Bar,
    /// Titles of columns.
    Title,
    Quiet,
    Good,
    Warn,
    Bad,
}

impl Tone {
    fn sequence(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bar => "\x1b[7m",
            Self::Title => "\x1b[1m",
            Self::Quiet => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Bad => "\x1b[31m",
        }
    }
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Tone, String)>);

impl Line {
    pub(super) fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self::default().and(tone, text)
    }

    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self::of(Tone::Plain, text)
    }

    /// With another piece.
    pub(super) fn and(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.push(tone, text);
        self
    }

    pub(super) fn push(&mut self, tone: Tone, text: impl Into<String>) {
        // What daemons say is shown and never obeyed by the terminal.
        let shown = |c: char| if c.is_control() { '?' } else { c };
        self.0.push((tone, text.into().chars().map(shown).collect()));
    }

    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// Filled with spaces up to `width` in the tone of its last piece.
    pub(super) fn filled(mut self, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        let tone = self.0.last().map(|(tone, _)| *tone).unwrap_or_default();
        self.push(tone, " ".repeat(missing));
        self
    }

    /// What a terminal is sent: at most `width` columns, with colours or without.
    pub(super) fn text(&self, width: usize, colors: bool) -> String {
        let mut left = width;
        let mut out = String::new();
        for (tone, text) in &self.0 {
            let piece: String = text.chars().take(left).collect();
            left -= piece.chars().count();
            match tone.sequence() {
                "" => out.push_str(&piece),
                _ if !colors || piece.is_empty() => out.push_str(&piece),
                sequence => out.push_str(&format!("{sequence}{piece}\x1b[0m")),
            }
        }
        if colors { out } else { out.trim_end().to_owned() }
    }
}

/// A column of a table.
pub(super) struct Column {
    title: &'static str,
    /// 0 stays; of the others the highest goes first.
    rank: u8,
    /// Numbers stand at the right.
    right: bool,
    cells: Vec<(Tone, String)>,
}

impl Column {
    pub(super) fn words(title: &'static str, rank: u8, cells: Vec<(Tone, String)>) -> Self {
        Self { title, rank, right: false, cells }
    }

    pub(super) fn numbers(
        title: &'static str,
        rank: u8,
        cells: impl IntoIterator<Item = String>,
    ) -> Self {
        let cells = cells.into_iter().map(|text| (Tone::Plain, text)).collect();
        Self { title, rank, right: true, cells }
    }

    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|(_, text)| text.chars().count());
        cells.chain([self.title.chars().count()]).max().unwrap_or(0)
    }

    fn cell(&self, line: &mut Line, tone: Tone, text: &str) {
        let width = self.width();
        line.push(
            tone,
            if self.right { format!("{text:>width$}") } else { format!("{text:<width$}") },
        );
    }
}

/// Spaces between two columns.
const GAP: usize = 2;

/// The lines of a table: its titles and then its rows, with as many columns as there is room for.
pub(super) fn table(mut columns: Vec<Column>, width: usize) -> Vec<Line> {
    let needs = |columns: &[Column]| {
        columns.iter().map(|column| column.width() + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while needs(&columns) > width
        && let Some((at, _)) = columns.iter().enumerate().max_by_key(|(_, c)| c.rank)
        && columns[at].rank > 0
    {
        columns.remove(at);
    }
    let rows = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    let mut lines = vec![Line::default(); rows + 1];
    for (place, column) in columns.iter().enumerate() {
        for line in lines.iter_mut().filter(|_| place > 0) {
            line.push(Tone::Plain, " ".repeat(GAP));
        }
        let (titles, body) = lines.split_at_mut(1);
        column.cell(&mut titles[0], Tone::Title, column.title);
        for (line, (tone, text)) in body.iter_mut().zip(&column.cells) {
            column.cell(line, *tone, text);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_width_and_obey_nothing() {
        let line = Line::plain("ab\x1b[2J").and(Tone::Bad, "cdµf");
        assert_eq!(line.text(80, false), "ab?[2Jcdµf");
        assert_eq!(line.text(9, true), "ab?[2J\x1b[31mcdµ\x1b[0m");
        assert_eq!(line.text(6, true), "ab?[2J");
        assert_eq!(line.text(0, true), "");
        assert_eq!(Line::of(Tone::Bar, "x").filled(3).text(3, false), "x");
    }

    #[test]
    fn tables_lose_the_least_important_columns_first() {
        let columns = || {
            vec![
                Column::words(
                    "NAME",
                    0,
                    vec![(Tone::Good, "alpha".into()), (Tone::Bad, "b".into())],
                ),
                Column::numbers("RTT", 1, ["1 ms".into(), "20 ms".into()]),
                Column::numbers("UP", 2, ["1 s".into(), "2 s".into()]),
            ]
        };
        let text = |width| {
            table(columns(), width).iter().map(|line| line.text(width, false)).collect::<Vec<_>>()
        };
        assert_eq!(text(17), ["NAME     RTT   UP", "alpha   1 ms  1 s", "b      20 ms  2 s"]);
        assert_eq!(text(16), ["NAME     RTT", "alpha   1 ms", "b      20 ms"]);
        assert_eq!(text(11), ["NAME", "alpha", "b"]);
        assert_eq!(text(3), ["NAM", "alp", "b"]);
        assert_eq!(table(Vec::new(), 10).len(), 1);
    }
}
