//! `ring` as the suite of the tests, and their key.

use base::{Boot, MachineId};
use ring::{aead, hkdf, hmac};
use zeroize::Zeroizing;

use seal::suite::{KEY_LEN, NONCE_LEN, TAG_LEN};
use seal::{Cipher, ClusterKey, Speaker, Suite};

#[derive(Clone)]
pub(crate) struct Ring;

pub(crate) fn key() -> ClusterKey {
    ClusterKey::from_bytes([7; 32])
}

pub(crate) fn speaker(machine: u8, boot: u8) -> Speaker {
    Speaker { machine: MachineId([machine; 16]), boot: Boot([boot; 16]) }
}

impl Suite for Ring {
    type Cipher = Aes;

    fn derive(
        &self,
        salt: &[u8],
        secret: &[u8; KEY_LEN],
        info: &[&[u8]],
    ) -> Zeroizing<[u8; KEY_LEN]> {
        let mut out = Zeroizing::new([0; KEY_LEN]);
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
        prk.expand(info, hkdf::HKDF_SHA256).unwrap().fill(&mut *out).unwrap();
        out
    }

    fn mac(&self, key: &[u8; KEY_LEN], parts: &[&[u8]]) -> [u8; KEY_LEN] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        parts.iter().for_each(|part| context.update(part));
        context.sign().as_ref().try_into().unwrap()
    }

    fn verify(&self, key: &[u8; KEY_LEN], parts: &[&[u8]], tag: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, &parts.concat(), tag).is_ok()
    }

    fn cipher(&self, key: &[u8; KEY_LEN]) -> Self::Cipher {
        Aes(aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key).unwrap()))
    }
}

pub(crate) struct Aes(aead::LessSafeKey);

impl Cipher for Aes {
    fn seal(&self, nonce: [u8; NONCE_LEN], associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, aead::Aad::from(associated), text);
        tag.unwrap().as_ref().try_into().unwrap()
    }

    fn open(&self, nonce: [u8; NONCE_LEN], associated: &[u8], text: &mut [u8]) -> bool {
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, aead::Aad::from(associated), text).is_ok()
    }
}
