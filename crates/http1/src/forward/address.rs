//! Addresses and numbers as text, without the machinery of `core::fmt` for those that are in every request.

use alloc::vec::Vec;
use core::fmt::Write;
use core::net::IpAddr;

/// Appends an address as `X-Forwarded-For` has it.
pub(super) fn plain(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(ip) => {
            for (i, byte) in ip.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                number(out, u32::from(byte));
            }
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(ip) => drop(write!(Text(out), "{ip}")),
    }
}

/// Appends an address as a node of `Forwarded` (RFC 7239 section 6): IPv6 in brackets and quoted.
pub(super) fn node(out: &mut Vec<u8>, address: IpAddr) {
    let (before, after): (&[u8], &[u8]) =
        if address.is_ipv6() { (b"\"[", b"]\"") } else { (b"", b"") };
    out.extend_from_slice(before);
    plain(out, address);
    out.extend_from_slice(after);
}

/// Appends a number in decimal digits.
pub(super) fn number(out: &mut Vec<u8>, mut n: u32) {
    let mut room = [0; 10];
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&room[at..]);
}

struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_written_as_usual() {
        for n in [0, 7, 10, 255, 4_294_967_295] {
            let mut out = Vec::new();
            number(&mut out, n);
            assert_eq!(out, std::format!("{n}").as_bytes());
        }
        for ip in
            ["0.0.0.0", "192.0.2.77", "255.255.255.255", "::1", "2001:db8::77", "::ffff:1.2.3.4"]
        {
            let mut out = Vec::new();
            plain(&mut out, ip.parse().unwrap());
            assert_eq!(out, ip.as_bytes());
        }
        let mut out = Vec::new();
        node(&mut out, "::1".parse().unwrap());
        assert_eq!(out, b"\"[::1]\"");
    }
}
