//! The options of a `spread.conf`: which there are, how each is written, and its value judged.
//!
//! Names are case-sensitive; what is true or false, on or off may be written in any case. An option that
//! stands twice counts as it stands last, as in the original.

use std::time::Duration;

use base::Place;

use super::address::Family;
use super::flags::DebugFlags;
use super::mistake::{Mistake, What};
use super::options::{
    AuthMethod, DEFAULT_PATTERN, EventPriority, Options, PortReuse, TimeStamp, Timeouts,
};
use super::parser::Setting;
use super::{TIME_STAMP_MAX, Warning};

/// How an option is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `Name = value`
    Value,
    /// `Name` or `Name = text`
    Maybe,
    /// `Name`
    Flag,
    /// `Name = { FLAG !FLAG }`
    Set,
}

/// The nine timeouts, in the order of [`Options::timeouts`].
const TIMEOUTS: [&str; 9] = [
    "TokenTimeout",
    "HurryTimeout",
    "AliveTimeout",
    "JoinTimeout",
    "RepTimeout",
    "SegTimeout",
    "GatherTimeout",
    "FormTimeout",
    "LookupTimeout",
];

const NAMES: [&str; 22] = [
    "DebugFlags",
    "EventPriority",
    "EventLogFile",
    "EventTimeStamp",
    "EventPreciseTimeStamp",
    "DangerousMonitor",
    "SocketPortReuse",
    "RuntimeDir",
    "DaemonUser",
    "DaemonGroup",
    "RequiredAuthMethods",
    "AllowedAuthMethods",
    "AccessControlPolicy",
    "MaxSessionMessages",
    "ActiveIPVersion",
    "Window",
    "PersonalWindow",
    "AcceleratedRing",
    "AcceleratedWindow",
    "WideAreaNetwork",
    "ExcludeSegAddrsFromHash",
    "IgnoreMulticastJoinErrors",
];

/// How the option `name` is written, if there is one of this name.
pub(super) fn form(name: &str) -> Option<Form> {
    let name = NAMES.iter().chain(&TIMEOUTS).find(|known| **known == name)?;
    Some(match *name {
        "DebugFlags" => Form::Set,
        "EventTimeStamp" => Form::Maybe,
        "EventPreciseTimeStamp" => Form::Flag,
        _ => Form::Value,
    })
}

/// The word of the top level that `text` probably is: the same letters in another case, or with one of them wrong.
pub(super) fn closest(text: &str) -> Option<&'static str> {
    let known = NAMES.iter().chain(&TIMEOUTS).chain(&["Spread_Segment"]);
    let same = |known: &str| known.eq_ignore_ascii_case(text) || is_near(known, text);
    known.copied().find(|known| same(known))
}

/// Whether one letter more, less or other makes the one the other, in any case.
fn is_near(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let start = a.iter().zip(b).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a.eq_ignore_ascii_case(b));
    let end = end.count();
    a.len() - end <= 1 && b.len() - end <= 1
}

/// Judges the settings of a file, in its order.
pub(super) fn judge(
    settings: &[Setting<'_>],
    mistakes: &mut Vec<Mistake>,
    warnings: &mut Vec<Warning>,
) -> Options {
    let mut judge = Judge { options: Options::default(), timeouts: [None; 9], precise: false };
    let mut seen: Vec<&str> = Vec::new();
    for (i, setting) in settings.iter().enumerate() {
        let name = setting.name;
        // There are only so many names; the file may have many settings.
        if !seen.contains(&name.text) {
            seen.push(name.text);
            let same = |other: &&Setting<'_>| other.name.text == name.text;
            if let Some(last) = settings[i + 1..].iter().rfind(same) {
                let line = last.name.place.line;
                let text =
                    format!("{} stands here and again, and counts as in line {line}", name.text);
                warnings.push(Warning { line: name.place.line, text });
            }
        }
        if let Err(mistake) = judge.take(setting) {
            mistakes.push(mistake);
        }
    }
    mistakes.extend(judge.windows(settings));
    mistakes.extend(judge.whole_timeouts(settings));
    let stamp = &mut judge.options.event_time_stamp;
    if judge.precise {
        let pattern = DEFAULT_PATTERN.into();
        stamp.get_or_insert(TimeStamp { pattern, precise: true }).precise = true;
    }
    judge.options
}

struct Judge {
    options: Options,
    timeouts: [Option<Duration>; 9],
    precise: bool,
}

impl Judge {
    fn take(&mut self, setting: &Setting<'_>) -> Result<(), Mistake> {
        let options = &mut self.options;
        let value = setting.value.unwrap_or(setting.name);
        let wrong = |what| Mistake::new(&value, what);
        let text = value.text;
        let filled = || if text.is_empty() { Err(wrong(What::Empty)) } else { Ok(text.to_owned()) };
        let truth = || truth(text).ok_or_else(|| wrong(What::Word("true or false")));
        let number = |least| number(text, least).map_err(wrong);
        match setting.name.text {
            "DebugFlags" => options.debug_flags = Some(DebugFlags::read(&setting.flags)?),
            "EventPriority" => options.event_priority = priority(text).map_err(wrong)?,
            "EventLogFile" => options.event_log_file = Some(filled()?),
            "EventTimeStamp" => {
                let pattern =
                    if setting.value.is_some() { filled()? } else { DEFAULT_PATTERN.into() };
                if pattern.chars().count() > TIME_STAMP_MAX {
                    return Err(wrong(What::Long));
                }
                options.event_time_stamp = Some(TimeStamp { pattern, precise: false });
            }
            "EventPreciseTimeStamp" => self.precise = true,
            "DangerousMonitor" => options.dangerous_monitor = truth()?,
            "SocketPortReuse" => options.socket_port_reuse = Some(reuse(text).map_err(wrong)?),
            "RuntimeDir" => options.runtime_dir = Some(filled()?),
            "DaemonUser" => options.daemon_user = Some(filled()?),
            "DaemonGroup" => options.daemon_group = Some(filled()?),
            // Blank is how the original's sample file writes none.
            "RequiredAuthMethods" if text.trim().is_empty() => {
                options.required_auth_methods.clear();
            }
            "RequiredAuthMethods" => {
                options.required_auth_methods = methods(text).map_err(wrong)?
            }
            "AllowedAuthMethods" => options.allowed_auth_methods = methods(text).map_err(wrong)?,
            "AccessControlPolicy" if text == "PERMIT" => options.access_control_policy = true,
            "AccessControlPolicy" => return Err(wrong(What::Policy)),
            "MaxSessionMessages" => options.max_session_messages = Some(number(1)?),
            "ActiveIPVersion" => {
                options.active_ip_version = Some(match text {
                    "IPv4" => Family::V4,
                    "IPv6" => Family::V6,
                    _ => return Err(wrong(What::Word("IPv4 or IPv6, in this case"))),
                });
            }
            "Window" => options.window = Some(number(1)?),
            "PersonalWindow" => options.personal_window = Some(number(1)?),
            "AcceleratedRing" => options.accelerated_ring = Some(truth()?),
            "AcceleratedWindow" => options.accelerated_window = Some(number(0)?),
            "WideAreaNetwork" => options.wide_area_network = Some(truth()?),
            "ExcludeSegAddrsFromHash" => options.exclude_seg_addrs_from_hash = truth()?,
            "IgnoreMulticastJoinErrors" => options.ignore_multicast_join_errors = Some(truth()?),
            timeout => {
                if let Some(i) = TIMEOUTS.iter().position(|name| *name == timeout) {
                    self.timeouts[i] = Some(Duration::from_millis(number(1)?.into()));
                }
            }
        }
        Ok(())
    }

    /// Each window is a part of the one before it. A default gives way.
    fn windows(&mut self, settings: &[Setting<'_>]) -> Option<Mistake> {
        let Options { window, personal_window, accelerated_window, accelerated_ring, .. } =
            self.options;
        let whole = window.unwrap_or(super::WINDOW);
        let part = |name, value: u32, above, limit: u32| {
            let (place, text) = last(settings, name);
            let limit_text = format!("{above} = {limit}");
            let what = What::Window { name, value, limit: limit_text };
            (value > limit).then(|| Mistake::at(place, text, what))
        };
        let personal = personal_window.unwrap_or(super::PERSONAL_WINDOW.min(whole));
        let too_large = part("PersonalWindow", personal, "Window", whole);
        if too_large.is_some() || accelerated_ring != Some(true) {
            return too_large;
        }
        let early = accelerated_window.unwrap_or(super::ACCELERATED_WINDOW.min(personal));
        part("AcceleratedWindow", early, "PersonalWindow", personal)
    }

    fn whole_timeouts(&mut self, settings: &[Setting<'_>]) -> Option<Mistake> {
        let written = |name: &&&str| settings.iter().any(|setting| setting.name.text == **name);
        let missing: Vec<_> = TIMEOUTS.iter().filter(|name| !written(name)).copied().collect();
        let first = TIMEOUTS.iter().find(written)?;
        if !missing.is_empty() {
            let (place, text) = last(settings, first);
            let what = What::Timeouts(format!("{} missing", missing.join(", ")));
            return Some(Mistake::at(place, text, what));
        }
        if let [Some(token), Some(hurry), Some(alive), Some(join), Some(rep), rest @ ..] =
            self.timeouts
            && let [Some(seg), Some(gather), Some(form), Some(lookup)] = rest
        {
            let timeouts = Timeouts { token, hurry, alive, join, rep, seg, gather, form, lookup };
            self.options.timeouts = Some(timeouts);
        }
        None
    }
}

/// Where the option `name` stands last, and its text there.
fn last<'a>(settings: &[Setting<'a>], name: &str) -> (Place, &'a str) {
    let setting = settings.iter().rev().find(|setting| setting.name.text == name);
    setting.map(|setting| (setting.name.place, setting.name.text)).unwrap_or_default()
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// 1 to 9 decimal digits, and no less than `least`.
pub(super) fn number(text: &str, least: u32) -> Result<u32, What> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number >= least);
    number.ok_or(What::Number(least))
}

fn priority(text: &str) -> Result<EventPriority, What> {
    Ok(match text {
        // As the original's own grammar spells it, and as everybody does.
        "pDEBUG" | "DEBUG" => EventPriority::Debug,
        "INFO" => EventPriority::Info,
        "WARNING" => EventPriority::Warning,
        "ERROR" => EventPriority::Error,
        "CRITICAL" => EventPriority::Critical,
        "FATAL" => EventPriority::Fatal,
        _ => return Err(What::Word("DEBUG, INFO, WARNING, ERROR, CRITICAL or FATAL")),
    })
}

fn reuse(text: &str) -> Result<PortReuse, What> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(PortReuse::Auto),
        _ => match truth(text) {
            Some(true) => Ok(PortReuse::On),
            Some(false) => Ok(PortReuse::Off),
            None => Err(What::Word("AUTO, ON or OFF")),
        },
    }
}

fn methods(text: &str) -> Result<Vec<AuthMethod>, What> {
    let mut methods = Vec::new();
    for name in text.split_whitespace() {
        let method = [AuthMethod::Null, AuthMethod::Ip].into_iter().find(|m| m.name() == name);
        let method = method.ok_or_else(|| What::Method(name.chars().take(30).collect()))?;
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    if methods.is_empty() { Err(What::Empty) } else { Ok(methods) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_one_letter_wrong_or_in_another_case_is_recognised() {
        assert_eq!(closest("spread_segment"), Some("Spread_Segment"));
        assert_eq!(closest("DebugFlag"), Some("DebugFlags"));
        assert_eq!(closest("DangerousMoniter"), Some("DangerousMonitor"));
        assert_eq!(closest("window"), Some("Window"));
        assert_eq!(closest("x"), None);
        assert_eq!(closest(""), None);
    }

    #[test]
    fn numbers_have_one_to_nine_digits() {
        assert_eq!(number("999999999", 1), Ok(999_999_999));
        assert_eq!(number("0", 0), Ok(0));
        for text in ["", "0", "1000000000", "+1", "-1", "1.0", "0x1"] {
            assert_eq!(number(text, 1), Err(What::Number(1)), "{text}");
        }
    }
}
