//! The network interfaces of this machine.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One address of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Such as `eth0`.
    pub name: String,
    /// Its number.
    pub index: u32,
    /// The address.
    pub ip: IpAddr,
    /// Whether it is up and does multicast.
    pub multicast: bool,
}

/// All addresses of this machine.
///
/// # Errors
/// What the system says.
pub fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let mut list = std::ptr::null_mut();
    // SAFETY: the call writes one pointer to where it is told; the list is freed below and nowhere else.
    #[allow(unsafe_code)]
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut found = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: the system made the list: each entry is valid until it is freed, its name ends with a zero, and its
        // address, if there is one, is of the family that it says.
        #[allow(unsafe_code)]
        let (entry, name, ip) = unsafe {
            let entry = &*next;
            (entry, CStr::from_ptr(entry.ifa_name), ip(entry.ifa_addr))
        };
        next = entry.ifa_next;
        if let Some(ip) = ip {
            // SAFETY: the name ends with a zero.
            #[allow(unsafe_code)]
            let index = unsafe { libc::if_nametoindex(entry.ifa_name) };
            let wanted = (libc::IFF_UP | libc::IFF_MULTICAST) as libc::c_uint;
            found.push(InterfaceAddress {
                name: name.to_string_lossy().into_owned(),
                index,
                ip,
                multicast: entry.ifa_flags & wanted == wanted,
            });
        }
    }
    // SAFETY: the list is that of the call above, and nothing of it is used any more.
    #[allow(unsafe_code)]
    unsafe {
        libc::freeifaddrs(list);
    }
    Ok(found)
}

/// # Safety
/// The pointer is null or points to a socket address of the family that it says.
#[allow(unsafe_code)]
unsafe fn ip(address: *const libc::sockaddr) -> Option<IpAddr> {
    if address.is_null() {
        return None;
    }
    // SAFETY: as the caller promises.
    unsafe {
        match libc::c_int::from((*address).sa_family) {
            libc::AF_INET => {
                let v4 = &*address.cast::<libc::sockaddr_in>();
                Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
            }
            libc::AF_INET6 => {
                let v6 = &*address.cast::<libc::sockaddr_in6>();
                Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
            }
            _ => None,
        }
    }
}
