//! Writing.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::set::SetKey;
use crate::vip::ViewId;

/// Bytes that grow.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(64))
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// In milliseconds, rounded up: who waits for it may wait longer, never shorter.
    pub(crate) fn time(&mut self, time: Duration) {
        self.number(u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX));
    }

    pub(crate) fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let bytes = &bytes[..bytes.len().min(super::NAME_MAX)];
        self.number(bytes.len() as u64);
        self.bytes(bytes);
    }

    pub(crate) fn ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => {
                self.byte(4);
                self.bytes(&ip.octets());
            }
            IpAddr::V6(ip) => {
                self.byte(6);
                self.bytes(&ip.octets());
            }
        }
    }

    pub(crate) fn view(&mut self, view: &ViewId) {
        self.bytes(&view.0);
    }

    pub(crate) fn key(&mut self, key: SetKey) {
        self.bytes(&key.0.to_le_bytes());
    }

    pub(crate) fn keys(&mut self, kind: u8, view: &ViewId, keys: &[SetKey]) {
        self.byte(kind);
        self.view(view);
        self.number(keys.len() as u64);
        keys.iter().for_each(|key| self.key(*key));
    }
}
