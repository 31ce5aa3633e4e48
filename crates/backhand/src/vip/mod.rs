//! `backhand vip`: the addresses, asked and steered through the control socket of this machine's service.

mod order;
mod show;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use addresses::control::client::{Client, ClientError};
use addresses::control::{Answer, Ask, ErrorKind};
use anyhow::{Context, Result, anyhow};

use crate::MISTAKE;
use crate::cli::{VipArgs, VipCommand, VipSocket};
use crate::output::print;

/// What the service refused.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Refused {
    kind: ErrorKind,
    message: String,
}

/// Does what the command line says. With `--json` what could not be done is told as JSON, too.
pub(crate) fn run(args: &VipArgs) -> Result<ExitCode> {
    let socket = match socket(&args.at) {
        Ok(socket) => socket,
        Err(mistake) => {
            let text = if args.json {
                fault(&"configuration".into(), &mistake)?
            } else {
                format!("backhand: {mistake}\n")
            };
            crate::logging::say(&text);
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    match carry_out(args, &socket) {
        Err(error) if args.json => {
            crate::logging::say(&fault(&kind(&error), &format!("{error:#}"))?);
            Ok(ExitCode::FAILURE)
        }
        done => done,
    }
}

/// An error for programs.
fn fault(kind: &serde_json::Value, message: &str) -> Result<String> {
    object(&serde_json::json!({ "error": { "kind": kind, "message": message } }))
}

/// Of what kind an error is: the word of the protocol, or one for what only this end knows.
fn kind(error: &anyhow::Error) -> serde_json::Value {
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return serde_json::json!(refused.kind);
    }
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Nobody { .. }) => "absent".into(),
        Some(ClientError::Broken { .. }) => "no-answer".into(),
        Some(ClientError::Stranger { .. }) | None => "other".into(),
    }
}

fn carry_out(args: &VipArgs, socket: &Path) -> Result<ExitCode> {
    let json = args.json;
    match &args.command {
        VipCommand::List => {
            let Answer::Table(table) = ask(socket, &Ask::List { follow: false })? else {
                return Err(unexpected());
            };
            let text = if json { object(&table)? } else { show::table(&table) };
            print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        VipCommand::Explain { set } => {
            let Answer::Explained { sets } = ask(socket, &Ask::Explain { set: set.clone() })?
            else {
                return Err(unexpected());
            };
            let text = if json { object(&sets)? } else { show::explained(&sets) };
            print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        VipCommand::Drain { machine, wait } => {
            order::run(socket, &Ask::Drain { machine: machine.clone() }, wait, json)
        }
        VipCommand::Undrain { machine, wait } => {
            order::run(socket, &Ask::Undrain { machine: machine.clone() }, wait, json)
        }
        VipCommand::Move { set, machine, wait } => {
            let ask = Ask::Move { set: set.clone(), machine: machine.clone() };
            order::run(socket, &ask, wait, json)
        }
        VipCommand::Watch { after } => watch(socket, *after, json),
    }
}

fn socket(at: &VipSocket) -> Result<PathBuf, String> {
    match &at.socket {
        Some(socket) => Ok(socket.clone()),
        None => crate::config::addresses::socket(at.config.as_deref()),
    }
}

/// Asks once. What cannot be done is an error.
fn ask(socket: &Path, ask: &Ask) -> Result<Answer> {
    match Client::connect(socket)?.answer(ask)? {
        Answer::Error { kind, message } => Err(refused(kind, message)),
        answer => Ok(answer),
    }
}

fn refused(kind: ErrorKind, message: String) -> anyhow::Error {
    Refused { kind, message }.into()
}

fn unexpected() -> anyhow::Error {
    anyhow!("the service answered something else than what was asked; it may be of another version")
}

/// As one line of JSON.
fn object(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string(value).context("this cannot be written as JSON")? + "\n")
}

/// Decisions, until the service or whoever reads them goes away.
fn watch(socket: &Path, after: Option<u64>, json: bool) -> Result<ExitCode> {
    let mut client = Client::connect(socket)?;
    client.ask(&Ask::Watch { after })?;
    let mut last = after.filter(|after| *after != 0);
    loop {
        let decision = match client.next(None)? {
            Some(Answer::Decision(decision)) => decision,
            Some(Answer::Error { kind, message }) => return Err(refused(kind, message)),
            _ => return Err(unexpected()),
        };
        let mut text = String::new();
        let before = last.replace(decision.number);
        if json {
            text += &object(&decision)?;
        } else {
            text += &before.map_or_else(String::new, |before| show::gap(before, decision.number));
            text += &show::decision(&decision);
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => return Err(error).context("standard output cannot be written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_to_programs_with_its_kind() {
        let told = |error: anyhow::Error| fault(&kind(&error), &format!("{error:#}")).unwrap();
        assert_eq!(
            told(refused(ErrorKind::NoSet, "there is no set \"x\"".into())),
            "{\"error\":{\"kind\":\"no-set\",\"message\":\"there is no set \\\"x\\\"\"}}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let nobody = Client::connect(&folder.path().join("socket")).err().unwrap();
        let nobody = told(nobody.into());
        assert!(nobody.starts_with("{\"error\":{\"kind\":\"absent\","), "{nobody}");
        assert!(nobody.contains("nobody listens at "), "{nobody}");
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let no_socket = Client::connect(&file).err().unwrap().to_string();
        assert!(no_socket.contains("this is no socket"), "{no_socket}");
        let unexpected = told(unexpected());
        assert!(unexpected.starts_with("{\"error\":{\"kind\":\"other\","), "{unexpected}");
    }
}
