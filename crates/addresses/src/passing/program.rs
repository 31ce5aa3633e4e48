//! The program that the kernel runs for each packet that arrives, before anything else looks at it.
//!
//! Most of the time nothing moves: then it reads one number and lets the packet go on. Otherwise, for a packet of TCP to an address in the
//! table, of which this machine has no connection (nor one that is just being opened, nor one of this move that waits out its time), the hardware
//! addresses are replaced and the packet leaves where it came in, to the machine that the table names. Three packets stay: one
//! that this very machine has passed on, so that none goes round; an opening one (SYN) where the address has not gone away; and any
//! that is not plain, for which nothing is known: fragments, headers between IPv6 and TCP.
//!
//! Where an address has gone away, questions for it (ARP, neighbour discovery) are not answered any more: only the new owner's answer is to be learned.

use super::assembler::When::{Below, Equal, Least, Unequal};
use super::assembler::Width::{Byte, Double, Half, Word};
use super::assembler::{Assembler, Of, Register, With};

/// The table: a key is 16 bytes of address (version 4 mapped) and the number of the interface.
pub(super) const KEY: usize = 20;
/// A value is an instant of CLOCK_BOOTTIME in nanoseconds from which on it is not worth anything, six bytes of hardware address, and 1 where
/// connections may be begun, 0 where the address has gone away.
pub(super) const VALUE: usize = 16;
/// Connections that were begun while an address moved: addresses and ports, and the first 8 bytes of the value of the entry under which
/// they were. The kernel forgets those that were not used for longest.
pub(super) const BEGUN: (usize, usize) = (36, 8);
/// The switch: 8 bytes that are 0 while the table is empty, and the count of packets passed on.
pub(super) const SWITCH: usize = 16;

// Functions of the kernel.
const LOOK_UP: i32 = 1;
const UPDATE: i32 = 2;
const WRITE_PACKET: i32 = 9;
const REDIRECT: i32 = 23;
const READ_PACKET: i32 = 26;
const RELEASE_SOCKET: i32 = 86;
const FIND_SOCKET: i32 = 99;
const BOOT_TIME: i32 = 125;

// Fields of the packet's description (`__sk_buff`) and of a socket's (`bpf_sock`).
const KIND: i16 = 4;
const PROTOCOL: i16 = 16;
const INTERFACE: i16 = 40;
const STATE: i16 = 72;
/// As a socket of a connection that has ended.
const WAITING: i32 = 6;
const LISTENING: i32 = 10;
/// Asking for a neighbour of version 6.
const SOLICITATION: i32 = 135;

// Results: whoever is next decides (-1), nobody gets it (2).
const GO_ON: i32 = -1;
const DROP: i32 = 2;

/// Bytes of the Ethernet header.
const ETHERNET: i32 = 14;

// On the stack.
const TOP: Register = 10;
const KEY_AT: i16 = -24;
const KEY_INTERFACE: i16 = -8;
const HEADER: i16 = -64;
/// Addresses and ports, as sockets are found by: version 4 has 12 bytes, version 6 has 36.
const TUPLE: i16 = -104;
const TCP: i16 = -120;
const SENDER: i16 = -128;
const MACS: i16 = -144;

// Registers that keep their meaning.
const PACKET: Register = 6;
const ENTRY: Register = 7;
/// First where TCP begins in the packet, then the state of a socket.
const TCP_AT: Register = 8;
const TUPLE_LENGTH: Register = 9;

/// A number of the network as a register has it after it was loaded.
fn wire(number: u16) -> i32 {
    i32::from(number.to_be())
}

/// The program for these descriptors. Nothing if it is not well made, which a test excludes.
pub(super) fn program(table: i32, begun: i32, switch: i32) -> Option<Vec<u8>> {
    let mut a = Assembler::default();
    a.copy(PACKET, 1);
    a.place(1, Of::Value, switch);
    a.load(Double, 1, 1, 0);
    a.jump(Equal, 1, With::Number(0), "go on");

    a.load(Word, 2, PACKET, PROTOCOL);
    a.load(Word, 8, PACKET, KIND);
    a.jump(Equal, 2, With::Number(wire(0x0806)), "arp");
    a.jump(Equal, 2, With::Number(wire(0x0800)), "version 4");
    a.jump(Unequal, 2, With::Number(wire(0x86dd)), "go on");

    read(&mut a, ETHERNET, HEADER, 40);
    a.load(Byte, 1, TOP, HEADER + 6);
    a.jump(Equal, 1, With::Number(58), "icmp of version 6");
    a.jump(Unequal, 1, With::Number(6), "go on");
    // Packets to others, to many, and our own are nothing for us.
    a.jump(Unequal, 8, With::Number(0), "go on");
    for part in [0, 8] {
        a.load(Double, 1, TOP, HEADER + 8 + part);
        a.store(Double, TOP, TUPLE + part, 1);
        a.load(Double, 1, TOP, HEADER + 24 + part);
        a.store(Double, TOP, TUPLE + 16 + part, 1);
        a.store(Double, TOP, KEY_AT + part, 1);
    }
    a.set(TCP_AT, ETHERNET + 40);
    a.set(TUPLE_LENGTH, 36);
    a.go_to("known");

    a.label("version 4");
    a.jump(Unequal, 8, With::Number(0), "go on");
    read(&mut a, ETHERNET, HEADER, 20);
    a.load(Byte, 1, TOP, HEADER + 9);
    a.jump(Unequal, 1, With::Number(6), "go on");
    a.load(Half, 1, TOP, HEADER + 6);
    a.and(1, wire(0x3fff));
    a.jump(Unequal, 1, With::Number(0), "go on");
    a.load(Byte, TCP_AT, TOP, HEADER);
    a.and(TCP_AT, 15);
    a.shift_left(TCP_AT, 2);
    a.jump(Below, TCP_AT, With::Number(20), "go on");
    a.add(TCP_AT, ETHERNET);
    for part in [0, 8, 16, 24] {
        a.store_number(Double, TOP, TUPLE + part, 0);
    }
    a.store_number(Word, TOP, TUPLE + 32, 0);
    a.load(Word, 1, TOP, HEADER + 12);
    a.store(Word, TOP, TUPLE, 1);
    a.load(Word, 1, TOP, HEADER + 16);
    a.store(Word, TOP, TUPLE + 4, 1);
    mapped(&mut a, 1);
    a.set(TUPLE_LENGTH, 12);

    a.label("known");
    look_up(&mut a, table);
    // What this entry's machine has sent comes from there, or was passed on by it: it stays.
    read(&mut a, 6, SENDER, 6);
    a.load(Word, 1, TOP, SENDER);
    a.load(Word, 2, ENTRY, 8);
    a.jump(Unequal, 1, With::Register(2), "from another");
    a.load(Half, 1, TOP, SENDER + 4);
    a.load(Half, 2, ENTRY, 12);
    a.jump(Equal, 1, With::Register(2), "go on");
    a.label("from another");
    a.copy(2, TCP_AT);
    read_at(&mut a, TCP, 14);
    a.load(Word, 1, TOP, TCP);
    a.jump(Equal, TUPLE_LENGTH, With::Number(36), "ports of version 6");
    a.store(Word, TOP, TUPLE + 8, 1);
    a.go_to("flags");
    a.label("ports of version 6");
    a.store(Word, TOP, TUPLE + 32, 1);
    a.label("flags");
    a.load(Byte, 1, TOP, TCP + 13);
    a.and(1, 0x12);
    a.jump(Unequal, 1, With::Number(0x02), "has it a socket");
    // It begins a connection: under which entry is remembered.
    a.place(1, Of::Map, begun);
    a.copy(2, TOP);
    a.add(2, TUPLE.into());
    a.copy(3, ENTRY);
    a.set(4, 0);
    a.call(UPDATE);
    a.load(Byte, 1, ENTRY, 14);
    a.jump(Unequal, 1, With::Number(0), "go on");

    a.label("has it a socket");
    a.copy(1, PACKET);
    a.copy(2, TOP);
    a.add(2, TUPLE.into());
    a.copy(3, TUPLE_LENGTH);
    // Of the network that the packet is in.
    a.set(4, -1);
    a.set(5, 0);
    a.call(FIND_SOCKET);
    a.jump(Equal, 0, With::Number(0), "pass on");
    a.load(Word, 8, 0, STATE);
    a.copy(1, 0);
    a.call(RELEASE_SOCKET);
    a.jump(Equal, 8, With::Number(LISTENING), "pass on");
    a.jump(Unequal, 8, With::Number(WAITING), "go on");
    // One that only waits out its time may be of long ago, and the client uses its port again: then it is the other's unless it was begun
    // under this entry, or, where the address has gone away, ours unless it was.
    a.place(1, Of::Map, begun);
    a.copy(2, TOP);
    a.add(2, TUPLE.into());
    a.call(LOOK_UP);
    a.load(Byte, 2, ENTRY, 14);
    a.jump(Equal, 0, With::Number(0), "not begun now");
    a.load(Double, 1, 0, 0);
    a.load(Double, 3, ENTRY, 0);
    a.jump(Unequal, 1, With::Register(3), "not begun now");
    a.jump(Unequal, 2, With::Number(0), "go on");
    a.go_to("pass on");
    a.label("not begun now");
    a.jump(Equal, 2, With::Number(0), "go on");

    a.label("pass on");
    a.load(Word, 1, ENTRY, 8);
    a.store(Word, TOP, MACS, 1);
    a.load(Half, 1, ENTRY, 12);
    a.store(Half, TOP, MACS + 4, 1);
    // It came to our own hardware address, and comes from that now.
    read(&mut a, 0, MACS + 6, 6);
    a.copy(1, PACKET);
    a.set(2, 0);
    a.copy(3, TOP);
    a.add(3, MACS.into());
    a.set(4, 12);
    a.set(5, 0);
    a.call(WRITE_PACKET);
    a.jump(Unequal, 0, With::Number(0), "go on");
    a.place(1, Of::Value, switch);
    a.set(2, 1);
    a.add_to_memory(1, 8, 2);
    a.load(Word, 1, PACKET, INTERFACE);
    a.set(2, 0);
    a.call(REDIRECT);
    a.exit();

    a.label("arp");
    read(&mut a, ETHERNET, HEADER, 28);
    a.load(Half, 1, TOP, HEADER + 6);
    a.jump(Unequal, 1, With::Number(wire(1)), "go on");
    a.load(Word, 1, TOP, HEADER + 24);
    mapped(&mut a, 1);
    a.go_to("question");

    a.label("icmp of version 6");
    read(&mut a, ETHERNET + 40, HEADER, 24);
    a.load(Byte, 1, TOP, HEADER);
    a.jump(Unequal, 1, With::Number(SOLICITATION), "go on");
    for part in [0, 8] {
        a.load(Double, 1, TOP, HEADER + 8 + part);
        a.store(Double, TOP, KEY_AT + part, 1);
    }
    a.label("question");
    look_up(&mut a, table);
    a.load(Byte, 1, ENTRY, 14);
    a.jump(Unequal, 1, With::Number(0), "go on");
    a.set(0, DROP);
    a.exit();

    a.label("go on");
    a.set(0, GO_ON);
    a.exit();

    a.finish()
}

/// Bytes of the packet from a fixed place; one that is too short goes on.
fn read(a: &mut Assembler, from: i32, to: i16, length: i32) {
    a.set(2, from);
    read_at(a, to, length);
}

/// The same from where register 2 says.
fn read_at(a: &mut Assembler, to: i16, length: i32) {
    a.copy(1, PACKET);
    a.copy(3, TOP);
    a.add(3, to.into());
    a.set(4, length);
    a.call(READ_PACKET);
    a.jump(Unequal, 0, With::Number(0), "go on");
}

/// The key's address is this of version 4.
fn mapped(a: &mut Assembler, from: Register) {
    a.store_number(Double, TOP, KEY_AT, 0);
    a.store_number(Half, TOP, KEY_AT + 8, 0);
    a.store_number(Half, TOP, KEY_AT + 10, -1);
    a.store(Word, TOP, KEY_AT + 12, from);
}

/// The entry of the key, completed with the interface; a packet for which there is none, or one that is over, goes on.
fn look_up(a: &mut Assembler, table: i32) {
    a.load(Word, 1, PACKET, INTERFACE);
    a.store(Word, TOP, KEY_INTERFACE, 1);
    a.place(1, Of::Map, table);
    a.copy(2, TOP);
    a.add(2, KEY_AT.into());
    a.call(LOOK_UP);
    a.jump(Equal, 0, With::Number(0), "go on");
    a.copy(ENTRY, 0);
    a.call(BOOT_TIME);
    a.load(Double, 1, ENTRY, 0);
    a.jump(Least, 0, With::Register(1), "go on");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_jump_has_its_place_and_the_program_is_small() {
        let program = program(3, 4, 5).unwrap();
        // The least that any kernel takes is 4096 instructions.
        assert!((100..300).contains(&(program.len() / 8)), "{}", program.len());
    }
}
