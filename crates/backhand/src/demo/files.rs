//! What the demonstration writes down for its machines: a key, a site, and for each machine a configuration that the user can read.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The port every machine serves on.
pub(crate) const PORT: u16 = 8080;

macro_rules! site {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../../demo/site/", $name)))),*]
    };
}
/// The files of the small site, as they stand in the source tree.
const SITE: [(&str, &str); 8] =
    site!["index.html" "style.css" "dots.js" "court.svg" "ball.svg" "dots/a" "dots/b" "here"];
/// What in them stands for the name of the machine, so that a page says who served it also without JavaScript.
const MACHINE: &str = "{{machine}}";

/// What the probes ask for: each machine answers it itself, so that the answer says who has the address.
pub(crate) const PROBED: &str = "/here";

/// Where a machine of the demonstration is, and how it meets the others.
pub(crate) struct Around<'a> {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The network in which all are.
    pub(crate) network: &'a str,
    /// The others, told to by name where no multicast is to be had.
    pub(crate) unicast: &'a [IpAddr],
    /// The addresses that move between the machines.
    pub(crate) public: &'a [IpAddr],
}

/// The demonstration's folder.
pub(crate) struct Files {
    pub(crate) folder: PathBuf,
}

impl Files {
    /// Writes the key into `folder`.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut key = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join("cluster.key"))?;
        writeln!(key, "{}", crate::key::random()?)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Writes site and configuration of one machine, and says where the latter is.
    pub(crate) fn machine(&self, name: &str, around: &Around<'_>) -> Result<PathBuf> {
        let Around { address, network, unicast, public } = around;
        let folder = self.folder.join(name);
        fs::create_dir(&folder)?;
        write_site(&folder.join("site"), name)?;
        let targets = if unicast.is_empty() {
            String::from(
                "# Nothing named: the multicast group 239.255.44.45:4445 on every interface.\n",
            )
        } else {
            let list: Vec<String> = unicast.iter().map(|ip| format!("\"{ip}:4445\"")).collect();
            format!("targets = [{}]\n", list.join(", "))
        };
        // Where there are cables they are pulled; elsewhere the bus is cut by its monitor.
        let meeting = if unicast.is_empty() {
            String::from("# Nothing named: the multicast group 239.192.48.3:4803.\n")
        } else {
            let list: Vec<String> = unicast.iter().map(|ip| format!("\"{ip}\"")).collect();
            let seeds = list.join(", ");
            format!("segment = \"none\"\nseeds = [{seeds}]\ndangerous_monitor = true\n")
        };
        // Where addresses come and go it listens on whatever it has.
        let serves = if public.is_empty() { *address } else { Ipv4Addr::UNSPECIFIED.into() };
        let text = format!(
            "# One machine of the demonstration. This is all that it is told.\n\n\
             [cluster]\nname = \"{name}\"\nkey_file = {key}\naccept = [\"{network}\"]\nstate_dir = {state}\n\n\
             [announce]\naddress = \"{address}\"\n{targets}\n\
             [http]\nlisten = [\"{serves}:{PORT}\"]\nserved_by = true\n\n\
             [local]\ndirectory = {site}\n\n\
             # The site's page draws a dot for each request below /dots/: these go to any machine, so that all are seen.\n\
             [[route]]\nname = \"dots\"\npath = \"/dots/\"\nchain = [\"byAge 3\", \"byRandom\"]\n\n\
             # The probe asks each address who has it.\n\
             [[route]]\nname = \"here\"\npath = \"{PROBED}\"\nchain = [\"byHostname ^{name}$\"]\n\n\
             [bus]\naddress = \"{address}\"\nlisten = []\nsocket = {socket}\n{meeting}\n\
             {moving}[access_log]\nto = {log}\n\n\
             [status]\nallow = [\"0.0.0.0/0\", \"::/0\"]\n",
            key = quoted(&self.folder.join("cluster.key")),
            state = quoted(&folder.join("state")),
            site = quoted(&folder.join("site")),
            socket = quoted(&folder.join(super::bus::SOCKET)),
            moving = moving(public, &folder),
            log = quoted(&folder.join("access.log")),
        );
        let file = folder.join("backhand.toml");
        fs::write(&file, text)?;
        Ok(file)
    }
}

/// The control socket of a machine's addresses, below its folder: the machines share this computer's folders.
const CONTROL: &str = "addresses";

/// The section of the addresses that move, for the machine with this folder; nothing without any.
fn moving(public: &[IpAddr], folder: &Path) -> String {
    if public.is_empty() {
        return String::new();
    }
    let list: Vec<String> = public.iter().map(|ip| format!("\"{ip}\"")).collect();
    format!(
        "# The addresses that clients are given. Each is always at exactly one living machine.\n\
         [addresses]\nlist = [{}]\nsocket = {}\nmature = \"1s\"\nstop_within = \"1s\"\nbalance = {{ interval = \"1s\" }}\n\n",
        list.join(", "),
        quoted(&folder.join(CONTROL)),
    )
}

/// A path as it is written in the configuration, whatever stands in it.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

/// Writes the site of one machine: the same for all, but for its name.
fn write_site(site: &Path, machine: &str) -> Result<()> {
    fs::create_dir_all(site.join("dots"))
        .with_context(|| format!("cannot create {}", site.display()))?;
    for (name, text) in SITE {
        fs::write(site.join(name), text.replace(MACHINE, machine))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn each_machine_has_a_control_socket_of_its_own_below_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path()).unwrap();
        let public = [IpAddr::from([10, 77, 0, 101])];
        for name in ["web1", "web2"] {
            let around = Around {
                address: [10, 77, 0, 1].into(),
                network: "10.77.0.0/24",
                unicast: &[],
                public: &public,
            };
            let file = files.machine(name, &around).unwrap();
            let addresses = Config::load(Some(&file)).unwrap().addresses.unwrap();
            assert_eq!(addresses.socket, Some(folder.path().join(name).join(CONTROL)));
        }
    }
}
