//! What operators, daemons and monitors say to each other outside of the ring.
//!
//! The first byte says what the others are: a letter of another daemon, a request on the control socket, an answer of a daemon. What
//! must hold: nothing panics; what was read and is written again reads the same, and is as short as promised; what is shown to
//! people moves no cursor; a refused request is told why.

use spread_daemon::monitor::letter::{Body, Letter};
use spread_daemon::monitor::words::REQUEST_MAX;
use spread_daemon::monitor::{Answer, Request};

/// What an operator's terminal may be shown of one reason.
const REASON_MAX: usize = 900;

pub fn run(data: &[u8]) {
    let &[choice, ref bytes @ ..] = data else { return };
    match choice % 3 {
        0 => letter(bytes),
        1 => request(bytes),
        _ => answer(bytes),
    }
}

fn letter(bytes: &[u8]) {
    let Some(letter) = Letter::decode(bytes) else { return };
    let again = letter.encode();
    assert!(again.len() < 1_000, "{} bytes", again.len());
    match &letter.body {
        // Only for eyes; bytes that are no text become longer.
        Body::Refused(why) => {
            assert!(why.len() <= REASON_MAX && !why.chars().any(char::is_control));
            assert!(Letter::decode(&again).is_some());
        }
        Body::Report(report) => {
            for text in [&report.name, &report.leader, &report.view] {
                assert!(!text.chars().any(char::is_control));
            }
            assert_eq!(Letter::decode(&again).as_ref(), Some(&letter));
        }
        _ => assert_eq!(Letter::decode(&again).as_ref(), Some(&letter)),
    }
}

fn request(bytes: &[u8]) {
    match Request::read(bytes) {
        Ok(request) => {
            assert!(bytes.iter().take_while(|byte| **byte != b'\n').count() <= REQUEST_MAX);
            let line = serde_json::to_string(&request).unwrap_or_default();
            assert!(!line.contains('\n'));
            // Escapes may take more room than what they stand for.
            if line.len() <= REQUEST_MAX {
                assert_eq!(Request::read(line.as_bytes()), Ok(request.clone()));
            }
            let _ = (request.whom(), request.is_dangerous());
        }
        Err(why) => assert!(!why.is_empty() && why.len() < REQUEST_MAX + 1_000),
    }
}

fn answer(bytes: &[u8]) {
    let Ok(answer) = serde_json::from_slice::<Answer>(bytes) else { return };
    let line = serde_json::to_string(&answer).unwrap_or_default();
    assert!(!line.contains('\n'));
    assert_eq!(serde_json::from_str::<Answer>(&line).ok(), Some(answer));
}

/// One input for each kind of word.
#[allow(dead_code)] // Used to write the corpus.
pub fn recorded() -> Vec<(String, Vec<u8>)> {
    use spread_daemon::monitor::{Detail, Report, Whom};

    let report = || Report { name: "alpha".into(), view: "7.00c0ffee".into(), ..Report::default() };
    let named =
        |name: &str, choice: u8, bytes: &[u8]| (name.to_owned(), [&[choice], bytes].concat());
    let mut all = Vec::new();
    for (name, body) in [
        ("status", Body::Status),
        ("partition", Body::Partition((0..5).map(|n| (n * 7, n as i16 - 1)).collect())),
        ("heal", Body::Heal),
        ("flow", Body::Flow { window: Some(100), accelerated: None }),
        ("terminate", Body::Terminate),
        ("report", Body::Report(report().into())),
        ("done", Body::Done),
        ("refused", Body::Refused("it lets monitors look and nothing else".into())),
    ] {
        let letter = Letter { question: 0x0102_0304_0506_0708, body };
        all.push(named(&format!("letter-{name}"), 0, &letter.encode()));
    }
    let of = || Whom::Named("alpha".into());
    for (name, request) in [
        ("status", Request::Status { of: Whom::All }),
        ("detail", Request::Detail),
        ("partition", Request::Partition { components: [("alpha".into(), 1)].into() }),
        ("flow", Request::Flow { of: of(), window: Some(1), accelerated: Some(0) }),
        ("terminate", Request::Terminate { of: of() }),
    ] {
        let line = serde_json::to_vec(&request).unwrap_or_default();
        all.push(named(&format!("request-{name}"), 1, &line));
    }
    for (name, answer) in [
        ("report", Answer::Report(report())),
        ("detail", Answer::Detail(Box::new(Detail { name: "alpha".into(), ..Detail::default() }))),
        ("refused", Answer::Refused { daemon: "alpha".into(), why: "\u{1b}[2J".into() }),
        ("end", Answer::End),
    ] {
        let line = serde_json::to_vec(&answer).unwrap_or_default();
        all.push(named(&format!("answer-{name}"), 2, &line));
    }
    all
}
