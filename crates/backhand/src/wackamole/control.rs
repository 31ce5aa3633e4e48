//! `wackatrl`: asks a running `wackamole`, in the historical language, so that it may also be the original.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use addresses::conf;
use addresses::control::client::{Client, ClientError};
use addresses::control::historical::{FAIL, SUCCEED, listing};
use addresses::control::{Answer, Ask};
use anyhow::{Result, anyhow};

use super::line::{self, Action, Instead};
use crate::MISTAKE;
use crate::logging::say;
use crate::output::print;

/// Does what the command line says.
pub(crate) fn run(program: &str, words: &[OsString]) -> Result<ExitCode> {
    let line = match line::control(words) {
        Ok(line) => line,
        Err(Instead::Mistake(mistake)) => {
            say(&format!("{program}: {mistake}\n{}", line::control_usage(program)));
            return Ok(ExitCode::from(MISTAKE));
        }
        Err(Instead::Help | Instead::Version) => {
            print(&line::control_usage(program))?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let found = match conf::control(line.file.as_deref()) {
        Ok(found) => found,
        Err(error) => {
            say(&format!("{program}: {error}\n"));
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    let Some(path) = found.socket else {
        say(&format!(
            "{}{program}: {} names no control socket; write Control = /var/run/wack.it\n",
            found.unread,
            found.file.display()
        ));
        return Ok(ExitCode::from(MISTAKE));
    };
    let mut client = match Client::connect(&path) {
        Ok(client) => client,
        Err(ClientError::Nobody { error, .. }) => {
            // As the original said it, but as a failure.
            say(&format!(
                "connect to {} failed: {error}\nPerhaps wackamole is not running?\n",
                path.display()
            ));
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    };
    let order = match line.action {
        Action::List => None,
        Action::Fail => Some(FAIL),
        Action::Succeed => Some(SUCCEED),
    };
    if let Some(order) = order
        && !client.historical_order(order)?
    {
        return Err(anyhow!("wackamole did not accept the order"));
    }
    print(&listing(&client.historical_table()?))?;
    // A file may name nothing but the socket: then only the service knows.
    if found.six || !found.lists && has_six(&path) {
        say(&format!(
            "addresses of IPv6 are not in this list; see `backhand vip list --socket {}`\n",
            path.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the service has addresses of IPv6, which its historical answer leaves out. The original closes the connection at a question
/// that it does not know.
fn has_six(path: &Path) -> bool {
    let list = Ask::List { follow: false };
    let Ok(Answer::Table(table)) =
        Client::connect(path).and_then(|mut client| client.answer(&list))
    else {
        return false;
    };
    let listed = table.sets.iter().filter(|set| set.listed);
    listed.flat_map(|set| &set.addresses).any(|one| one.address.is_ipv6())
}
