//! The cipher suite, and the operating system's randomness.

pub mod key_file;
mod suite;

pub use suite::{Aes, Ring};

/// Random bytes that nobody can predict, from the operating system.
///
/// # Panics
/// If the system has no randomness to give, which Linux does not do after its start: a program that
/// went on would use guessable secrets.
#[allow(clippy::expect_used)]
pub fn random(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system gives random bytes");
}

/// A random seed for dice that need no secrecy.
pub fn seed() -> u64 {
    let mut bytes = [0; 8];
    random(&mut bytes);
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use seal::{Cipher, Suite};

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.bytes().map(|c| (c as char).to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn hkdf_gives_a_value_checked_with_another_implementation() {
        // HKDF-SHA256 with salt 00..0c, secret 0b x 32, info f0..f9, computed with Python's hmac.
        let salt: Vec<u8> = (0..0x0d).collect();
        let info: Vec<u8> = (0xf0..0xfa).collect();
        let out = Ring.derive(&salt, &[0x0b; 32], &[&info[..4], &info[4..]]);
        assert_eq!(
            out.as_slice(),
            hex("d4100799f26a09615a72af3e58fa3841a2ff20d5ace3fb392e562e207fe6b718")
        );
    }

    #[test]
    fn hmac_matches_rfc_4231_in_parts() {
        // Test case 2 of RFC 4231 with its short key padded by zeros, which HMAC itself would add.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let tag = Ring.mac(&key, &[b"what do ya want ", b"for nothing?"]);
        let expected = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_eq!(tag.as_slice(), expected);
        assert!(Ring.verify(&key, &[b"what do ya want for nothing?"], &expected));
        assert!(!Ring.verify(&key, &[b"what do ya want for nothing?"], &expected[..31]));
        assert!(!Ring.verify(&key, &[b"what do ya want for something?"], &expected));
    }

    #[test]
    fn aes_matches_the_gcm_specification() {
        // Test case 14 of the GCM specification: zero key, nonce and one zero block.
        let cipher = Ring.cipher(&[0; 32]);
        let mut text = [0; 16];
        let tag = cipher.seal([0; 12], &[], &mut text);
        assert_eq!(text.as_slice(), hex("cea7403d4d606b6e074ec5d3baf39d18"));
        assert_eq!(tag.as_slice(), hex("d0d1c8a799996bf0265b98b5d48ab919"));
        let mut sealed = [&text[..], &tag[..]].concat();
        assert!(!cipher.open([0; 12], b"other", &mut sealed.clone()));
        assert!(cipher.open([0; 12], &[], &mut sealed));
        assert_eq!(sealed[..16], [0; 16]);
        assert!(!cipher.open([0; 12], &[], &mut [0; 5]));
    }

    #[test]
    fn randomness_differs_each_time() {
        assert_ne!(seed(), seed());
    }
}
