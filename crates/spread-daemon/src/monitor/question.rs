//! Requests that were passed on, and who is to answer yet.

use std::time::Duration;

use base::{Boot, Instant};
use ring::DaemonName;

use super::Monitor;
use super::control::Caller;
use super::letter::{Body, Letter};
use super::report::Report;
use super::words::Answer;

/// How often a question is sent, and how far apart.
const TRIES: u32 = 4;
const AGAIN: Duration = Duration::from_millis(150);
/// How long answers are waited for.
const WITHIN: Duration = Duration::from_millis(900);

/// One of those whom a question was put to.
#[derive(Debug)]
struct Target {
    boot: Boot,
    name: DaemonName,
    answered: bool,
}

/// A request that was passed on.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) number: u64,
    caller: Caller,
    text: Vec<u8>,
    targets: Vec<Target>,
    tries: u32,
    pub(super) next: Instant,
    pub(super) until: Instant,
}

impl Question {
    /// `text`, to be sent to each of `targets`.
    pub(super) fn new(
        now: Instant,
        number: u64,
        caller: Caller,
        text: Vec<u8>,
        targets: Vec<(Boot, DaemonName)>,
    ) -> Self {
        let target = |(boot, name)| Target { boot, name, answered: false };
        let targets = targets.into_iter().map(target).collect();
        Self { number, caller, text, targets, tries: 0, next: now, until: now + WITHIN }
    }
}

impl Monitor {
    /// Takes an answer, if it is one of those that are waited for.
    pub(super) fn answered(&mut self, from: &Boot, letter: Letter) {
        let Some(at) = self.questions.iter().position(|q| q.number == letter.question) else {
            return;
        };
        let question = &mut self.questions[at];
        let caller = question.caller;
        let mut targets = question.targets.iter_mut();
        let Some(target) = targets.find(|target| target.boot == *from && !target.answered) else {
            return;
        };
        target.answered = true;
        let answer = answer(target.name, letter.body);
        let all = question.targets.iter().all(|target| target.answered);
        self.say(caller, &answer);
        if all {
            self.questions.swap_remove(at);
            self.say(caller, &Answer::End);
        }
    }

    /// Sends questions again, and ends those whose time is over.
    pub(super) fn ask_again(&mut self, now: Instant) {
        let mut at = 0;
        while let Some(question) = self.questions.get_mut(at) {
            let caller = question.caller;
            if question.until <= now {
                let silent = self.questions.swap_remove(at).targets;
                for target in silent.into_iter().filter(|target| !target.answered) {
                    self.say(caller, &Answer::Silent { daemon: target.name.to_string() });
                }
                self.say(caller, &Answer::End);
                continue;
            }
            at += 1;
            if question.next > now {
                continue;
            }
            question.tries += 1;
            question.next = if question.tries < TRIES { now + AGAIN } else { question.until };
            let open = question.targets.iter().filter(|target| !target.answered);
            let boots: Vec<Boot> = open.map(|target| target.boot).collect();
            let text = question.text.clone();
            boots.iter().for_each(|boot| self.send(boot, text.clone()));
        }
    }
}

/// What somebody says, for whoever asked.
pub(super) fn answer(from: DaemonName, body: Body) -> Answer {
    let daemon = from.to_string();
    match body {
        // The name is the one that was proven, whatever the report says.
        Body::Report(report) => Answer::Report(Report { name: daemon, ..*report }),
        Body::Refused(why) => Answer::Refused { daemon, why },
        _ => Answer::Done { daemon },
    }
}
