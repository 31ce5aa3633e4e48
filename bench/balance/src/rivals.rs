//! The rivals: what runs on every machine to spread the requests, each configured as its manual advises.
//!
//! All balancers run outside the machines' quotas, ours and theirs alike: what is compared is where requests go.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lab::{Lab, Spawn};

/// The port of the application on every machine.
pub(crate) const APP_PORT: u16 = 9000;
/// The port of the balancer on every machine.
pub(crate) const PORT: u16 = 8080;

/// A way of spreading requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    /// `byFresh`, asking first where it pays, on every machine.
    Backhand,
    /// HAProxy leastconn on every machine.
    HaproxyLeastconn,
    /// nginx `random two least_conn` on every machine.
    NginxRandomTwo,
    /// HAProxy round robin on every machine.
    RoundRobin,
    /// One HAProxy leastconn that every request goes through.
    CentralLeastconn,
}

impl Rival {
    pub(crate) const ALL: [Self; 5] = [
        Self::Backhand,
        Self::HaproxyLeastconn,
        Self::NginxRandomTwo,
        Self::RoundRobin,
        Self::CentralLeastconn,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backhand => "backhand byFresh, every machine",
            Self::HaproxyLeastconn => "haproxy leastconn, every machine",
            Self::NginxRandomTwo => "nginx random two, every machine",
            Self::RoundRobin => "haproxy roundrobin, every machine",
            Self::CentralLeastconn => "haproxy leastconn, one for all",
        }
    }

    /// Where clients enter.
    pub(crate) fn entries(self, lab: &Lab) -> Vec<SocketAddr> {
        let all = addresses(lab).into_iter().map(|ip| (ip, PORT).into());
        if self == Self::CentralLeastconn { all.take(1).collect() } else { all.collect() }
    }

    /// What to run on machine `i`, if anything. `group` is the control group that limits the application.
    pub(crate) fn spawn(
        self,
        lab: &Lab,
        i: usize,
        folder: &Path,
        binary: &Path,
        group: &str,
    ) -> Result<Option<Spawn>> {
        let at = lab.machine(i).address();
        Ok(Some(match self {
            Self::CentralLeastconn if i > 0 => return Ok(None),
            Self::HaproxyLeastconn | Self::CentralLeastconn => {
                haproxy(lab, folder, i, at, "leastconn")?
            }
            Self::RoundRobin => haproxy(lab, folder, i, at, "roundrobin")?,
            Self::NginxRandomTwo => nginx(lab, folder, i, at)?,
            Self::Backhand => backhand(folder, i, at, binary, group)?,
        }))
    }
}

fn addresses(lab: &Lab) -> Vec<IpAddr> {
    (0..lab.machines()).map(|i| lab.machine(i).address()).collect()
}

fn write(folder: &Path, name: String, text: &str) -> Result<PathBuf> {
    let file = folder.join(name);
    fs::write(&file, text)?;
    Ok(file)
}

fn haproxy(lab: &Lab, folder: &Path, i: usize, at: IpAddr, balance: &str) -> Result<Spawn> {
    let servers: String = addresses(lab)
        .iter()
        .enumerate()
        .map(|(n, ip)| format!("  server s{n} {ip}:{APP_PORT} check\n"))
        .collect();
    let text = format!(
        "global\n  nbthread 1\n  maxconn 8192\ndefaults\n  mode http\n  option http-keep-alive\n  http-reuse always\n\
         \x20 timeout client 60s\n  timeout server 60s\n  timeout connect 2s\n  timeout queue 2s\n\
         frontend f\n  bind {at}:{PORT}\n  default_backend b\nbackend b\n  balance {balance}\n{servers}"
    );
    let file = write(folder, format!("haproxy-{balance}-{i}.cfg"), &text)?;
    Ok(Spawn::new("haproxy").args(["-db", "-f"]).arg(file))
}

fn nginx(lab: &Lab, folder: &Path, i: usize, at: IpAddr) -> Result<Spawn> {
    let servers: String =
        addresses(lab).iter().map(|ip| format!("server {ip}:{APP_PORT}; ")).collect();
    let f = folder.display();
    let text = format!(
        "daemon off; worker_processes 1; pid {f}/nginx{i}.pid; error_log {f}/nginx{i}.err error; events {{ worker_connections 8192; }}\n\
         http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {f}/n{i}b; proxy_temp_path {f}/n{i}p; fastcgi_temp_path {f}/n{i}f;\n\
         uwsgi_temp_path {f}/n{i}u; scgi_temp_path {f}/n{i}s;\n\
         upstream app {{ zone app 256k; random two least_conn; {servers} keepalive 256; }}\n\
         server {{ listen {at}:{PORT}; location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }} }}\n"
    );
    let file = write(folder, format!("nginx-{i}.conf"), &text)?;
    Ok(Spawn::new("nginx").arg("-c").arg(file))
}

fn backhand(folder: &Path, i: usize, at: IpAddr, binary: &Path, group: &str) -> Result<Spawn> {
    use std::io::Write;
    let key = folder.join("key");
    if !key.exists() {
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key)?;
        let made = Command::new(binary).arg("key").output().context("no key could be made")?;
        file.write_all(&made.stdout)?;
    }
    let f = folder.display();
    let text = format!(
        "[cluster]\nname = \"m{i}\"\nkey_file = \"{f}/key\"\naccept = [\"10.77.0.0/24\"]\nstate_dir = \"{f}/state{i}\"\n\
         [http]\nlisten = [\"{at}:{PORT}\"]\nworkers = 1\n\
         [local]\nserver = \"http://{at}:{APP_PORT}\"\nlimit = 1000\n[status]\nallow = [\"10.77.0.0/24\"]\n\
         [measure]\ncgroup = \"{group}\"\n"
    );
    let file = write(folder, format!("backhand-{i}.toml"), &text)?;
    Ok(Spawn::new(binary).args(["run", "--config"]).arg(file))
}
