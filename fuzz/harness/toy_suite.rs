//! A suite that protects nothing and costs little, so that the fuzzer spends its time in our code.
//!
//! It keeps the shape of the real one: other key, nonce or bytes, other tag.

use seal::suite::{Cipher, KEY_LEN, NONCE_LEN, Suite, TAG_LEN};
use zeroize::Zeroizing;

#[derive(Clone)]
pub struct Toy;

pub struct ToyCipher([u8; KEY_LEN]);

fn mix(parts: &[&[u8]]) -> [u8; KEY_LEN] {
    let mut state = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        for &byte in *part {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        state = state.rotate_left(17) ^ part.len() as u64;
    }
    core::array::from_fn(|_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 40) as u8
    })
}

impl Suite for Toy {
    type Cipher = ToyCipher;

    fn derive(
        &self,
        salt: &[u8],
        secret: &[u8; KEY_LEN],
        info: &[&[u8]],
    ) -> Zeroizing<[u8; KEY_LEN]> {
        Zeroizing::new(mix(&[salt, secret, &info.concat()]))
    }

    fn mac(&self, key: &[u8; KEY_LEN], parts: &[&[u8]]) -> [u8; KEY_LEN] {
        mix(&[key, &parts.concat()])
    }

    fn verify(&self, key: &[u8; KEY_LEN], parts: &[&[u8]], tag: &[u8]) -> bool {
        self.mac(key, parts) == tag
    }

    fn cipher(&self, key: &[u8; KEY_LEN]) -> ToyCipher {
        ToyCipher(*key)
    }
}

impl Cipher for ToyCipher {
    fn seal(&self, nonce: [u8; NONCE_LEN], associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = mix(&[&self.0, &nonce, associated, text]);
        core::array::from_fn(|i| tag[i])
    }

    fn open(&self, nonce: [u8; NONCE_LEN], associated: &[u8], text: &mut [u8]) -> bool {
        let Some((text, tag)) = text.split_last_chunk::<TAG_LEN>() else { return false };
        mix(&[&self.0, &nonce, associated, text])[..TAG_LEN] == tag[..]
    }
}
