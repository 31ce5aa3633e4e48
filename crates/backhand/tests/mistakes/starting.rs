//! Starts that cannot succeed, each with the reason and the remedy; and the start with nothing at all.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;

use lab::{CgroupWish, Exit, Output, Spawn};
use testkit::trial::Failed;

use crate::support::{self, Cluster, PATIENCE, PROGRAM, until};
use crate::{Named, says, stage};

pub(crate) const TRIALS: &[Named] = &[
    ("a_port_in_use_is_named_with_the_program_that_has_it", port_in_use),
    ("a_state_directory_in_use_is_named_with_the_program_that_has_it", state_in_use),
    ("a_low_port_without_permission_says_what_to_do", low_port),
    ("a_document_root_that_may_not_be_read_is_named", unreadable_root),
    ("an_address_of_another_machine_is_named_with_those_that_are_here", not_here),
    ("without_any_file_it_starts_and_says_what_it_assumed", no_file),
];

/// Runs the program to its end with this configuration; how it ended and what it said.
fn run(cluster: &mut Cluster, text: &str, spawn: Spawn) -> Result<(Exit, String), Failed> {
    let log = cluster.folder().join("m1.log");
    let before = fs::read_to_string(&log).unwrap_or_default().len();
    cluster.start_as(0, text, spawn);
    let exit = cluster.process(0).wait_timeout(PATIENCE).ok_or("it runs")?;
    Ok((exit, fs::read_to_string(&log)?[before..].to_owned()))
}

fn port_in_use() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    cluster.start(0, "");
    cluster.wait_until_served(0);
    // Other exchange ports and another identity, but the same front door.
    let state = cluster.folder().join("other");
    let text = cluster.base_config(0).replace(
        &format!("state_dir = \"{}/m1\"", cluster.folder().display()),
        &format!("state_dir = \"{}\"", state.display()),
    ) + "[announce]\nport = 4545\nexchange_port = 4546\n";
    let (exit, said) = run(&mut cluster, &text, Spawn::new(PROGRAM))?;
    assert_eq!(exit, Exit::Code(1), "{said}");
    let address = cluster.entry(0).to_string();
    says(&said, &[&address, "is in use by backhand (process ", "under [http]"])
}

fn state_in_use() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    cluster.start(0, "");
    cluster.wait_until_served(0);
    // Another door and other exchange ports, but the same identity.
    let text = cluster.base_config(0).replace(&format!(":{}\"", support::PORT), ":8081\"")
        + "[announce]\nport = 4545\nexchange_port = 4546\n";
    let socket = cluster.folder().join("bus");
    let text = text + &format!("[bus]\nport = 4547\nsegment = \"none\"\nsocket = {socket:?}\n");
    let (exit, said) = run(&mut cluster, &text, Spawn::new(PROGRAM))?;
    assert_eq!(exit, Exit::Code(1), "{said}");
    // The bus did not begin, and nothing of it is left.
    assert!(!said.contains("the bus daemon is ready") && !socket.exists(), "{said}");
    let state = format!("{}/m1", cluster.folder().display());
    says(&said, &[&state, "is in use by backhand (process ", "cluster.state_dir"])
}

fn low_port() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    let text = cluster.base_config(0).replace(&format!(":{}\"", support::PORT), ":80\"");
    let (exit, said) = run(&mut cluster, &text, stage::unprivileged())?;
    assert_eq!(exit, Exit::Code(1), "{said}");
    let address = format!("{}:80", cluster.address(0));
    says(
        &said,
        &["no permission to listen", &address, "ports below 1024", "setcap cap_net_bind_service"],
    )
}

fn unreadable_root() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    let site = cluster.folder().join("site");
    fs::create_dir(&site)?;
    fs::set_permissions(&site, fs::Permissions::from_mode(0o000))?;
    let text = cluster.base_config(0) + &format!("[local]\ndirectory = \"{}\"\n", site.display());
    let (exit, said) = run(&mut cluster, &text, stage::unprivileged())?;
    assert_eq!(exit, Exit::Code(2), "{said}");
    says(
        &said,
        &["local.directory", &site.display().to_string(), "cannot be read by this user", "help: "],
    )
}

fn not_here() -> Result<(), Failed> {
    let mut cluster = Cluster::new(1, CgroupWish::No);
    let here = cluster.address(0).to_string();
    let text = cluster.base_config(0).replace(&format!("\"{here}:"), "\"192.0.2.7:");
    let (exit, said) = run(&mut cluster, &text, Spawn::new(PROGRAM))?;
    assert_eq!(exit, Exit::Code(1), "{said}");
    says(&said, &["192.0.2.7:8080 is not an address of this machine", &here, "[http]"])
}

fn no_file() -> Result<(), Failed> {
    let cluster = Cluster::new(1, CgroupWish::No);
    let (log, empty) = (cluster.folder().join("log"), cluster.folder().join("empty"));
    fs::create_dir(&empty)?;
    let spawn = Spawn::new(PROGRAM).arg("run").cwd(&empty).env("STATE_DIRECTORY", &empty);
    let spawn = spawn.stdout(Output::Null).stderr(Output::File(log.clone()));
    let process = cluster.lab.machine(0).spawn(spawn)?;
    let answer = until("it serves", || {
        let said = fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(process.wait_timeout(std::time::Duration::ZERO), None, "it ended: {said}");
        cluster.get(0, "/").ok()
    });
    assert_eq!(answer.status, 200);
    let said = fs::read_to_string(&log)?;
    let any: IpAddr = "::".parse()?;
    says(
        &said,
        &[
            "no configuration file: neither backhand.toml nor /etc/backhand/backhand.toml exists",
            "this machine stays alone",
            &format!("clients are heard on [{any}]:8080"),
            "state is kept in",
        ],
    )
}
