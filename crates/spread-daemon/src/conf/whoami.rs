//! Which of the daemons in the file is this one, and what people get wrong about it.
//!
//! The original started under any name and then lost its token for ever, with no word about why. Here a name whose
//! address is not on this machine is refused, with the names that would do.

use std::fmt;
use std::net::IpAddr;

use ring::name::NAME_MAX;

use super::{Daemon, SpreadConf};

/// Most names or addresses that a sentence lists.
const LISTED_MAX: usize = 12;

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The interface that has it, such as `eth0`.
    pub interface: String,
    /// The address.
    pub ip: IpAddr,
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.ip, self.interface)
    }
}

/// This daemon, found in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// Its place in [`SpreadConf::daemons`].
    pub index: usize,
    /// If no name was given and several daemons have addresses of this machine: that the first of them was taken. For
    /// the log.
    pub warning: Option<String>,
}

/// Why this daemon is none of those in the file. Each says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMe {
    /// The name that was given is not in the file.
    #[error("no daemon is called {name:?} in the configuration, which has {known}; {remedy}")]
    Name {
        /// As it was given.
        name: String,
        /// The names there are.
        known: String,
        /// What to do.
        remedy: String,
    },
    /// The daemon of that name lives on another machine.
    #[error(
        "{name} has the address {ip} (line {line}), which is not on this machine: it has {here}; {remedy}"
    )]
    OtherMachine {
        /// The daemon.
        name: String,
        /// Its address.
        ip: IpAddr,
        /// Where it stands in the file.
        line: usize,
        /// The addresses of this machine.
        here: String,
        /// What to do.
        remedy: String,
    },
    /// No name was given, and no daemon has an address of this machine.
    #[error(
        "this machine is not in the configuration: it has {here}, and the daemons have {known}; add a line with a name and one of its addresses to the segment, in the file of every machine"
    )]
    NotListed {
        /// The addresses of this machine.
        here: String,
        /// The daemons.
        known: String,
    },
    /// The daemon was found, but shall listen on an address that this machine does not have.
    #[error(
        "{name} shall listen on {ip} (line {line}), which is not on this machine: it has {here}; correct the address between the braces, or leave it out"
    )]
    Interface {
        /// The daemon.
        name: String,
        /// The address it shall listen on.
        ip: IpAddr,
        /// Where the daemon stands in the file.
        line: usize,
        /// The addresses of this machine.
        here: String,
    },
}

impl SpreadConf {
    /// Finds this daemon: the one of the name that was given with `-n`, else the first that has one of the machine's
    /// addresses. Every address of 127.0.0.0/8 is one of them.
    ///
    /// # Errors
    /// [`NotMe`], which says in one sentence what is wrong and what to do.
    pub fn whoami(&self, name: Option<&str>, here: &[LocalAddress]) -> Result<Me, NotMe> {
        let is_here = |ip: IpAddr| {
            matches!(ip, IpAddr::V4(ip) if ip.is_loopback()) || here.iter().any(|own| own.ip == ip)
        };
        let mine: Vec<usize> =
            (0..self.daemons.len()).filter(|&i| is_here(self.daemons[i].ip)).collect();
        let index = match name {
            Some(name) => self.named(name, &mine, here)?,
            None => *mine.first().ok_or_else(|| NotMe::NotListed {
                here: listed(here),
                known: listed(self.daemons.iter().map(Entry)),
            })?,
        };
        let me = &self.daemons[index];
        let strange = me.interfaces.iter().map(|interface| interface.ip);
        if let Some(ip) = strange.clone().find(|ip| !ip.is_unspecified() && !is_here(*ip)) {
            let (name, line) = (me.name.to_string(), me.line);
            return Err(NotMe::Interface { name, ip, line, here: listed(here) });
        }
        let warning = (name.is_none() && mine.len() > 1).then(|| {
            let all = listed(mine.iter().map(|&i| Entry(&self.daemons[i])));
            format!("several daemons have addresses of this machine, {all}: this one is {}, the first; say another with -n", me.name)
        });
        Ok(Me { index, warning })
    }

    fn named(&self, name: &str, mine: &[usize], here: &[LocalAddress]) -> Result<usize, NotMe> {
        // Names are cut in the file, so they are here.
        let wanted = &name.as_bytes()[..name.len().min(NAME_MAX)];
        let instead = || {
            mine.first()
                .map(|&i| format!("this machine is {}: start with -n {0}", self.daemons[i].name))
        };
        let Some(index) = self.daemons.iter().position(|d| d.name.as_bytes() == wanted) else {
            let remedy = instead().unwrap_or_else(|| {
                "name one of these with -n, or add this one to the file of every machine".into()
            });
            let known = listed(self.daemons.iter().map(|daemon| daemon.name));
            return Err(NotMe::Name { name: name.into(), known, remedy });
        };
        if mine.contains(&index) {
            return Ok(index);
        }
        let daemon = &self.daemons[index];
        let remedy = instead().unwrap_or_else(|| {
            "start it on the machine of that address, or correct the address in the file of every machine".into()
        });
        let (name, ip, line) = (daemon.name.to_string(), daemon.ip, daemon.line);
        Err(NotMe::OtherMachine { name, ip, line, here: listed(here), remedy })
    }
}

/// A daemon as a sentence names it.
struct Entry<'a>(&'a Daemon);

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.name, self.0.ip)
    }
}

/// All of them with commas, or the first and how many there are besides.
fn listed<T: fmt::Display>(all: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    match all.len() {
        0 => "none".into(),
        n if n <= LISTED_MAX => all.join(", "),
        n => format!("{} and {} more", all[..LISTED_MAX].join(", "), n - LISTED_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::conf;
    use super::*;

    const TWO: &str = "Spread_Segment 10.0.0.255:4913 {\n    www-0-1          10.0.0.132\n    www-0-2          10.0.0.133\n}\n";

    fn machine(ips: &[&str]) -> Vec<LocalAddress> {
        let ips = ips.iter().map(|ip| ip.parse().unwrap());
        ips.map(|ip| LocalAddress { interface: "fxp0".into(), ip }).collect()
    }

    fn who(text: &str, name: Option<&str>, ips: &[&str]) -> Result<usize, String> {
        let me = conf(text).whoami(name, &machine(ips)).map_err(|error| error.to_string())?;
        assert_eq!(me.warning, None);
        Ok(me.index)
    }

    #[test]
    fn a_daemon_is_found_by_its_name_or_by_its_address() {
        assert_eq!(who(TWO, Some("www-0-2"), &["10.0.0.133"]), Ok(1));
        assert_eq!(who(TWO, None, &["192.168.1.1", "10.0.0.133"]), Ok(1));
        let local = "Spread_Segment 127.0.0.255 { a 127.0.0.2 }";
        assert_eq!(who(local, None, &[]), Ok(0));
    }

    #[test]
    fn a_name_that_was_cut_in_the_file_is_cut_on_the_command_line_too() {
        let long = "Spread_Segment 10.0.0.255 { a-very-long-machine-name 10.0.0.1 }";
        assert_eq!(who(long, Some("a-very-long-machine-name"), &["10.0.0.1"]), Ok(0));
    }

    #[test]
    fn a_machine_that_is_not_in_the_configuration_is_told_its_addresses() {
        assert_eq!(
            who(TWO, None, &["192.168.221.22"]).unwrap_err(),
            "this machine is not in the configuration: it has 192.168.221.22 (fxp0), and the daemons have www-0-1 10.0.0.132, www-0-2 10.0.0.133; add a line with a name and one of its addresses to the segment, in the file of every machine"
        );
    }

    #[test]
    fn a_name_of_another_machine_is_refused_and_the_right_one_named() {
        assert_eq!(
            who(TWO, Some("www-0-2"), &["10.0.0.132"]).unwrap_err(),
            "www-0-2 has the address 10.0.0.133 (line 3), which is not on this machine: it has 10.0.0.132 (fxp0); this machine is www-0-1: start with -n www-0-1"
        );
        let error = who(TWO, Some("www-0-2"), &["10.9.0.1"]).unwrap_err();
        assert!(error.ends_with("start it on the machine of that address, or correct the address in the file of every machine"), "{error}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_that_are_known() {
        assert_eq!(
            who(TWO, Some("relay-0-1"), &["10.0.0.132"]).unwrap_err(),
            "no daemon is called \"relay-0-1\" in the configuration, which has www-0-1, www-0-2; this machine is www-0-1: start with -n www-0-1"
        );
    }

    #[test]
    fn of_several_daemons_the_first_is_taken_and_said() {
        let conf = conf(TWO);
        let here = machine(&["10.0.0.133", "10.0.0.132"]);
        let me = conf.whoami(None, &here).unwrap();
        assert_eq!(me.index, 0);
        assert!(
            me.warning
                .unwrap()
                .contains("www-0-1 10.0.0.132, www-0-2 10.0.0.133: this one is www-0-1")
        );
        assert_eq!(conf.whoami(Some("www-0-2"), &here).unwrap(), Me { index: 1, warning: None });
    }

    #[test]
    fn an_interface_that_is_not_here_is_named() {
        let text = "Spread_Segment 10.0.0.255 { a 10.0.0.1 { D 10.0.0.1 C 10.1.0.1 } }";
        let error = who(text, None, &["10.0.0.1"]).unwrap_err();
        assert!(
            error.starts_with("a shall listen on 10.1.0.1 (line 1), which is not on"),
            "{error}"
        );
        assert_eq!(who(text, None, &["10.0.0.1", "10.1.0.1"]), Ok(0));
    }

    #[test]
    fn long_lists_are_cut() {
        let many = listed((0..20).map(|i| i.to_string()));
        assert!(many.ends_with("11 and 8 more"), "{many}");
        assert_eq!(listed::<u8>([]), "none");
    }
}
