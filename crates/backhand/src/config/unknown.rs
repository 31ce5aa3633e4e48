//! Mistakes of form, with a remedy: which key was probably meant.

use base::Problem;

/// The reader's error as a problem of the usual form.
pub(super) fn explain(error: &toml::de::Error) -> Problem {
    let message = error.message();
    let remedy = unknown_key(message).map(remedy).unwrap_or_default();
    let (key, message) = match unknown_key(message) {
        Some((key, _)) => (key.to_owned(), String::from("this key is not known here")),
        None => (String::from("configuration"), message.replace('\n', " ")),
    };
    let problem = Problem::new(key, message, remedy);
    match error.span() {
        Some(at) => problem.at(at),
        None => problem,
    }
}

/// The unknown key and the known ones, from the reader's words: "unknown field `x`, expected one of `a`, `b`".
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    Some((key, rest.split('`').skip(1).step_by(2).collect()))
}

fn remedy((key, known): (&str, Vec<&str>)) -> String {
    let nearest = known.iter().map(|k| (distance(key, k), *k)).min();
    match nearest {
        Some((d, k)) if d <= k.len().max(3) / 3 => format!("did you mean {k}?"),
        _ if known.is_empty() => String::from("nothing can be set here"),
        _ => format!("known here: {}", known.join(", ")),
    }
}

/// How many letters must be added, removed or changed (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_key_is_offered() {
        assert_eq!(remedy(("lisen", vec!["listen", "workers"])), "did you mean listen?");
        assert_eq!(
            remedy(("frobnicate", vec!["listen", "workers"])),
            "known here: listen, workers"
        );
    }

    #[test]
    fn distances_count_single_letters() {
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("lisen", "listen"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
