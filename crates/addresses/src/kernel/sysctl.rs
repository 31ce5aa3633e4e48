//! The settings of the kernel that matter to our addresses.
//!
//! - `promote_secondaries`: needed for an IPv4 address with a shorter prefix than /32, see [`promote_secondaries`]. IPv6 knows no
//!   secondaries.
//! - `ip_nonlocal_bind` is not touched: a program that binds an address before it is here needs it, ours do not.
//! - `arp_ignore`, `arp_announce` are not touched: see [`Flux`].
//! - `forwarding` of IPv6 is not touched: see [`forwards_ipv6`].

use std::fs;
use std::io;

use super::error::Error;

/// Has the kernel keep the other addresses of a network when its first one goes, and makes sure that it will.
///
/// Without this the kernel deletes, with the first address of a network (the *primary*), all others of the same network and
/// prefix: an address that runs out would take the machine's own along. Call it before such an address is added, and now and then while
/// it is there: anybody may set it. Whether it had to be set.
///
/// # Errors
/// When the setting is off and cannot be set, with the remedy.
pub fn promote_secondaries(interface: &str) -> Result<bool, Error> {
    let path = |of: &str| format!("/proc/sys/net/ipv4/conf/{of}/promote_secondaries");
    let own = path(named(interface)?);
    if read(&own)? == "1" {
        return Ok(false);
    }
    let written = fs::write(&own, "1");
    let found = read(&own)?;
    // The kernel takes the interface's own setting or that of all.
    if found == "1" || read(&path("all")).is_ok_and(|all| all == "1") {
        return Ok(found == "1");
    }
    let why =
        written.err().map_or_else(|| "it does not stay".to_owned(), |error| error.to_string());
    let remedy = format!(
        "it cannot be set here ({why}); set net.ipv4.conf.{interface}.promote_secondaries=1 from outside (in a container: by its host), or use addresses with /32"
    );
    Err(Error::Setting { path: own, found, wanted: "1".into(), remedy })
}

/// What the kernel does with an ARP request that comes in by another interface than the one the address is on.
///
/// With several interfaces on one network it matters: by default (`arp_ignore=0`) every one of them answers for every address of
/// the machine, each with its own hardware address. Seen here with two cables to one bridge: both answer each request, and the last
/// answer is what the neighbour keeps. Frames come in either way; but an announcement then does not decide by which cable they come, and a
/// cable that is mute takes the traffic of addresses of the other. `arp_ignore=1` ends that. It also changes how the machine answers for
/// its own addresses, so it is the administrator's to set, together with `arp_announce=2`: otherwise the kernel may ask by one interface
/// in the name of an address of the other, which announces the wrong cable just as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flux {
    /// Every interface answers for every address.
    Everywhere,
    /// Only the interface that has the address answers (`arp_ignore` 1 or 2).
    OwnOnly,
    /// As before, and it does not answer for addresses of scope *host* (`arp_ignore` 3): a /32 that is no source would be dead.
    NotForHost,
    /// It answers for no address (`arp_ignore` 8): no address on it works.
    Never,
}

/// Which of these is in force at an interface.
///
/// # Errors
/// When the setting cannot be read.
pub fn arp_flux(interface: &str) -> Result<Flux, Error> {
    let value = |of: &str| -> Result<u32, Error> {
        let path = format!("/proc/sys/net/ipv4/conf/{of}/arp_ignore");
        let text = read(&path)?;
        text.parse().map_err(|_| Error::Setting {
            path,
            found: text,
            wanted: "a number".into(),
            remedy: "mount /proc".into(),
        })
    };
    // The kernel takes the larger one.
    Ok(match value(named(interface)?)?.max(value("all")?) {
        0 => Flux::Everywhere,
        1 | 2 => Flux::OwnOnly,
        3 => Flux::NotForHost,
        8 => Flux::Never,
        // Reserved, and as 0.
        _ => Flux::Everywhere,
    })
}

/// Whether the kernel forwards packets of IPv6 that come in by this interface. Then it calls itself a router in its own
/// advertisements there, and who hears another say for the same address that it is none stops using it as one (RFC 4861 section
/// 7.2.5).
///
/// # Errors
/// When the setting cannot be read, as where there is no IPv6.
pub fn forwards_ipv6(interface: &str) -> Result<bool, Error> {
    // For its answers the kernel takes the interface's own alone; one of all is written to each interface.
    let setting = read(&format!("/proc/sys/net/ipv6/conf/{}/forwarding", named(interface)?))?;
    Ok(setting != "0")
}

/// A name that is one and leads out of no folder.
fn named(interface: &str) -> Result<&str, Error> {
    let sound = !interface.is_empty()
        && interface.len() < libc::IFNAMSIZ
        && !interface.contains(['/', '\0'])
        && !matches!(interface, "." | "..");
    if sound {
        return Ok(interface);
    }
    let error = io::Error::new(io::ErrorKind::InvalidInput, "no interface has such a name");
    Err(Error::io(format!("interface {interface:?}"))(error))
}

fn read(path: &str) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(Error::io(path))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_path_is_refused() {
        for name in ["", ".", "..", "../all", "eth0/x", "a-name-far-too-long"] {
            assert!(promote_secondaries(name).is_err(), "{name}");
            assert!(forwards_ipv6(name).is_err(), "{name}");
        }
        let missing = promote_secondaries("nowhere0").unwrap_err().to_string();
        assert!(missing.contains("conf/nowhere0/promote_secondaries"), "{missing}");
    }
}
