//! `[access_log]`: one record per client request.

use std::path::PathBuf;

use base::units::Size;
use serde::Deserialize;
use toml::Spanned;

use super::found::Found;

/// One record per client request, written at the machine the client came to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessLogSection {
    /// Where records go: `"stdout"`, `"off"`, or the path of a file.
    ///
    /// A file is opened for appending and created if missing, its directory is not. Records are written
    /// in whole lines by a thread of its own: a request never waits for the disk. On SIGHUP the file is
    /// opened anew, which is what a program that rotates logs needs.
    ///
    /// Default "stdout".
    pub to: Option<Spanned<PathBuf>>,

    /// `"combined"` is the format every log analyser reads: client, user, time, request line, status, bytes,
    /// referrer, user agent. `"json"` writes one object a line, with all of that and the machine that
    /// served, the reason of the decision, the age of the information it rested on, the route, the number
    /// of attempts and the duration.
    ///
    /// Default "combined".
    pub format: Option<Spanned<String>>,

    /// Whether this machine also records what it serves for its peers, marked `peer`.
    ///
    /// Each request then stands in two logs of the cluster: at its entry and where it was served.
    ///
    /// Default false.
    pub peers: Option<bool>,

    /// How many bytes of records may wait for a slow or full disk, all workers together.
    ///
    /// Records beyond it are dropped, counted in `/metrics` and reported once a minute: the requests go on.
    /// At 250 bytes a record the default holds about 16,000.
    ///
    /// 64KiB to 1GiB. Default 4MiB.
    pub buffer: Option<Spanned<Size>>,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere: nothing is even formatted.
    Off,
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// The combined log format.
    Combined,
    /// One JSON object a line.
    Json,
}

/// `[access_log]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where records go.
    pub target: LogTarget,
    /// How they are written.
    pub format: LogFormat,
    /// Whether requests served for peers are recorded as well.
    pub peers: bool,
    /// Bytes that may wait, all workers together.
    pub buffer: usize,
}

impl AccessLogSection {
    pub(super) fn check(&self, found: &mut Found) -> AccessLog {
        AccessLog {
            target: self.target(found),
            format: found.word(
                "access_log.format",
                &self.format,
                [("combined", LogFormat::Combined), ("json", LogFormat::Json)],
            ),
            peers: self.peers.unwrap_or(false),
            buffer: found.size("access_log.buffer", &self.buffer, 4 << 20, 64 << 10..=1 << 30)
                as usize,
        }
    }

    fn target(&self, found: &mut Found) -> LogTarget {
        let Some(to) = &self.to else { return LogTarget::Stdout };
        let path = to.get_ref();
        match path.to_str() {
            Some("off") => LogTarget::Off,
            Some("stdout") => LogTarget::Stdout,
            _ if path.is_absolute() => {
                let folder = path.parent().unwrap_or(path);
                if path.is_dir() {
                    let message = format!("{path:?} is a directory");
                    let remedy = format!("name a file, such as {:?}", path.join("access.log"));
                    found.wrong_at(to, "access_log.to", message, remedy);
                } else if !folder.is_dir() {
                    let message = format!("there is no directory {folder:?}");
                    let remedy = "make it, or name a file in one that exists";
                    found.wrong_at(to, "access_log.to", message, remedy);
                }
                LogTarget::File(path.clone())
            }
            _ => {
                let message = format!("{path:?} is neither a word known here nor an absolute path");
                let remedy = format!(
                    "write \"stdout\", \"off\" or an absolute path such as {:?}",
                    PathBuf::from("/var/log/backhand").join(path)
                );
                found.wrong_at(to, "access_log.to", message, remedy);
                LogTarget::Off
            }
        }
    }
}
