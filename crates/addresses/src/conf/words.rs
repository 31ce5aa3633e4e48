//! The words that mean something in a `wackamole.conf`, in any case.

/// Mistakes noted of one kind before nobody would read more.
pub(super) const MANY: usize = 64;

/// What begins a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directive {
    Spread,
    SpreadRetryInterval,
    Group,
    Control,
    LogFacility,
    Mature,
    ArpCache,
    Balance,
    Prefer,
    VirtualInterfaces,
    Notify,
    ModuleDir,
    PerlUseLib,
    PerlUse,
    RunDynamic,
}

const DIRECTIVES: [(&str, Directive); 17] = [
    ("Spread", Directive::Spread),
    ("SpreadRetryInterval", Directive::SpreadRetryInterval),
    ("Group", Directive::Group),
    ("Control", Directive::Control),
    ("LogFacility", Directive::LogFacility),
    ("Mature", Directive::Mature),
    ("Arp-Cache", Directive::ArpCache),
    ("Balance", Directive::Balance),
    ("Prefer", Directive::Prefer),
    ("VirtualInterfaces", Directive::VirtualInterfaces),
    ("VIFs", Directive::VirtualInterfaces),
    ("VIPs", Directive::VirtualInterfaces),
    ("Notify", Directive::Notify),
    ("ModuleDir", Directive::ModuleDir),
    ("PerlUseLib", Directive::PerlUseLib),
    ("PerlUse", Directive::PerlUse),
    ("RunDynamic", Directive::RunDynamic),
];

/// What stands between the braces of `Balance`.
pub(super) const ROUNDS: &str = "AcquisitionsPerRound";
/// The same.
pub(super) const INTERVAL: &str = "Interval";

/// Words that begin nothing and mean something all the same.
const OTHERS: [&str; 6] = [ROUNDS, INTERVAL, "all", "none", "ping", "throttle"];

/// The directive of this name.
pub(super) fn directive(word: &str) -> Option<Directive> {
    let named = DIRECTIVES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    named.map(|(_, directive)| *directive)
}

/// Whether `word` is a name that has an equals sign behind it, or might have.
pub(super) fn names(word: &str) -> bool {
    directive(word).is_some() || [ROUNDS, INTERVAL].iter().any(|one| one.eq_ignore_ascii_case(word))
}

/// Whether a text of this kind has to be quoted.
pub(super) fn reserved(word: &str) -> bool {
    directive(word).is_some() || OTHERS.iter().any(|one| one.eq_ignore_ascii_case(word))
}

/// The directive that was probably meant.
pub(super) fn meant(word: &str) -> Option<&'static str> {
    let word = word.trim_end_matches('=').to_ascii_lowercase();
    // Directives are short; what is far longer is none, and would cost time.
    if word.len() > 32 {
        return None;
    }
    let names = DIRECTIVES.iter().map(|(name, _)| *name).chain([ROUNDS, INTERVAL]);
    let scored = names.map(|name| (distance(&name.to_ascii_lowercase(), &word), name));
    let (least, name) = scored.min_by_key(|(distance, _)| *distance)?;
    (least <= 1 + word.len() / 4).then_some(name)
}

/// Letters to put in, take out or exchange.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let exchanged = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(corner + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_a_directive_is_recognised() {
        for (word, name) in [
            ("Grupp", Some("Group")),
            ("virtualinterface", Some("VirtualInterfaces")),
            ("vif", Some("VIFs")),
            ("arpcache", Some("Arp-Cache")),
            ("Prefere", Some("Prefer")),
            ("weather", None),
        ] {
            assert_eq!(meant(word), name, "{word}");
        }
    }

    #[test]
    fn keywords_have_any_case() {
        assert_eq!(directive("vifS"), Some(Directive::VirtualInterfaces));
        assert!(names("ACQUISITIONSPERROUND") && reserved("PING") && !reserved("wack1"));
    }
}
