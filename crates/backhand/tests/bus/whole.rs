//! The daemon as one part of `backhand run`, beside the web server.

use std::io::Write;
use std::time::{Duration, Instant};

use testkit::trial::Failed;

use crate::client::Client;
use crate::cluster::{Bus, NAMES, names};
use crate::says;

pub(crate) const TRIALS: &[crate::Named] = &[
    ("daemons_whose_bus_alone_has_a_key_meet", own_key),
    ("the_bus_is_left_at_once_while_a_client_of_the_web_server_is_served_on", leaves_first),
];

/// Two machines with nothing but a bus and its key.
fn own_key() -> Result<(), Failed> {
    let mut bus = Bus::silent(2);
    for (i, name) in NAMES.into_iter().enumerate().take(2) {
        let (key, state) = (bus.path("key"), bus.path(name));
        let text = format!(
            "[cluster]\nname = \"{name}\"\nstate_dir = {state:?}\n[http]\nlisten = [\"127.0.0.1:8080\"]\n\
             [bus]\nkey_file = {key:?}\n"
        );
        let file = bus.write(&format!("{name}.toml"), &text);
        bus.run(i, &["run".as_ref(), "--config".as_ref(), file.as_os_str()]);
    }
    let clients: Vec<Client> = (0..2).map(|i| Client::start(&bus, i, None)).collect();
    clients.iter().for_each(|client| drop(client.wait_for_daemons(&names(&[0, 1]))));
    says(&bus.said(0), &["no cluster.accept: daemons are believed from", "stays alone"])?;
    Ok(bus.all_live()?)
}

/// The other sees the end of the daemon while a request of the web server is still on its way.
fn leaves_first() -> Result<(), Failed> {
    let mut bus = Bus::silent(2);
    let seed = bus.lab.machine(0).address();
    (0..2).for_each(|i| bus.start_whole(i, &format!("[bus]\nseeds = [\"{seed}\"]\n")));
    let watcher = Client::start(&bus, 0, None);
    let other = Client::start(&bus, 1, None);
    watcher.wait_for_daemons(&names(&[0, 1]));
    bus.wait_until_said(1, &["serving"]);
    let at = (bus.lab.machine(1).address(), 8080).into();
    let mut request = bus.lab.connect(at, Duration::from_secs(5))?;
    request.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")?;

    let began = Instant::now();
    bus.process(1).term()?;
    let last = watcher.wait_for_daemons(&names(&[0]));
    println!("seen after {:?}", last.at.map(|at| at.saturating_duration_since(began)));
    other.wait_for_end();
    if !bus.process(1).is_running() {
        return Err("it did not wait for the request".into());
    }
    says(&bus.said(1), &["leaving the bus at once", "the bus daemon leaves"])?;
    drop(request);
    Ok(bus.all_live()?)
}
