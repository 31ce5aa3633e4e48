//! What /proc can tell about a failed bind: who has the port, which ports are free, which addresses we have.
//!
//! Everything here serves an error message; whatever cannot be read is left out.

use std::fs;

/// ` by NAME (process N)` for whoever listens on a TCP port, as far as this process may see; else empty.
pub(super) fn of_port(port: u16) -> String {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listeners(&table, port))
        .collect();
    let Some(pid) = holder(&inodes) else { return String::new() };
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!(" by {} (process {pid})", name.trim()),
        Err(_) => format!(" by process {pid}"),
    }
}

/// The socket inodes that listen (state 0A) on `port`, from the text of a /proc/net table.
fn listeners(table: &str, port: u16) -> Vec<String> {
    let matches = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let local =
            fields.next().and_then(|a| a.rsplit(':').next()).map(|p| u16::from_str_radix(p, 16));
        let state = fields.nth(1);
        local == Some(Ok(port)) && state == Some("0A")
    };
    table
        .lines()
        .skip(1)
        .filter(matches)
        .filter_map(|line| line.split_whitespace().nth(9))
        .map(|inode| format!("socket:[{inode}]"))
        .collect()
}

fn holder(inodes: &[String]) -> Option<u32> {
    if inodes.is_empty() {
        return None;
    }
    let pids = fs::read_dir("/proc").ok()?.flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        fds.flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()))
    })
}

/// The first port that needs no privilege on this machine.
pub(super) fn first_free_port() -> u16 {
    fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

/// The IPv4 addresses of this machine, for the reader of an error.
pub(super) fn addresses() -> String {
    let Ok(trie) = fs::read_to_string("/proc/net/fib_trie") else {
        return "none that could be read".into();
    };
    let mut found: Vec<&str> = Vec::new();
    let mut last = "";
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line.starts_with("/32 host LOCAL") && !found.contains(&last) {
            found.push(last);
        }
    }
    if found.is_empty() { "no IPv4 address".into() } else { found.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_of_the_port_are_found() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
            \x20  1: 0100007F:1F90 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n\
            \x20  2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n\
            torn line";
        assert_eq!(listeners(table, 8080), ["socket:[4711]"]);
    }
}
