//! What the purging member may do, held by the kernel: of all files only list and remove those beneath its folder, by TCP only
//! speak to its daemon, and send no signals.
//!
//! Not held, because landlock as it is used here knows nothing of them: datagrams (UDP), and connecting to Unix sockets that have a path.
//!
//! Landlock takes the rights away from the thread that asks and from all that it starts, for ever, and needs no privilege. A kernel
//! that knows less of it enforces less; what is in force is said.

use std::os::fd::AsFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, NetPort,
    PathBeneath, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};
use spread_client::Endpoint;

use super::folder::Folder;

/// What is asked for: the newest rules that this was tested with.
const ASKED: ABI = ABI::V6;
/// Where a host's name is looked up.
const LOOKUP: [&str; 5] = ["/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve"];
/// The port of name servers.
const DNS: u16 = 53;

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Whether all that was asked for is.
    pub whole: bool,
    /// A sentence that tells it.
    pub text: String,
}

/// Takes every right away from this thread that purging in `folder` and speaking to `endpoint` does not need.
pub fn confine(folder: &Folder, endpoint: &Endpoint) -> Confinement {
    use LandlockStatus::{Available, NotEnabled};
    let path = folder.path().display();
    let only = format!("only opening files beneath {path} alone keeps this program there");
    let (ruleset, landlock) = match restrict(folder, endpoint) {
        Ok(status) => (status.ruleset, status.landlock),
        Err(error) => {
            let text = format!("not confined by landlock: {error}; {only}");
            return Confinement { whole: false, text };
        }
    };
    let text = match (&ruleset, landlock) {
        (RulesetStatus::FullyEnforced, Available { effective_abi, .. }) => format!(
            "confined by landlock {effective_abi}: of all files it may list and remove those beneath {path} alone, by TCP connect to its daemon alone, and signal nobody; UDP and Unix sockets with a path are not held"
        ),
        (RulesetStatus::PartiallyEnforced, Available { effective_abi, .. }) => format!(
            "confined in part: this kernel has landlock {effective_abi} and not {ASKED}; may remove beneath {path} only"
        ),
        (_, NotEnabled) => {
            format!("not confined by landlock, which is switched off in this kernel (lsm=); {only}")
        }
        _ => format!("not confined by landlock, which this kernel has not (Linux 5.13); {only}"),
    };
    Confinement { whole: ruleset == RulesetStatus::FullyEnforced, text }
}

fn restrict(folder: &Folder, endpoint: &Endpoint) -> Result<RestrictionStatus, RulesetError> {
    let purging = AccessFs::ReadDir | AccessFs::RemoveFile | AccessFs::RemoveDir;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ASKED))?
        .handle_access(AccessNet::from_all(ASKED))?
        .scope(Scope::from_all(ASKED))?
        .create()?
        .add_rule(PathBeneath::new(folder.as_fd(), purging))?;
    if let Endpoint::Tcp { host, port } | Endpoint::Tls { host, port } = endpoint {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        if host.parse::<std::net::IpAddr>().is_err() {
            // The name is looked up at every connection; where it is written down may be read.
            let read = AccessFs::from_read(ASKED);
            rules = rules
                .add_rules(path_beneath_rules(LOOKUP, read))?
                .add_rule(NetPort::new(DNS, AccessNet::ConnectTcp))?;
        }
    }
    rules.restrict_self()
}
