//! The servers: ours and the peers', each configured as its manual advises for this job, each with its access log on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cases::{Role, Site};
use crate::process::{LOAD_CORE, Running, SERVER_CORE};

const ORIGIN_PORT: u16 = 18_100;

/// One server under test: how to start it and where it listens.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    pub(crate) port: u16,
    commands: Vec<Vec<String>>,
}

impl Server {
    pub(crate) fn start(&self) -> Result<Running> {
        let commands = self.commands.iter().map(|words| {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]);
            command
        });
        Running::start(commands.collect(), SERVER_CORE, &[self.port])
    }
}

/// The origin: nginx from files, without a log, since it is not under test.
pub(crate) fn origin(folder: &Path, site: &Site) -> Result<Running> {
    let server =
        format!("listen 127.0.0.1:{ORIGIN_PORT}; root {}; access_log off;", site.root.display());
    let file = nginx_file(folder, "origin", "", &server)?;
    let mut command = Command::new("nginx");
    command.args(["-c", &file]);
    Running::start(vec![command], LOAD_CORE, &[ORIGIN_PORT])
}

/// Everything that is compared.
pub(crate) fn all(folder: &Path, site: &Site, binary: &Path) -> Result<Vec<Server>> {
    Ok(vec![
        haproxy(folder, "haproxy", 18_101, "")?,
        haproxy(folder, "haproxy, splice", 18_102, "option splice-response")?,
        nginx_proxy(folder, 18_103)?,
        backhand(folder, binary, "backhand", 18_104, &local_server(""))?,
        backhand(
            folder,
            binary,
            "backhand, off",
            18_105,
            &local_server("[[route]]\nname = \"all\"\nchain = [\"off\"]\n"),
        )?,
        backhand_pair(folder, binary)?,
        nginx_files(folder, site, 18_110, "nginx files", "")?,
        nginx_files(
            folder,
            site,
            18_111,
            "nginx files, file cache",
            "open_file_cache max=100; open_file_cache_valid 1s;",
        )?,
        Server {
            role: Role::Files,
            ..backhand(
                folder,
                binary,
                "backhand files",
                18_112,
                &format!("[local]\ndirectory = \"{}\"\n", site.root.display()),
            )?
        },
    ])
}

fn nginx_file(folder: &Path, name: &str, http: &str, server: &str) -> Result<String> {
    let file = folder.join(format!("nginx-{name}.conf"));
    let text = format!(
        "daemon off; worker_processes 1; pid {0}/{name}.pid; error_log {0}/{name}.err error;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ sendfile on; tcp_nopush on; keepalive_requests 1000000; keepalive_timeout 60s;\n\
         client_body_temp_path {0}/{name}-b; proxy_temp_path {0}/{name}-p; fastcgi_temp_path {0}/{name}-f; uwsgi_temp_path {0}/{name}-u; scgi_temp_path {0}/{name}-s;\n\
         {http} server {{ {server} }} }}\n",
        folder.display()
    );
    std::fs::write(&file, text)?;
    Ok(file.display().to_string())
}

fn log_of(folder: &Path, name: &str) -> String {
    format!("access_log {}/{name}.log combined buffer=64k flush=1s;", folder.display())
}

fn nginx_proxy(folder: &Path, port: u16) -> Result<Server> {
    let upstream = format!(
        "upstream origin {{ least_conn; server 127.0.0.1:{ORIGIN_PORT}; keepalive 64; keepalive_requests 1000000; }}"
    );
    let server = format!(
        "listen 127.0.0.1:{port}; {} location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
         proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }}",
        log_of(folder, "nginx-proxy")
    );
    let file = nginx_file(folder, "proxy", &upstream, &server)?;
    Ok(Server {
        name: "nginx",
        role: Role::Proxy,
        port,
        commands: vec![vec!["nginx".into(), "-c".into(), file]],
    })
}

fn nginx_files(
    folder: &Path,
    site: &Site,
    port: u16,
    name: &'static str,
    cache: &str,
) -> Result<Server> {
    let id = format!("files{port}");
    let server =
        format!("listen 127.0.0.1:{port}; root {}; {}", site.root.display(), log_of(folder, &id));
    let file = nginx_file(folder, &id, cache, &server)?;
    Ok(Server {
        name,
        role: Role::Files,
        port,
        commands: vec![vec!["nginx".into(), "-c".into(), file]],
    })
}

fn haproxy(folder: &Path, name: &'static str, port: u16, option: &str) -> Result<Server> {
    let file = folder.join(format!("haproxy{port}.cfg"));
    let log = folder.join(format!("haproxy{port}.log"));
    let text = format!(
        "global\n  nbthread 1\n  maxconn 4096\n  log stdout format raw local0 info\n\
         defaults\n  mode http\n  log global\n  option httplog\n  {option}\n  option http-keep-alive\n  http-reuse always\n  \
         timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n\
         frontend f\n  bind 127.0.0.1:{port}\n  option forwardfor\n  default_backend b\n\
         backend b\n  balance leastconn\n  server s 127.0.0.1:{ORIGIN_PORT} check\n"
    );
    std::fs::write(&file, text)?;
    // HAProxy writes no file itself: its log goes to standard output, and that into a file, as a supervisor would do it.
    let run = format!("exec haproxy -db -f {} > {}", file.display(), log.display());
    Ok(Server {
        name,
        role: Role::Proxy,
        port,
        commands: vec![vec!["sh".into(), "-c".into(), run]],
    })
}

fn local_server(more: &str) -> String {
    format!("[local]\nserver = \"http://127.0.0.1:{ORIGIN_PORT}\"\n{more}")
}

fn backhand(
    folder: &Path,
    binary: &Path,
    name: &'static str,
    port: u16,
    rest: &str,
) -> Result<Server> {
    let file = backhand_file(folder, port, "", rest)?;
    let words =
        [binary.display().to_string(), "run".into(), "--config".into(), file.display().to_string()];
    Ok(Server { name, role: Role::Proxy, port, commands: vec![words.into()] })
}

/// Entry and serving machine as two processes on the same core: the sum of both is what is measured.
fn backhand_pair(folder: &Path, binary: &Path) -> Result<Server> {
    let (entry, peer) = (18_106, 18_107);
    let away =
        "[[route]]\nname = \"away\"\nchain = [\"byAge 5\", \"removeSelf\"]\nempty = \"refuse\"\n";
    let files = [
        backhand_file(folder, entry, &targets(peer), &local_server(away))?,
        backhand_file(folder, peer, &targets(entry), &local_server(""))?,
    ];
    let commands = files.map(|file| {
        vec![
            binary.display().to_string(),
            "run".into(),
            "--config".into(),
            file.display().to_string(),
        ]
    });
    Ok(Server {
        name: "backhand, entry and peer",
        role: Role::Proxy,
        port: entry,
        commands: commands.into(),
    })
}

fn targets(other: u16) -> String {
    format!("targets = [\"127.0.0.1:{}\"]\n", other + 1000)
}

fn backhand_file(folder: &Path, port: u16, announce: &str, rest: &str) -> Result<PathBuf> {
    let file = folder.join(format!("backhand{port}.toml"));
    let state = folder.join(format!("state{port}"));
    let text = format!(
        "[cluster]\nname = \"m{port}\"\nstate_dir = \"{}\"\naccept = [\"127.0.0.0/8\"]\n\
         [announce]\nport = {}\nexchange_port = {}\n{announce}\
         [http]\nlisten = [\"127.0.0.1:{port}\"]\nworkers = 1\n\
         [access_log]\nto = \"{}\"\n{rest}",
        state.display(),
        port + 1000,
        port + 2000,
        folder.join(format!("backhand{port}.log")).display(),
    );
    std::fs::write(&file, text)?;
    Ok(file)
}
