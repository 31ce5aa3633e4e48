//! Who has a port or a lock, for the error that says it is taken.
//!
//! Best effort: without rights over the other process, or with another mount of `/proc`, nobody is named.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which table of the kernel a port is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Listening TCP sockets.
    Tcp,
    /// Bound UDP sockets.
    Udp,
}

/// State of a listening TCP socket in the kernel's table.
const LISTENING: &str = "0A";

/// `NAME (process PID)` of whoever keeps `address` from being bound, if that can be seen.
pub fn of(protocol: Protocol, address: SocketAddr) -> Option<String> {
    let tables = match protocol {
        Protocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        Protocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
    };
    let texts = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    let inodes: Vec<String> = texts.flat_map(|text| inodes(&text, protocol, address)).collect();
    holder(&inodes).map(called)
}

/// The same of whoever has locked (flock(2)) the file with this inode.
pub(crate) fn of_lock(inode: u64) -> Option<String> {
    locker(&fs::read_to_string("/proc/locks").ok()?, inode).map(called)
}

/// `1: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF`, as proc_locks(5) tells.
fn locker(table: &str, inode: u64) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let kind = fields.next()?;
        let pid = fields.nth(2)?;
        let locked = fields.next()?.rsplit(':').next()?;
        (kind == "FLOCK" && locked.parse() == Ok(inode)).then(|| pid.parse().ok()).flatten()
    })
}

fn called(pid: u32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("{} (process {pid})", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}

/// The sockets in a table that collide with `address`, as they look in `/proc/PID/fd`.
fn inodes(table: &str, protocol: Protocol, address: SocketAddr) -> Vec<String> {
    let collides = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next().and_then(bound);
        let state = fields.nth(1);
        local.is_some_and(|local| collide(local, address))
            && (protocol == Protocol::Udp || state == Some(LISTENING))
    };
    let inode =
        |line: &str| line.split_ascii_whitespace().nth(9).map(|inode| format!("socket:[{inode}]"));
    table.lines().skip(1).filter(collides).filter_map(inode).collect()
}

/// One port, and the same address or a wildcard on either side.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let (one, other) = (a.ip().to_canonical(), b.ip().to_canonical());
    a.port() == b.port() && (one == other || one.is_unspecified() || other.is_unspecified())
}

/// A local address as the kernel writes it: words of four bytes in the machine's own order, and the port.
fn bound(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.rsplit_once(':')?;
    let words: Vec<u32> = (0..ip.len() / 8)
        .map(|i| u32::from_str_radix(ip.get(i * 8..i * 8 + 8)?, 16).ok())
        .collect::<Option<_>>()?;
    let ip = match words[..] {
        [word] => IpAddr::V4(Ipv4Addr::from(word.to_ne_bytes())),
        [_, _, _, _] => {
            let mut bytes = [0; 16];
            bytes
                .chunks_exact_mut(4)
                .zip(words)
                .for_each(|(b, w)| b.copy_from_slice(&w.to_ne_bytes()));
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

fn holder(inodes: &[String]) -> Option<u32> {
    if inodes.is_empty() {
        return None;
    }
    let pids = fs::read_dir("/proc").ok()?.flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref\n\
        \x20 99: 0100007F:115D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 2 0 0\n\
        \x20100: 0200007F:115D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 2 0 0\n\
        \x20101: 0100007F:115D 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 4713 2 0 0\n\
        \x20102: 0100007F:115E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4714 2 0 0\n\
        torn line\n";

    fn found(protocol: Protocol, address: &str) -> Vec<String> {
        inodes(TABLE, protocol, address.parse().unwrap())
    }

    #[test]
    fn only_sockets_that_collide_are_found() {
        assert_eq!(found(Protocol::Tcp, "127.0.0.1:4445"), ["socket:[4711]"]);
        assert_eq!(found(Protocol::Udp, "127.0.0.1:4445"), ["socket:[4711]", "socket:[4713]"]);
        assert_eq!(found(Protocol::Tcp, "0.0.0.0:4445"), ["socket:[4711]", "socket:[4712]"]);
        assert_eq!(found(Protocol::Tcp, "[::]:4446"), ["socket:[4714]"]);
        assert_eq!(found(Protocol::Tcp, "127.0.0.3:4445"), [""; 0]);
    }

    #[test]
    fn an_address_of_ipv6_is_read_word_by_word() {
        let text = "000080FE00000000FF00F0ABCDEFCDAB:1F90";
        assert!(bound(text).is_some_and(|a| a.is_ipv6() && a.port() == 8080));
        assert_eq!(bound("00000000000000000000000001000000:0050"), "[::1]:80".parse().ok());
        for torn in ["", ":", "0100007F", "0100007:50", "0100007F:zz", "é100007F:50"] {
            assert_eq!(bound(torn), None, "{torn}");
        }
    }

    #[test]
    fn a_lock_is_found_by_its_inode() {
        let table = "1: POSIX  ADVISORY  WRITE 10 fd:01:131 0 EOF\n\
            2: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF\n2: -> FLOCK  ADVISORY\ntorn\n\
            3: FLOCK  ADVISORY  WRITE -1 fd:01:132 0 EOF\n";
        assert_eq!([131, 132, 1].map(|inode| locker(table, inode)), [Some(4711), None, None]);
    }

    #[test]
    fn this_process_is_found_by_its_own_ports() {
        let me = format!("process {}", std::process::id());
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let of = |protocol, address: std::io::Result<SocketAddr>| of(protocol, address.unwrap());
        assert!(of(Protocol::Udp, udp.local_addr()).is_some_and(|who| who.contains(&me)));
        assert!(of(Protocol::Tcp, tcp.local_addr()).is_some_and(|who| who.contains(&me)));
    }
}
