//! Follows groups with the blocking client: one line for each message, with its sender, groups and bytes.
//!
//! `cargo run -p spread-client --example tail -- CONNECTION GROUP...`, for example `tail 4803 log access`.

use std::error::Error;
use std::process::ExitCode;

use spread_client::blocking::Session;
use spread_client::{Backoff, Event, GroupName, Happened, Options};

fn main() -> ExitCode {
    let Err(error) = tail() else { return ExitCode::SUCCESS };
    eprintln!("tail: {error}");
    ExitCode::FAILURE
}

fn tail() -> Result<(), Box<dyn Error>> {
    let usage = "usage: tail CONNECTION GROUP...";
    let mut arguments = std::env::args().skip(1).peekable();
    let endpoint = arguments.next().ok_or(usage)?.parse()?;
    arguments.peek().ok_or(usage)?;
    let options = Options { membership: false, ..Options::default() };
    let mut bus = Session::new(endpoint, options, Backoff::default());
    for group in arguments {
        bus.join(&GroupName::new(group.as_bytes())?)?;
    }
    loop {
        match bus.receive()? {
            Happened::Event(Event::Regular(message)) => {
                let sender = message.sender.map(|sender| sender.to_string()).unwrap_or_default();
                println!("{sender} {:?} {}", message.groups, message.body.escape_ascii());
            }
            Happened::Lost { error, .. } | Happened::Waiting { error, .. } => eprintln!("{error}"),
            Happened::Connected { .. } | Happened::Event(_) => {}
        }
    }
}
