//! Instructions of eBPF, with names for the places that are jumped to.

/// One of the eleven registers. 0 has results, 1 to 5 arguments, 6 to 9 outlive calls, 10 is the top of the stack.
pub(super) type Register = u8;

/// How many bytes are moved, and how the kernel encodes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Byte = 0x10,
    Half = 0x08,
    Word = 0x00,
    Double = 0x18,
}

/// When a jump is taken; comparisons are of 64 bits without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Always = 0x00,
    Equal = 0x10,
    /// Greater or equal.
    Least = 0x30,
    Unequal = 0x50,
    /// Less.
    Below = 0xa0,
}

/// What a register is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum With {
    Number(i32),
    Register(Register),
}

/// Two instructions that together load the place of something that a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// The map itself.
    Map = 1,
    /// The first value of a map that is an array.
    Value = 2,
}

#[derive(Clone, Copy, Debug)]
struct Instruction {
    code: u8,
    to: Register,
    from: Register,
    offset: i16,
    number: i32,
}

const IMMEDIATE: u8 = 0x18;
const LOAD: u8 = 0x61;
const STORE_NUMBER: u8 = 0x62;
const STORE: u8 = 0x63;
const JUMP: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const ADD: u8 = 0x07;
const AND: u8 = 0x57;
const SHIFT_LEFT: u8 = 0x67;
const MOVE_NUMBER: u8 = 0xb7;
const MOVE: u8 = 0xbf;
const ATOMIC_ADD: u8 = 0xdb;
/// That an operand is a register.
const REGISTER: u8 = 0x08;

/// A program being written.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    instructions: Vec<Instruction>,
    labels: Vec<(&'static str, usize)>,
    jumps: Vec<(usize, &'static str)>,
}

impl Assembler {
    fn push(&mut self, code: u8, to: Register, from: Register, offset: i16, number: i32) {
        self.instructions.push(Instruction { code, to, from, offset, number });
    }

    /// What comes next has this name.
    pub(super) fn label(&mut self, name: &'static str) {
        self.labels.push((name, self.instructions.len()));
    }

    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.push(MOVE, to, from, 0, 0);
    }

    pub(super) fn set(&mut self, to: Register, number: i32) {
        self.push(MOVE_NUMBER, to, 0, 0, number);
    }

    pub(super) fn add(&mut self, to: Register, number: i32) {
        self.push(ADD, to, 0, 0, number);
    }

    pub(super) fn and(&mut self, to: Register, number: i32) {
        self.push(AND, to, 0, 0, number);
    }

    pub(super) fn shift_left(&mut self, to: Register, bits: i32) {
        self.push(SHIFT_LEFT, to, 0, 0, bits);
    }

    /// From memory.
    pub(super) fn load(&mut self, width: Width, to: Register, from: Register, offset: i16) {
        self.push(LOAD | width as u8, to, from, offset, 0);
    }

    /// To memory.
    pub(super) fn store(&mut self, width: Width, to: Register, offset: i16, from: Register) {
        self.push(STORE | width as u8, to, from, offset, 0);
    }

    pub(super) fn store_number(&mut self, width: Width, to: Register, offset: i16, number: i32) {
        self.push(STORE_NUMBER | width as u8, to, 0, offset, number);
    }

    /// Adds a register to 64 bits of memory, whoever else does the same.
    pub(super) fn add_to_memory(&mut self, to: Register, offset: i16, from: Register) {
        self.push(ATOMIC_ADD, to, from, offset, 0);
    }

    /// The place of what a descriptor stands for.
    pub(super) fn place(&mut self, to: Register, of: Of, descriptor: i32) {
        self.push(IMMEDIATE, to, of as u8, 0, descriptor);
        self.push(0, 0, 0, 0, 0);
    }

    pub(super) fn jump(&mut self, when: When, register: Register, with: With, label: &'static str) {
        self.jumps.push((self.instructions.len(), label));
        match with {
            With::Number(number) => self.push(JUMP | when as u8, register, 0, 0, number),
            With::Register(other) => {
                self.push(JUMP | REGISTER | when as u8, register, other, 0, 0);
            }
        }
    }

    pub(super) fn go_to(&mut self, label: &'static str) {
        self.jump(When::Always, 0, With::Number(0), label);
    }

    /// A function of the kernel, by its number.
    pub(super) fn call(&mut self, function: i32) {
        self.push(CALL, 0, 0, 0, function);
    }

    pub(super) fn exit(&mut self) {
        self.push(EXIT, 0, 0, 0, 0);
    }

    /// The program as the kernel reads it, 8 bytes for each instruction; nothing if a jump goes to a place that there is not.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        for (at, name) in &self.jumps {
            let (_, to) = self.labels.iter().find(|(label, _)| label == name)?;
            // Counted from the one that follows the jump.
            let distance = i64::try_from(*to).ok()? - i64::try_from(*at).ok()? - 1;
            self.instructions.get_mut(*at)?.offset = i16::try_from(distance).ok()?;
        }
        let mut bytes = Vec::with_capacity(self.instructions.len() * 8);
        for one in &self.instructions {
            let registers = if cfg!(target_endian = "big") {
                one.to << 4 | one.from
            } else {
                one.from << 4 | one.to
            };
            bytes.extend([one.code, registers]);
            bytes.extend(one.offset.to_ne_bytes());
            bytes.extend(one.number.to_ne_bytes());
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn instructions_are_written_as_the_kernel_reads_them() {
        let mut a = Assembler::default();
        a.copy(6, 1);
        a.load(Width::Word, 2, 6, 16);
        a.jump(When::Equal, 2, With::Number(8), "end");
        a.store(Width::Half, 10, -4, 2);
        a.place(1, Of::Map, 7);
        a.jump(When::Least, 0, With::Register(1), "end");
        a.call(23);
        a.label("end");
        a.set(0, -1);
        a.exit();
        let expected: [[u8; 8]; 11] = [
            [0xbf, 0x16, 0, 0, 0, 0, 0, 0],
            [0x61, 0x62, 16, 0, 0, 0, 0, 0],
            [0x15, 0x02, 5, 0, 8, 0, 0, 0],
            [0x6b, 0x2a, 0xfc, 0xff, 0, 0, 0, 0],
            [0x18, 0x11, 0, 0, 7, 0, 0, 0],
            [0; 8],
            [0x3d, 0x10, 1, 0, 0, 0, 0, 0],
            [0x85, 0, 0, 0, 23, 0, 0, 0],
            [0xb7, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            [0x95, 0, 0, 0, 0, 0, 0, 0],
            [0; 8],
        ];
        assert_eq!(a.finish().unwrap(), expected[..10].concat());
    }

    #[test]
    fn a_jump_to_nowhere_makes_no_program() {
        let mut a = Assembler::default();
        a.go_to("nowhere");
        a.exit();
        assert_eq!(a.finish(), None);
    }
}
