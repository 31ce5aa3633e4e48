//! Process groups over the ring: joins, leaves, views, private names, state after a merge.
#![no_std]
#![forbid(unsafe_code)]
#[cfg(test)]
extern crate std;
