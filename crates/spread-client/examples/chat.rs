//! A chat: what is typed goes to a group, what others say is printed, and who comes and goes.
//!
//! `cargo run -p spread-client --example chat -- NAME [GROUP] [CONNECTION]`, for example `chat alice room 4803@localhost`.
//! A line that begins with `@name ` goes to that session alone.

use std::error::Error;
use std::process::ExitCode;

use spread_client::{
    Backoff, Event, GroupName, Happened, Membership, Options, PrivateGroup, PrivateName, Service,
    Session,
};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match chat().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn chat() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: chat NAME [GROUP] [CONNECTION]")?;
    let group = GroupName::new(arguments.next().unwrap_or("chat".into()).as_bytes())?;
    let endpoint = arguments.next().unwrap_or_default().parse()?;

    let mut bus = Session::new(endpoint, Options::named(&name)?, Backoff::default());
    bus.join(&group).await?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            happened = bus.receive() => show(happened?),
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                if let Err(error) = say(&mut bus, &group, &line).await {
                    println!("* {error}");
                }
            }
        }
    }
    Ok(bus.disconnect().await?)
}

async fn say(bus: &mut Session, group: &GroupName, line: &str) -> Result<(), Box<dyn Error>> {
    let private = line.strip_prefix('@').and_then(|line| line.split_once(' '));
    let (to, text) = match private {
        Some((name, text)) => {
            let own = *bus.group().ok_or("there is no session at this moment")?;
            let name = PrivateName::new(name.as_bytes())?;
            (PrivateGroup::new(&name, own.daemon())?.into(), text)
        }
        None => (*group, line),
    };
    Ok(bus.multicast(Service::Agreed, &to, text.as_bytes()).await?)
}

fn show(happened: Happened) {
    match happened {
        Happened::Connected { group, daemon, .. } => println!("* {group}, daemon {daemon}"),
        Happened::Lost { error, .. } => println!("* {error}"),
        Happened::Waiting { error, pause } => println!("* {error}; again in {pause:?}"),
        Happened::Event(Event::Regular(message)) => {
            let sender = message.sender.map(|sender| sender.to_string()).unwrap_or_default();
            println!("{sender}: {}", message.body.escape_ascii());
        }
        Happened::Event(Event::Membership(view)) => show_view(&view),
        Happened::Event(Event::Transitional(signal)) => println!("* {} parts", signal.group),
        Happened::Event(Event::SelfLeave(group)) => println!("* left {group}"),
        Happened::Event(Event::Reject(reject)) => println!("* rejected: {:?}", reject.groups),
    }
}

fn show_view(view: &Membership) {
    let changed = view.changed().map(|name| name.to_string()).unwrap_or_default();
    println!("* {} {:?} {changed}: now {:?}", view.group, view.cause, view.members);
}
