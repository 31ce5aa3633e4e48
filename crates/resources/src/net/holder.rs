//! Who has a UDP port, for the error that says it is taken.
//!
//! Best effort: without rights over the other process, or with another mount of `/proc`, nobody is named.

use std::fs;

/// ` (NAME, process PID)` of whoever has `port`, or nothing.
pub(crate) fn of_udp_port(port: u16) -> String {
    let tables = ["/proc/net/udp", "/proc/net/udp6"];
    let texts: Vec<String> =
        tables.iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
    let inodes: Vec<String> = texts.iter().flat_map(|text| inodes(text, port)).collect();
    let Some(pid) = holder(&inodes) else { return String::new() };
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!(" ({}, process {pid})", name.trim()),
        Err(_) => format!(" (process {pid})"),
    }
}

/// The sockets bound to `port` in a table of the kernel, as they look in `/proc/PID/fd`.
fn inodes(table: &str, port: u16) -> Vec<String> {
    let bound = |line: &&str| {
        let local = line.split_ascii_whitespace().nth(1).and_then(|local| local.rsplit_once(':'));
        local.is_some_and(|(_, found)| u16::from_str_radix(found, 16) == Ok(port))
    };
    let inode =
        |line: &str| line.split_ascii_whitespace().nth(9).map(|inode| format!("socket:[{inode}]"));
    table.lines().skip(1).filter(bound).filter_map(inode).collect()
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

    #[test]
    fn only_sockets_of_the_port_are_found() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref\n\
            \x20 99: 0100007F:115D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0 0\n\
            \x20100: 0100007F:115E 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0 0\n\
            torn line\n";
        assert_eq!(inodes(table, 4445), ["socket:[4711]"]);
    }

    #[test]
    fn this_process_is_found_by_its_own_port() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let found = of_udp_port(socket.local_addr().unwrap().port());
        assert!(found.contains(&format!("process {}", std::process::id())), "{found:?}");
    }
}
