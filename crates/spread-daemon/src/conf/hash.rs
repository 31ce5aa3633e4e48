//! The number by which daemons of the original know that they read the same configuration.
//!
//! Jenkins' one-at-a-time hash over a text that names segments, daemons, addresses and ids, with the NUL at its end
//! and the text's length as the initial value; `spread-semantics.md`, section 8, has the text and vectors of the real
//! daemon. Other options do not count.

use std::fmt::Write;

use super::SpreadConf;

/// The hash of `bytes` and a NUL, started with their number; bytes are signed.
fn one_at_a_time(bytes: &[u8]) -> u32 {
    let length = bytes.len() as u32 + 1;
    let mut hash = bytes.iter().copied().chain([0]).fold(length, |hash, byte| {
        let hash = hash.wrapping_add(byte as i8 as u32);
        let hash = hash.wrapping_add(hash << 10);
        hash ^ hash >> 6
    });
    hash = hash.wrapping_add(hash << 3);
    hash ^= hash >> 11;
    hash.wrapping_add(hash << 15)
}

impl SpreadConf {
    /// The configuration hash, equal to the original's for the same file.
    ///
    /// The word for the ring's protocol is what the file says, not what the daemon does: without `AcceleratedRing` it is
    /// that of the original ring.
    pub fn hash(&self) -> u32 {
        one_at_a_time(self.hashed_text().as_bytes())
    }

    fn hashed_text(&self) -> String {
        let mut text = String::new();
        for (i, segment) in self.segments.iter().enumerate() {
            let _ = write!(text, "Segment: port = {};", segment.port);
            if !self.options.exclude_seg_addrs_from_hash {
                for address in &segment.addresses {
                    let _ = write!(text, " [{address}]");
                }
            }
            text.push('\n');
            for daemon in self.daemons.iter().filter(|daemon| daemon.segment == i) {
                let _ = writeln!(text, "\t'{}' [{}] [{}]", daemon.name, daemon.ip, daemon.id);
            }
            text.push('\n');
        }
        let accelerated = self.options.accelerated_ring == Some(true);
        let protocol = if accelerated { "Accelerated" } else { "Original" };
        let _ = write!(text, "Version: 5\nProtocol: {protocol} Ring\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::conf;
    use super::*;

    const THREE: &str =
        "Spread_Segment 10.78.0.255:4803 { alpha 10.78.0.1 beta 10.78.0.2 gamma 10.78.0.3 }";

    #[test]
    fn the_hash_is_that_of_the_real_daemon() {
        assert_eq!(conf(THREE).hash(), 352_580_837);
        let one = "Spread_Segment 127.0.0.255 { localhost 127.0.0.1 } AcceleratedRing = true";
        assert_eq!(conf(one).hash(), 2_118_251_468);
    }

    #[test]
    fn what_may_differ_between_machines_does_not_change_the_hash() {
        let other = format!("{THREE} DebugFlags = {{ ALL }} Window = 100 MaxSessionMessages = 5");
        assert_eq!(conf(&other).hash(), conf(THREE).hash());
        for change in [
            "AcceleratedRing = yes",
            "ExcludeSegAddrsFromHash = true",
            "Spread_Segment 10.79.0.255 { delta 10.79.0.1 }",
        ] {
            let other = conf(&format!("{THREE} {change}"));
            assert_ne!(other.hash(), conf(THREE).hash(), "{change}");
        }
        let id = THREE.replace("10.78.0.3", "10.78.0.3 VirtualID = 7");
        assert_ne!(conf(&id).hash(), conf(THREE).hash());
    }

    #[test]
    fn ids_of_daemons_are_the_same_hash_of_their_names() {
        let names: Vec<_> = conf(THREE).daemons.iter().map(|d| (d.id, d.name)).collect();
        for (id, name) in names {
            assert_eq!(one_at_a_time(name.as_bytes()), id);
        }
    }
}
