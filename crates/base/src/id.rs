//! Who a machine is, and which of its lives is speaking.
//!
//! A machine keeps its [`MachineId`] in its state file for ever; each start of the program draws a
//! fresh [`Boot`]. Together with a sequence number that only grows within a boot they order
//! everything a machine says, without comparing clocks. Names are for people.

use core::fmt;
use core::str::FromStr;

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let text = text.trim().as_bytes();
                if text.len() != 32 {
                    return Err(IdError);
                }
                let mut id = [0; 16];
                for (byte, pair) in id.iter_mut().zip(text.chunks_exact(2)) {
                    *byte = digit(pair[0])? << 4 | digit(pair[1])?;
                }
                Ok(Self(id))
            }
        }
    };
}

identity! {
    /// 128 random bits that name a machine for ever. Written as 32 hexadecimal digits.
    MachineId
}
identity! {
    /// 128 random bits that name one run of the program on a machine.
    Boot
}

/// The text is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an identity is 32 hexadecimal digits")]
pub struct IdError;

fn digit(c: u8) -> Result<u8, IdError> {
    (c as char).to_digit(16).map(|d| d as u8).ok_or(IdError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_identity_survives_its_text() {
        let id = MachineId(core::array::from_fn(|i| i as u8 * 17));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn what_is_not_an_identity_is_refused() {
        for text in
            ["", "00", "zz000000000000000000000000000000", "é000000000000000000000000000000"]
        {
            assert_eq!(text.parse::<MachineId>(), Err(IdError), "{text}");
        }
    }
}
