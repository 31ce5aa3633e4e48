//! The web servers behind: one in each machine's network, the same for everybody.
//!
//! They are threads of this process with a socket in the machine, so that a fault of the machine's programs is not one of theirs:
//! whoever is killed or stopped is the program that moves addresses.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use lab::{Lab, Place};

/// Where they listen, on every address their machine has or is to get.
pub(crate) const PORT: u16 = 80;
/// A client that says nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(3);

/// Lets a machine answer with its name. Ends with the lab.
pub(crate) fn start(lab: &Lab, machine: usize) -> Result<()> {
    let name = lab.machine(machine).name().to_owned();
    let listener = lab.listen(Place::Machine(machine), (Ipv6Addr::UNSPECIFIED, PORT).into())?;
    std::thread::Builder::new()
        .name(format!("server {name}"))
        .spawn(move || serve(&listener, &name))
        .context("a thread for a server")?;
    Ok(())
}

/// One after the other: an answer takes some microseconds, and a request is there with the connection or soon after it.
fn serve(listener: &TcpListener, name: &str) {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nX-Served-By: {name}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    );
    for stream in listener.incoming() {
        let Ok(stream) = stream else { return };
        let answer = answer.clone();
        // A client whose request is lost keeps nobody else waiting.
        drop(std::thread::Builder::new().spawn(move || say(stream, &answer)));
    }
}

fn say(mut stream: TcpStream, answer: &str) {
    let mut request = [0; 1024];
    // Whoever has gone meanwhile needs no answer.
    let _ = stream.set_read_timeout(Some(PATIENCE));
    if stream.read(&mut request).is_ok_and(|length| length > 0) {
        let _ = stream.write_all(answer.as_bytes());
    }
}
