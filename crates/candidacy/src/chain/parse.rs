//! From texts to functions. Names in any case; an error names the function, the argument and the
//! remedy.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base::units::Span;
use regex::Regex;

use super::{ChainError, Entry, Function, MAX_FUNCTIONS, Resolve, redirect};

/// Names of the built-in functions, and whether they take an argument: never, if wanted, always.
const BUILT_IN: [(&str, Argument); 15] = [
    ("byAge", Argument::Optional),
    ("byRandom", Argument::None),
    ("byLogWindow", Argument::None),
    ("byCPU", Argument::None),
    ("byLoad", Argument::Optional),
    ("byBusyChildren", Argument::None),
    ("byCost", Argument::None),
    ("addPrediction", Argument::None),
    ("byHostname", Argument::Required("byHostname (alpha|sun4u)")),
    ("removeSelf", Argument::None),
    ("addSelf", Argument::None),
    ("HTTPRedirectToIP", Argument::None),
    ("HTTPRedirectToName", Argument::Optional),
    ("off", Argument::None),
    ("byFresh", Argument::None),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Argument {
    None,
    Optional,
    Required(&'static str),
}

const DEFAULT_AGE: f64 = 5.0;
const LONGEST_AGE: f64 = 86_400.0;
const GREATEST_BIAS: f32 = 1000.0;
const LONGEST_TEXT: usize = 1024;

pub(super) fn entries<T: AsRef<str>>(
    texts: &[T],
    resolve: Resolve<'_>,
) -> Result<Vec<Entry>, ChainError> {
    let error = |index: usize, problem: String| ChainError {
        index,
        text: texts[index].as_ref().chars().take(80).collect(),
        problem,
    };
    if texts.len() > MAX_FUNCTIONS {
        return Err(error(
            MAX_FUNCTIONS,
            format!("a chain has at most {MAX_FUNCTIONS} functions; remove some"),
        ));
    }
    let mut entries = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let entry = entry(text.as_ref(), resolve).map_err(|problem| error(index, problem))?;
        if matches!(entry.function, Function::Off) && texts.len() > 1 {
            return Err(error(index, "off stands alone: it means that nothing is balanced here; remove the other functions, or off".into()));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(text: &str, resolve: Resolve<'_>) -> Result<Entry, String> {
    let text = text.trim();
    if text.len() > LONGEST_TEXT {
        return Err(format!("longer than {LONGEST_TEXT} bytes; write less"));
    }
    let (name, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let argument = unquote(argument.trim());
    let name = if name.eq_ignore_ascii_case("backhand_off") { "off" } else { name };
    let Some(&(canonical, takes)) = BUILT_IN.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))
    else {
        let function = resolve(name, argument).ok_or_else(|| unknown(name))?;
        let argument = argument.to_string();
        let function = Function::Outside { function, argument };
        return Ok(Entry { function, last_order: false, text: text.to_string() });
    };
    match takes {
        Argument::None if !argument.is_empty() => {
            return Err(format!("{canonical} takes no argument; write just {canonical}"));
        }
        Argument::Required(example) if argument.is_empty() => {
            return Err(format!("{canonical} needs an argument; write for instance {example}"));
        }
        _ => {}
    }
    let function = built_in(canonical, argument)?;
    let text =
        if argument.is_empty() { canonical.into() } else { format!("{canonical} {argument}") };
    Ok(Entry { function, last_order: false, text })
}

fn unquote(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

fn built_in(name: &str, argument: &str) -> Result<Function, String> {
    Ok(match name {
        "byAge" => Function::Age { nanos: age(argument)? },
        "byRandom" => Function::Random { window: false },
        "byLogWindow" => Function::LogWindow,
        "byCPU" => Function::Cpu,
        "byLoad" => Function::Load { bias: bias(argument)? },
        "byBusyChildren" => Function::BusyChildren,
        "byCost" => Function::Cost,
        "addPrediction" => Function::AddPrediction,
        "byHostname" => hostname(argument)?,
        "removeSelf" => Function::RemoveSelf,
        "addSelf" => Function::AddSelf,
        "HTTPRedirectToIP" => Function::RedirectToIp,
        "HTTPRedirectToName" => {
            let format = if argument.is_empty() { "%S" } else { argument };
            Function::RedirectToName { pieces: redirect::parse(format)? }
        }
        "off" => Function::Off,
        _ => Function::Fresh,
    })
}

/// Seconds, as they were always written, or a duration with a unit.
fn age(argument: &str) -> Result<u64, String> {
    if argument.is_empty() {
        return Ok((DEFAULT_AGE * 1e9) as u64);
    }
    let seconds = argument
        .parse::<f64>()
        .ok()
        .or_else(|| argument.parse::<Span>().ok().map(|span| span.0.as_secs_f64()));
    match seconds {
        Some(s) if s > 0.0 && s <= LONGEST_AGE => Ok((s * 1e9) as u64),
        Some(_) => Err(format!(
            "\"{argument}\" is no age from above 0 to {LONGEST_AGE} seconds; write for instance byAge 5"
        )),
        None => Err(format!("\"{argument}\" is no number of seconds; write for instance byAge 5")),
    }
}

fn bias(argument: &str) -> Result<f32, String> {
    if argument.is_empty() {
        return Ok(0.0);
    }
    match argument.parse::<f32>() {
        Ok(bias) if (0.0..=GREATEST_BIAS).contains(&bias) => Ok(bias),
        Ok(_) => Err(format!(
            "the bias \"{argument}\" is not from 0 to {GREATEST_BIAS}; write for instance byLoad 0.5"
        )),
        Err(_) => Err(format!("\"{argument}\" is no number; write for instance byLoad 0.5")),
    }
}

fn hostname(argument: &str) -> Result<Function, String> {
    let regex = Regex::new(argument).map_err(|e| regex_problem(argument, &e))?;
    Ok(Function::Hostname { regex, key: fnv(argument.as_bytes()) })
}

/// One line about a regular expression that is none.
pub(crate) fn regex_problem(text: &str, error: &regex::Error) -> String {
    let said = error.to_string();
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("unknown problem");
    let last = last.trim().trim_start_matches("error: ");
    format!("\"{text}\" is no regular expression: {last}; see docs.rs/regex for what it may hold")
}

/// FNV-1a, 64 bits. Names a text, within one configuration or between machines.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn unknown(name: &str) -> String {
    if name.is_empty() {
        return "no function named; write for instance byFresh".into();
    }
    let near = BUILT_IN
        .iter()
        .map(|&(known, _)| (distance(known, name), known))
        .min()
        .filter(|&(distance, known)| distance <= 2.max(known.len() / 3));
    match near {
        Some((_, known)) => format!("there is no function \"{name}\"; did you mean {known}?"),
        None => {
            let names: Vec<&str> = BUILT_IN.iter().map(|&(known, _)| known).collect();
            format!("there is no function \"{name}\"; known are {}", names.join(" "))
        }
    }
}

/// Edits between two names, case aside. Long names are cut: they are none of ours.
fn distance(a: &str, b: &str) -> usize {
    let lower = |s: &str| s.bytes().take(40).map(|c| c.to_ascii_lowercase()).collect::<Vec<u8>>();
    let (a, b) = (lower(a), lower(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chain;
    use proptest::prelude::*;

    fn texts(chain: &[&str]) -> Vec<String> {
        Chain::parse(chain).unwrap().texts().map(String::from).collect()
    }

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(
            texts(&[
                "BYAGE 2",
                "byrandom",
                "ByLogWindow",
                "bycpu",
                "byload .5",
                "httpredirecttoip"
            ]),
            ["byAge 2", "byRandom", "byLogWindow", "byCPU", "byLoad .5", "HTTPRedirectToIP"]
        );
        assert_eq!(texts(&["backhand_off"]), ["off"]);
    }

    #[test]
    fn quotes_around_an_argument_are_not_part_of_it() {
        assert_eq!(
            texts(&["HTTPRedirectToName \"%1S.example.com\"", "byHostname '(alpha|sun4u)'"]),
            ["HTTPRedirectToName %1S.example.com", "byHostname (alpha|sun4u)"]
        );
    }

    #[test]
    fn no_chain_is_the_default_policy() {
        assert_eq!(texts(&[]), ["byFresh"]);
        assert!(Chain::standard().asks() && !Chain::standard().is_off());
    }

    #[test]
    fn only_a_chain_that_ends_in_by_fresh_asks() {
        let asks = |texts: &[&str]| Chain::parse(texts).unwrap().asks();
        assert!(asks(&["byHostname db", "byFresh"]) && asks(&["byFresh", "addPrediction"]));
        assert!(!asks(&["byFresh", "byRandom"]) && !asks(&["byLoad"]) && !asks(&["off"]));
        assert!(!asks(&["byFresh", "HTTPRedirectToIP"]));
    }

    #[test]
    fn mistakes_are_named_with_their_remedy() {
        for (chain, said) in [
            (
                &["byAge", "byLode"][..],
                "function 2 of the chain, \"byLode\": there is no function \"byLode\"; did you mean byLoad?",
            ),
            (&["byBusyChilds"], "did you mean byBusyChildren?"),
            (&["teapot"], "known are byAge byRandom"),
            (&["byAge five"], "\"five\" is no number of seconds; write for instance byAge 5"),
            (&["byAge -1"], "\"-1\" is no age from above 0"),
            (&["byAge nan"], "\"nan\" is no age"),
            (&["byRandom 3"], "byRandom takes no argument"),
            (
                &["byHostname"],
                "byHostname needs an argument; write for instance byHostname (alpha|sun4u)",
            ),
            (&["byHostname (alpha"], "\"(alpha\" is no regular expression: unclosed group"),
            (&["byLoad much"], "\"much\" is no number"),
            (&["byLoad -1"], "the bias \"-1\" is not from 0 to 1000"),
            (&["off", "byLoad"], "off stands alone"),
            (&["HTTPRedirectToName %Q"], "\"%Q\" is not known; known are %S"),
            (&[""], "no function named"),
        ] {
            let error = Chain::parse(chain).unwrap_err().to_string();
            assert!(error.contains(said), "{chain:?}: {error}");
        }
        assert!(Chain::parse(&["byRandom"; 33]).unwrap_err().problem.contains("at most 32"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = Chain::parse(&[text]);
        }

        #[test]
        fn what_was_read_reads_the_same_again(
            chain in prop::collection::vec(prop::sample::select(alloc::vec![
                "byAge 7", "byrandom", "byLogWindow", "byCPU", "byLoad 0.5", "byCost",
                "addPrediction", "byHostname ^web[0-9]", "removeSelf", "HTTPRedirectToName %2S",
            ]), 1..8),
        ) {
            let first: Vec<String> = Chain::parse(&chain).unwrap().texts().map(String::from).collect();
            let again: Vec<String> = Chain::parse(&first).unwrap().texts().map(String::from).collect();
            prop_assert_eq!(first, again);
        }
    }
}
