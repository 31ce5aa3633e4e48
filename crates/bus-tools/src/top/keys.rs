//! What keys mean, from the bytes a terminal sends for them.

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    /// Stop here for a while, as Ctrl-Z does.
    Suspend,
    Pause,
    Sort,
    Help,
    Redraw,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
}

/// The keys in what was read at once; what has no meaning is skipped.
pub(super) fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        let key = match first {
            b'q' | b'Q' | 3 | 4 => Key::Quit,
            26 => Key::Suspend,
            b' ' | b'p' => Key::Pause,
            b's' => Key::Sort,
            b'h' | b'?' => Key::Help,
            12 => Key::Redraw,
            b'k' => Key::Up,
            b'j' => Key::Down,
            b'g' => Key::Home,
            b'G' => Key::End,
            0x1b => match sequence(&mut bytes) {
                Some(key) => key,
                None => continue,
            },
            _ => continue,
        };
        keys.push(key);
    }
    keys
}

/// What comes behind an escape: `[` or `O`, parameters, and a letter or `~`.
fn sequence(bytes: &mut &[u8]) -> Option<Key> {
    let [b'[' | b'O', rest @ ..] = *bytes else { return None };
    let length = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
    let Some(length) = length else {
        *bytes = &[];
        return None;
    };
    let (parameters, end) = (&rest[..length], rest[length]);
    *bytes = &rest[length + 1..];
    Some(match (end, parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"5") => Key::PageUp,
        (b'~', b"6") => Key::PageDown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_whatever_pieces_and_company_they_come() {
        assert_eq!(keys(b"q"), [Key::Quit]);
        assert_eq!(keys(b"\x03"), [Key::Quit]);
        assert_eq!(keys(b" xs"), [Key::Pause, Key::Sort]);
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[5~\x1b[6~"),
            [Key::Up, Key::Down, Key::PageUp, Key::PageDown]
        );
        assert_eq!(keys(b"\x1b[1;5Aq"), [Key::Up, Key::Quit]);
        // A report of the mouse or a focus, an escape alone, one that was cut: nothing.
        assert_eq!(keys(b"\x1b[I\x1b[<0;3;4Mj"), [Key::Down]);
        assert_eq!(keys(b"\x1b"), []);
        assert_eq!(keys(b"\x1b[12"), []);
        assert_eq!(keys(b"\x1bq"), [Key::Quit]);
        assert_eq!(keys(&[0xff, 0, 200]), []);
    }
}
