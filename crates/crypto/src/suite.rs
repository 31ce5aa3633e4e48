//! The cipher suite, from `ring`.
//!
//! HKDF-SHA256, HMAC-SHA256 and AES-256-GCM; sealing 48 bytes costs about a tenth of a microsecond on
//! CPUs with AES instructions. This is the only file that names the library. The tests of `seal` and
//! `announce` include it, so that the cores are tried with what runs.

use ring_crypto::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring_crypto::{hkdf, hmac};
use seal::suite::{KEY_LEN, NONCE_LEN, TAG_LEN};
use seal::{Cipher, Suite};
use zeroize::Zeroizing;

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
    ) -> Zeroizing<[u8; KEY_LEN]> {
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
        let mut out = Zeroizing::new([0; KEY_LEN]);
        prk.expand(info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *out))
            .expect("one block of HKDF output is always allowed");
        out
    }

    fn mac(&self, key: &[u8; KEY_LEN], parts: &[&[u8]]) -> [u8; KEY_LEN] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let mut context = hmac::Context::with_key(&key);
        parts.iter().for_each(|part| context.update(part));
        let tag = context.sign();
        let mut out = [0; KEY_LEN];
        out.copy_from_slice(tag.as_ref());
        out
    }

    fn verify(&self, key: &[u8; KEY_LEN], parts: &[&[u8]], tag: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, &parts.concat(), tag).is_ok()
    }

    #[allow(clippy::expect_used)]
    fn cipher(&self, key: &[u8; KEY_LEN]) -> Aes {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 bytes fits AES-256");
        Aes(LessSafeKey::new(key))
    }
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
