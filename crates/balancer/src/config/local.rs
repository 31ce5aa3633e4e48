//! `[local]`: what this machine serves itself, how much of it, and how its health is known.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::units::{Size, Span};
use serde::Deserialize;
use toml::Spanned;

use super::found::{Found, list};
use crate::local::files;

/// The directory served when nothing is said and it is there.
const DEFAULT_DIRECTORY: &str = "/var/www/html";

/// Longest path of a Unix socket, in bytes (`unix(7)`: 108 with the byte that ends it).
const UNIX_MAX: usize = 107;

/// What this machine serves itself, when it is the one chosen: a directory, or an HTTP server on a port or
/// a Unix socket. At most one of `directory`, `server` and `unix` is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalSection {
    /// A directory of files to serve: types, index files, ranges, conditional requests, precompressed siblings.
    ///
    /// Nothing outside of it is ever served, and no file or directory whose name begins with a dot
    /// (`/.well-known/` excepted), be it by way of a link. It must be readable when the program starts. An absolute path.
    ///
    /// Default, if none of the three is given: `/var/www/html` if that is there, else a page of welcome at `/`.
    pub directory: Option<Spanned<PathBuf>>,

    /// An HTTP/1.1 server to pass requests to: `"http://127.0.0.1:9000"`, or `"127.0.0.1:9000"`.
    ///
    /// Usually on this host, but any address will do. Names are not resolved, except that `localhost` means 127.0.0.1.
    pub server: Option<Spanned<String>>,

    /// The same on a Unix socket: `"/run/app.sock"`. It saves the TCP of the loopback.
    pub unix: Option<Spanned<PathBuf>>,

    /// How a request is served here when this machine is chosen: `"direct"`, or `"proxy"` as the historical
    /// `BackhandSelfRedirect`: through a connection like one to a peer, to the second local server at `proxy_to`,
    /// with the mark of a request that was already allocated. For a light server in front and a heavy one
    /// behind on the same host. Everything that is served here then goes to `proxy_to`, whatever the chain of its
    /// route, `off` included; `server`, `unix` and `directory` have nothing to do and may be left out.
    ///
    /// Default "direct".
    #[serde(rename = "self")]
    pub itself: Option<Spanned<String>>,

    /// The second local server for `self = "proxy"`: `"127.0.0.1:8081"`. Only with that, and then needed.
    pub proxy_to: Option<Spanned<String>>,

    /// How many requests are in service here at one time, own and for peers.
    ///
    /// At the limit further ones wait in the queue; the others hear of it and choose elsewhere. Event streams
    /// and upgraded connections do not count. It should be what the application can do at once: the
    /// `MaxRequestWorkers` of an Apache, the `pm.max_children` of a PHP.
    ///
    /// 1 to 65535. Default 512.
    pub limit: Option<Spanned<i64>>,

    /// How many requests may wait for a place under the limit. More get 503 with `Retry-After` at once;
    /// peers' requests go back to their entry, which tries another machine.
    ///
    /// A queue smooths a burst; a long one only makes everybody late. 0 to 65535. Default 64.
    pub queue: Option<Spanned<i64>>,

    /// How long one may wait there before it is answered 503. 1ms to 30s. Default 200ms.
    pub queue_time: Option<Spanned<Span>>,

    /// How many resting connections to the local server each worker keeps. 0 opens one for each request.
    ///
    /// It should cover the requests that one worker has here at a busy moment: what is above it is closed
    /// after use, which costs half as much again as the request. A server with a process per connection
    /// (Apache's prefork) gives a process to each of them.
    /// 0 to 1024. Default 256. Without meaning for a directory.
    pub keep_alive: Option<Spanned<i64>>,

    /// Time for a connection to the local server. 1ms to 30s. Default 1s.
    pub connect_timeout: Option<Spanned<Span>>,

    /// How it is known that the local service is well. While it is not, this machine is no candidate for
    /// any request, its own included.
    ///
    /// `"tcp"`: a connection is accepted. `"/path"`: a GET of that path is answered with a status from 200
    /// to 399. `"off"`: it is taken to be well. A directory is well while it can be read.
    ///
    /// Default "tcp".
    pub health: Option<Spanned<String>>,

    /// Time between two checks. A check that contradicts what is believed is followed by the next
    /// after a fifth of it. 50ms to 1m. Default 500ms.
    pub health_interval: Option<Spanned<Span>>,

    /// Time for one check. Longer counts as a failure. 10ms to 30s. Default 1s.
    pub health_timeout: Option<Spanned<Span>>,

    /// Good checks in a row until an unwell service is believed to be well. 1 to 100. Default 2.
    pub health_rise: Option<Spanned<i64>>,

    /// Bad checks in a row until it is believed to be unwell. A refused connection needs no second one.
    /// 1 to 100. Default 2.
    pub health_fall: Option<Spanned<i64>>,

    /// The files that answer for a directory, in order of preference. None lists its contents: a directory
    /// without one of these answers 404.
    ///
    /// 0 to 8 plain file names. Default `["index.html"]`.
    pub index: Option<Vec<Spanned<String>>>,

    /// Types of content by file name extension, beside and before the built-in ones:
    /// `{ md = "text/markdown; charset=utf-8" }`.
    pub types: BTreeMap<Spanned<String>, Spanned<String>>,

    /// Whether `page.html.br`, `.zst` or `.gz` is sent instead of `page.html` to clients that take it, if
    /// it is there. The siblings are made beforehand, by whoever makes the files; nothing is compressed here.
    ///
    /// Default true.
    pub precompressed: Option<bool>,

    /// Which symbolic links are followed: `"inside"` those that lead to something that is served anyway, whether
    /// they are written relative or absolute, `"none"`, or `"anywhere"`, with which whoever can make a link there publishes any file this program can read.
    ///
    /// Default "inside".
    pub links: Option<Spanned<String>>,

    /// The `Cache-Control` of files, such as `"public, max-age=3600"`. Default: none is sent, and clients ask
    /// again with the file's tag.
    pub cache_control: Option<Spanned<String>>,

    /// Whether `X-Content-Type-Options: nosniff` is sent with files, so that no browser takes a text for a
    /// script. Default true.
    pub nosniff: Option<bool>,

    /// How much memory each worker may use to keep small files. What is kept is looked at again after at most
    /// a second, so a changed file is seen that late. 0B opens every file for every request.
    ///
    /// 0B to 4GiB. Default 16MiB.
    pub memory: Option<Spanned<Size>>,
}

/// What serves requests here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Files, or the page of welcome.
    Files(files::Options),
    /// An HTTP server on a port.
    Server(SocketAddr),
    /// An HTTP server on a Unix socket.
    Unix(PathBuf),
}

/// How a request is served here when this machine is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Itself {
    /// By [`Local::service`].
    Direct,
    /// Through a peer-style connection to this address.
    Proxy(SocketAddr),
}

/// How the local service's health is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// Not at all.
    Off,
    /// It accepts a connection, or its directory can be read.
    Connect,
    /// It answers a GET of this path with 200 to 399.
    Path(String),
}

/// The rhythm and thresholds of health checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// What is checked.
    pub check: HealthCheck,
    /// Between two checks.
    pub interval: Duration,
    /// For one check.
    pub timeout: Duration,
    /// Good checks in a row to be well again.
    pub rise: u32,
    /// Bad checks in a row to be unwell.
    pub fall: u32,
}

/// `[local]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// What serves requests here.
    pub service: Service,
    /// How it is reached when this machine is chosen.
    pub itself: Itself,
    /// Requests in service at one time, all workers together.
    pub limit: u32,
    /// Requests that may wait, all workers together.
    pub queue: u32,
    /// How long one may wait.
    pub queue_time: Duration,
    /// Resting connections to the local server per worker.
    pub keep_alive: usize,
    /// For a connection to the local server.
    pub connect_timeout: Duration,
    /// How its health is known.
    pub health: Health,
}

impl LocalSection {
    pub(super) fn check(&self, found: &mut Found) -> Local {
        let ms = Duration::from_millis;
        let patience = ms(1)..=ms(30_000);
        Local {
            service: self.service(found),
            itself: self.itself(found),
            limit: found.count("local.limit", &self.limit, 512, 1..=65_535),
            queue: found.count("local.queue", &self.queue, 64, 0..=65_535),
            queue_time: found.span("local.queue_time", &self.queue_time, ms(200), patience.clone()),
            keep_alive: found.count("local.keep_alive", &self.keep_alive, 256, 0..=1024) as usize,
            connect_timeout: found.span(
                "local.connect_timeout",
                &self.connect_timeout,
                ms(1000),
                patience,
            ),
            health: self.health(found),
        }
    }

    fn service(&self, found: &mut Found) -> Service {
        let files = self.files(found);
        let given: Vec<&str> = [
            ("local.directory", self.directory.is_some()),
            ("local.server", self.server.is_some()),
            ("local.unix", self.unix.is_some()),
        ]
        .iter()
        .filter_map(|(key, given)| given.then_some(*key))
        .collect();
        if given.len() > 1 {
            let message = format!("{} are given together", given.join(" and "));
            found.wrong(given[1], message, format!("keep only {}", list(&given)));
        }
        if let Some(path) = &self.directory {
            self.directory(path, files, found)
        } else if let Some(server) = &self.server {
            address("local.server", server, found).map_or_else(Service::unknown, Service::Server)
        } else if let Some(path) = &self.unix {
            if !path.get_ref().is_absolute() {
                let message = format!("{:?} is relative", path.get_ref());
                found.wrong_at(path, "local.unix", message, "write the whole path, from /");
            }
            if path.get_ref().as_os_str().len() > UNIX_MAX {
                let message = format!("it has {} bytes", path.get_ref().as_os_str().len());
                let remedy =
                    format!("name a socket of at most {UNIX_MAX}: the kernel knows no longer ones");
                found.wrong_at(path, "local.unix", message, remedy);
            }
            Service::Unix(path.get_ref().clone())
        } else {
            assumed(files, found)
        }
    }

    fn directory(
        &self,
        path: &Spanned<PathBuf>,
        files: files::Options,
        found: &mut Found,
    ) -> Service {
        let options = files::Options { root: Some(path.get_ref().clone()), ..files };
        if !path.get_ref().is_absolute() {
            let message = format!("{:?} is relative", path.get_ref());
            found.wrong_at(path, "local.directory", message, "write the whole path, from /");
        } else if let Err(e) = files::Root::open(&options) {
            found.wrong_at(path, "local.directory", e.to_string(), e.remedy());
        }
        Service::Files(options)
    }

    fn itself(&self, found: &mut Found) -> Itself {
        let proxy = found.word("local.self", &self.itself, [("direct", false), ("proxy", true)]);
        match (proxy, &self.proxy_to) {
            (false, None) => Itself::Direct,
            (false, Some(to)) => {
                let remedy = "add self = \"proxy\", or remove it";
                found.wrong_at(
                    to,
                    "local.proxy_to",
                    "it has no effect with self = \"direct\"",
                    remedy,
                );
                Itself::Direct
            }
            (true, Some(to)) => {
                address("local.proxy_to", to, found).map_or(Itself::Direct, Itself::Proxy)
            }
            (true, None) => {
                let message = "\"proxy\" needs to know the second local server";
                found.wrong("local.self", message, "add proxy_to = \"127.0.0.1:8081\"");
                Itself::Direct
            }
        }
    }

    fn health(&self, found: &mut Found) -> Health {
        let ms = Duration::from_millis;
        let check = match self.health.as_ref().map(|v| (v, v.get_ref().as_str())) {
            None | Some((_, "tcp")) => HealthCheck::Connect,
            Some((_, "off")) => HealthCheck::Off,
            Some((_, path)) if is_path(path) => HealthCheck::Path(path.into()),
            Some((value, text)) => {
                let message = format!("{text:?} is neither a word known here nor a path");
                found.wrong_at(
                    value,
                    "local.health",
                    message,
                    "write \"tcp\", \"off\" or \"/path\"",
                );
                HealthCheck::Connect
            }
        };
        let bounds = ms(50)..=ms(60_000);
        Health {
            check,
            interval: found.span("local.health_interval", &self.health_interval, ms(500), bounds),
            timeout: found.span(
                "local.health_timeout",
                &self.health_timeout,
                ms(1000),
                ms(10)..=ms(30_000),
            ),
            rise: found.count("local.health_rise", &self.health_rise, 2, 1..=100),
            fall: found.count("local.health_fall", &self.health_fall, 2, 1..=100),
        }
    }
}

impl Service {
    /// Stands in for a service whose key is wrong, so that checking can go on to the next mistake.
    fn unknown() -> Self {
        Self::Files(files::Options::default())
    }
}

fn assumed(files: files::Options, found: &mut Found) -> Service {
    let root = Path::new(DEFAULT_DIRECTORY);
    let options = files::Options { root: Some(root.into()), ..files };
    if files::Root::open(&options).is_ok() {
        found.assumed.push(format!("files are served from {DEFAULT_DIRECTORY} (local.directory)"));
        return Service::Files(options);
    }
    found.assumed.push(
        "there is nothing to serve, so there is only a page of welcome (local.directory, local.server or local.unix)".into(),
    );
    Service::Files(files::Options { root: None, ..options })
}

/// The address of a server, with or without `http://` and a last slash.
fn address(key: &str, text: &Spanned<String>, found: &mut Found) -> Option<SocketAddr> {
    let written = text.get_ref().trim();
    let bare = written.strip_prefix("http://").unwrap_or(written);
    let bare = bare.strip_suffix('/').unwrap_or(bare).replacen("localhost:", "127.0.0.1:", 1);
    match bare.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 && !address.ip().is_unspecified() => Some(address),
        _ => {
            let message = format!("{written:?} is not an address with a port");
            let remedy =
                "write one such as \"http://127.0.0.1:9000\"; names and https are not known here";
            found.wrong_at(text, key, message, remedy);
            None
        }
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic())
}
