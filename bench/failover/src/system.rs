//! What is compared, and how each is configured and started.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;
use lab::Spawn;

/// A key that nobody else has reason to use, in hexadecimal.
const KEY: &str = "1d3c1b0a8f7e6d5c4b3a29181706f5e4d3c2b1a09f8e7d6c5b4a392817060504";
/// Most addresses that one VRRP advertisement of keepalived is given; the rest are `virtual_ipaddress_excluded`, its way for more.
const IN_ADVERT: usize = 16;

/// One of the things that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Ours with its defaults.
    Backhand,
    /// Ours, tuned for fast reactions.
    Tuned,
    /// keepalived with so many milliseconds between advertisements.
    Keepalived(u32),
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) backhand: std::path::PathBuf,
    pub(crate) keepalived: Option<std::path::PathBuf>,
}

/// What a cluster is to hold.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether each address prefers another machine; if not, all stay with whoever has them.
    pub(crate) spread: bool,
}

impl System {
    /// All of them, ours first.
    pub(crate) const ALL: [Self; 5] = [
        Self::Backhand,
        Self::Tuned,
        Self::Keepalived(1_000),
        Self::Keepalived(100),
        Self::Keepalived(10),
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::Backhand => "backhand".into(),
            Self::Tuned => "backhand, tuned".into(),
            Self::Keepalived(millis) => format!("keepalived {} s", f64::from(millis) / 1e3),
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Backhand | Self::Tuned)
    }

    /// Writes what the program of machine `i`, from 0, reads.
    pub(crate) fn configure(
        self,
        folder: &Path,
        i: usize,
        own: IpAddr,
        wanted: &Wanted,
    ) -> Result<()> {
        let text = match self {
            Self::Backhand => ours(folder, i, own, wanted, "", ""),
            Self::Tuned => ours(folder, i, own, wanted, TUNED_BUS, TUNED_ADDRESSES),
            Self::Keepalived(millis) => keepalived(i, f64::from(millis) / 1e3, wanted),
        };
        if self.is_ours() && i == 0 {
            let mut options = fs::OpenOptions::new();
            let mut key =
                options.write(true).create_new(true).mode(0o600).open(folder.join("key"))?;
            key.write_all(KEY.as_bytes())?;
        }
        Ok(fs::write(folder.join(format!("m{}.conf", i + 1)), text)?)
    }

    /// How the program of machine `i` is started.
    pub(crate) fn spawn(self, programs: &Programs, folder: &Path, i: usize) -> Result<Spawn> {
        let file = folder.join(format!("m{}.conf", i + 1));
        if self.is_ours() {
            return Ok(Spawn::new(&programs.backhand).args(["run", "--config"]).arg(file));
        }
        let program = crate::packages::keepalived(programs.keepalived.as_deref())?;
        Ok(Spawn::new(program).args(["-n", "-l", "-D", "-f"]).arg(file))
    }
}

/// What makes ours faster: a machine that falls silent is missed sooner.
const TUNED_BUS: &str = "heartbeat = \"5ms\"\ntimeout_floor = \"20ms\"\n";
/// And one whose programs are all stopped loses its addresses sooner.
const TUNED_ADDRESSES: &str = "lease = \"1s\"\nguardian = { suspicion = \"200ms\" }\n";

fn ours(folder: &Path, i: usize, own: IpAddr, wanted: &Wanted, bus: &str, more: &str) -> String {
    let f = folder.display();
    let on = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => format!("\"eth0:{ip}\""),
        IpAddr::V6(ip) => format!("\"eth0:[{ip}]\""),
    };
    let list: Vec<String> = wanted.addresses.iter().map(on).collect();
    // Only the start of a cluster is about maturity, and nothing is measured then.
    let stay = if wanted.spread { "" } else { "balance = { interval = \"1h\" }\n" };
    format!(
        "[cluster]\nname = \"m{n}\"\nkey_file = \"{f}/key\"\nstate_dir = \"{f}/state{n}\"\n\
         [announce]\naddress = \"{own}\"\n[http]\nlisten = [\"{own}:8080\"]\nworkers = 1\n\
         [local]\nserver = \"http://127.0.0.1:{port}\"\n\
         [bus]\nsocket = \"/run/bus.sock\"\n{bus}\
         [addresses]\nmature = \"1s\"\nlist = [{list}]\n{stay}{more}",
        n = i + 1,
        port = crate::server::PORT,
        list = list.join(", "),
    )
}

/// As the manual has it: each address with a master of its own and the others behind it by priority.
fn keepalived(i: usize, advert: f64, wanted: &Wanted) -> String {
    let mut text = format!("global_defs {{\n  router_id m{}\n  vrrp_version 3\n}}\n", i + 1);
    // The two versions are advertised apart.
    let (four, six): (Vec<IpAddr>, Vec<IpAddr>) =
        wanted.addresses.iter().copied().partition(IpAddr::is_ipv4);
    let groups: Vec<Vec<IpAddr>> = if wanted.spread {
        wanted.addresses.iter().map(|ip| vec![*ip]).collect()
    } else {
        [four, six].into_iter().filter(|some| !some.is_empty()).collect()
    };
    for (number, group) in groups.iter().enumerate() {
        // One master each, then round about.
        let place = (i + 3 - number % 3) % 3;
        let priority = if wanted.spread { 150 - 50 * place } else { 150 - 50 * i };
        text += &format!(
            "vrrp_instance v{number} {{\n  state BACKUP\n  interface eth0\n  virtual_router_id {}\n  priority {priority}\n  advert_int {advert}\n",
            50 + number
        );
        let line =
            |ip: &IpAddr| format!("    {ip}/{} dev eth0\n", if ip.is_ipv4() { 32 } else { 128 });
        let link_local = |ip: &&IpAddr| ip.is_ipv6();
        let mut inside: String = String::new();
        if group.iter().any(|ip| link_local(&ip)) {
            // RFC 9568 wants a link-local address first.
            inside += &format!("    fe80::{:x}/64 dev eth0\n", 0x50 + number);
        }
        inside.extend(group.iter().take(IN_ADVERT).map(line));
        text += &format!("  virtual_ipaddress {{\n{inside}  }}\n");
        if group.len() > IN_ADVERT {
            let more: String = group.iter().skip(IN_ADVERT).map(line).collect();
            text += &format!("  virtual_ipaddress_excluded {{\n{more}  }}\n");
        }
        text += "}\n";
    }
    text
}

/// The addresses of the ordinary measurements: one for each machine.
pub(crate) fn three() -> Vec<IpAddr> {
    (101..104).map(|host| IpAddr::from(Ipv4Addr::new(10, 77, 0, host))).collect()
}

/// So many addresses of a version, in networks that machines and clients reach by the cable.
pub(crate) fn many(count: u16, v4: bool) -> Vec<IpAddr> {
    (0..count)
        .map(|at| {
            let [high, low] = at.to_be_bytes();
            if v4 {
                // Above every address of the lab's own.
                IpAddr::from(Ipv4Addr::new(10, 77, 4 + high, low))
            } else {
                IpAddr::from(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 1, at + 1))
            }
        })
        .collect()
}
