//! The cipher suite, from `ring`, and the operating system's randomness.
//!
//! HKDF-SHA256, HMAC-SHA256 and AES-256-GCM; sealing 48 bytes costs about a tenth of a microsecond on
//! CPUs with AES instructions. This is the only file that names the library.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use seal::suite::{KEY_LEN, NONCE_LEN, TAG_LEN};
use seal::{Cipher, Suite};

/// HKDF-SHA256, HMAC-SHA256 and AES-256-GCM of `ring`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ring;

/// AES-256-GCM under one key.
pub struct Aes(LessSafeKey);

impl Suite for Ring {
    type Cipher = Aes;

    // Both lengths are constants that the library's own limits allow.
    #[allow(clippy::expect_used)]
    fn derive(
        &self,
        salt: &[u8],
        secret: &[u8; KEY_LEN],
        info: &[&[u8]],
    ) -> zeroize::Zeroizing<[u8; KEY_LEN]> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
        let mut out = zeroize::Zeroizing::new([0; KEY_LEN]);
        prk.expand(info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *out))
            .expect("one block of HKDF output is always allowed");
        out
    }

    fn mac(&self, key: &[u8; KEY_LEN], parts: &[&[u8]]) -> [u8; KEY_LEN] {
        let tag = context(key, parts).sign();
        let mut out = [0; KEY_LEN];
        out.copy_from_slice(tag.as_ref());
        out
    }

    fn verify(&self, key: &[u8; KEY_LEN], parts: &[&[u8]], tag: &[u8]) -> bool {
        let ours = self.mac(key, parts);
        let differing = ours.iter().zip(tag).fold(0u8, |acc, (a, b)| acc | (a ^ b));
        tag.len() == KEY_LEN && std::hint::black_box(differing) == 0
    }

    #[allow(clippy::expect_used)]
    fn cipher(&self, key: &[u8; KEY_LEN]) -> Aes {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 bytes fits AES-256");
        Aes(LessSafeKey::new(key))
    }
}

fn context(key: &[u8; KEY_LEN], parts: &[&[u8]]) -> hmac::Context {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    parts.iter().for_each(|part| context.update(part));
    context
}

impl Cipher for Aes {
    #[allow(clippy::expect_used)]
    fn seal(&self, nonce: [u8; NONCE_LEN], associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(associated), text)
            .expect("a datagram is far shorter than what AES-GCM can seal");
        let mut out = [0; TAG_LEN];
        out.copy_from_slice(tag.as_ref());
        out
    }

    fn open(&self, nonce: [u8; NONCE_LEN], associated: &[u8], text: &mut [u8]) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(associated), text).is_ok()
    }
}

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
