//! The tools of the bus: `backhand bus`, the historical names, and the cache-purge pair.

use std::ffi::OsString;
use std::io::{self, BufReader, IsTerminal};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bus_tools::Tool;
use bus_tools::purge::ask::{self, Request};
use bus_tools::purge::member::{Line, Ready, Settings};
use bus_tools::tool::Handles;
use tracing::{info, warn};

use crate::cli::{BusCommand, PurgeArgs, PurgedArgs};
use crate::logging::{self, Log};
use crate::{MISTAKE, spread};

/// What the historical tools end with for a command line that they do not understand.
const HISTORICAL_MISTAKE: u8 = 1;

/// Is a tool, if this program has the name of one.
pub(crate) fn historical() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    let program = words.next()?;
    let tool = Tool::named(&program)?;
    let name = std::path::Path::new(&program).file_name()?.to_string_lossy().into_owned();
    Some(start(tool, &name, words, HISTORICAL_MISTAKE))
}

/// Does `backhand bus`.
pub(crate) fn run(command: BusCommand) -> Result<ExitCode> {
    let (tool, name, line) = match command {
        BusCommand::Daemon(line) => return spread::run(line.words),
        BusCommand::User(line) => (Tool::User, "backhand bus user", line),
        BusCommand::Monitor(line) => (Tool::Monitor, "backhand bus monitor", line),
        BusCommand::Top(line) => (Tool::Top, "backhand bus top", line),
        BusCommand::Flood(line) => (Tool::Flood, "backhand bus flood", line),
        BusCommand::Send(line) => (Tool::Send, "backhand bus send", line),
        BusCommand::Recv(line) => (Tool::Receive, "backhand bus recv", line),
    };
    Ok(start(tool, name, line.words, MISTAKE))
}

fn start(
    tool: Tool,
    name: &str,
    words: impl IntoIterator<Item = OsString>,
    mistake: u8,
) -> ExitCode {
    let (mut output, mut errors) = (io::stdout(), io::stderr());
    let terminal = output.is_terminal();
    let input = BufReader::new(io::stdin());
    let handles = Handles { input, output: &mut output, errors: &mut errors, terminal };
    ExitCode::from(tool.run(name, words, mistake, handles))
}

/// Does `backhand purge`.
pub(crate) fn purge(args: PurgeArgs) -> Result<ExitCode> {
    let request = Request {
        spread: args.daemon,
        tls: args.tls.into(),
        group: args.group,
        objects: args.objects.into_iter().map(OsString::into_vec).collect(),
        patience: (!args.no_wait).then(|| Duration::from_secs(args.timeout)),
    };
    match ask::ask(&request, &mut io::stdout(), &mut io::stderr()) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        Err(error) if error.is_mistake() => {
            logging::say(&format!("backhand: {error}\n"));
            Ok(ExitCode::from(MISTAKE))
        }
        // Its text tells its source already.
        Err(error) => Err(anyhow!("{error}")),
    }
}

/// Does `backhand purged`.
pub(crate) fn purged(args: PurgedArgs) -> Result<ExitCode> {
    let tls = args.tls.into();
    let PurgedArgs { dir: folder, adopt, daemon: spread, group: groups, .. } = args;
    let settings = Settings { folder, adopt, spread, tls, groups };
    let ready = match Ready::new(&settings) {
        Ok(ready) => ready,
        Err(error) => {
            logging::say(&format!("backhand: {error}\n"));
            return Ok(ExitCode::from(MISTAKE));
        }
    };
    // Only now: the thread that writes the log is confined as well.
    logging::start(&Log::default())?;
    let error = ready.run(&mut |line: Line| {
        let text = line.text;
        if line.warning { warn!("{text}") } else { info!("{text}") }
    });
    Err(anyhow!("{error}"))
}
