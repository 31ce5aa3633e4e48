//! `backhand vip`: the addresses, asked and steered through the control socket of this machine's service.

mod order;
mod show;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use addresses::control::client::Client;
use addresses::control::{Answer, Ask};
use anyhow::{Context, Result, anyhow};

use crate::MISTAKE;
use crate::cli::{VipArgs, VipCommand, VipSocket};
use crate::output::print;

/// Does what the command line says.
pub(crate) fn run(args: &VipArgs) -> Result<ExitCode> {
    let socket = match socket(&args.at) {
        Ok(socket) => socket,
        Err(mistake) => {
            crate::logging::say(&format!("backhand: {mistake}\n"));
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    let json = args.json;
    match &args.command {
        VipCommand::List => {
            let Answer::Table(table) = ask(&socket, &Ask::List { follow: false })? else {
                return Err(unexpected());
            };
            let text = if json { object(&table)? } else { show::table(&table) };
            print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        VipCommand::Explain { set } => {
            let Answer::Explained { sets } = ask(&socket, &Ask::Explain { set: set.clone() })?
            else {
                return Err(unexpected());
            };
            let text = if json { object(&sets)? } else { show::explained(&sets) };
            print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        VipCommand::Drain { machine, wait } => {
            order::run(&socket, &Ask::Drain { machine: machine.clone() }, wait, json)
        }
        VipCommand::Undrain { machine, wait } => {
            order::run(&socket, &Ask::Undrain { machine: machine.clone() }, wait, json)
        }
        VipCommand::Move { set, machine, wait } => {
            let ask = Ask::Move { set: set.clone(), machine: machine.clone() };
            order::run(&socket, &ask, wait, json)
        }
        VipCommand::Watch { after } => watch(&socket, *after, json),
    }
}

fn socket(at: &VipSocket) -> Result<PathBuf, String> {
    match &at.socket {
        Some(socket) => Ok(socket.clone()),
        None => crate::config::addresses::socket(at.config.as_deref()),
    }
}

/// Asks once. What cannot be done is an error.
fn ask(socket: &std::path::Path, ask: &Ask) -> Result<Answer> {
    match Client::connect(socket)?.answer(ask)? {
        Answer::Error { message, .. } => Err(anyhow!(message)),
        answer => Ok(answer),
    }
}

fn unexpected() -> anyhow::Error {
    anyhow!("the service answered something else than what was asked; it may be of another version")
}

/// As one line of JSON.
fn object(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string(value).context("this cannot be written as JSON")? + "\n")
}

/// Decisions, until the service or whoever reads them goes away.
fn watch(socket: &std::path::Path, after: Option<u64>, json: bool) -> Result<ExitCode> {
    let mut client = Client::connect(socket)?;
    client.ask(&Ask::Watch { after })?;
    let mut last = after;
    loop {
        let decision = match client.next(None)? {
            Some(Answer::Decision(decision)) => decision,
            Some(Answer::Error { message, .. }) => return Err(anyhow!(message)),
            _ => return Err(unexpected()),
        };
        let mut text = String::new();
        let forgotten = last.map_or(0, |last| decision.number.saturating_sub(last + 1));
        last = Some(decision.number);
        if json {
            text += &object(&decision)?;
        } else {
            if forgotten > 0 {
                text += &format!(
                    "... {forgotten} decisions were forgotten before they could be told\n"
                );
            }
            text += &show::decision(&decision);
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            Err(error) => return Err(error).context("standard output cannot be written"),
        }
    }
}
