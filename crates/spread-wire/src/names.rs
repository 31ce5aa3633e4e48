//! Lists of names as messages carry them: destinations, members, the members of a vs set.
//!
//! The bytes stay where they were received; only what follows a name's NUL is cleared, so that no client can be given a
//! name without an end.

use bytes::{Bytes, BytesMut};
use core::fmt;

use crate::limits::{GROUP_NAME_MAX, NAME_FIELD_BYTES};
use crate::name::GroupName;

/// Names in fields of 32 bytes each, padded with NUL, the last byte always NUL. A field may be empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Names(Bytes);

impl Names {
    /// A list of these names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a GroupName>) -> Self {
        names.into_iter().copied().collect()
    }

    /// Takes fields as they were received. Nothing is copied unless a name has bytes behind its end.
    ///
    /// Bytes behind the last whole field are left out.
    pub fn from_fields(fields: impl Into<Bytes>) -> Self {
        let mut fields = fields.into();
        fields.truncate(fields.len() / NAME_FIELD_BYTES * NAME_FIELD_BYTES);
        if fields.chunks_exact(NAME_FIELD_BYTES).all(is_clean) {
            return Self(fields);
        }
        let mut fields = BytesMut::from(fields);
        fields.chunks_exact_mut(NAME_FIELD_BYTES).for_each(clean);
        Self(fields.freeze())
    }

    /// How many fields there are, empty ones too.
    pub fn len(&self) -> usize {
        self.0.len() / NAME_FIELD_BYTES
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of one field; `None` behind the last one and for an empty field.
    pub fn get(&self, at: usize) -> Option<GroupName> {
        self.0.chunks_exact(NAME_FIELD_BYTES).nth(at).and_then(name)
    }

    /// The names in their order, duplicates too; empty fields are stepped over.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = GroupName> + '_ {
        self.0.chunks_exact(NAME_FIELD_BYTES).filter_map(name)
    }

    /// Whether `wanted` is among them.
    pub fn contains(&self, wanted: &GroupName) -> bool {
        self.0.chunks_exact(NAME_FIELD_BYTES).any(|field| field == wanted.field())
    }

    /// The fields, as they stand in messages.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The fields, as they stand in messages.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

fn name(field: &[u8]) -> Option<GroupName> {
    GroupName::from_field(field.try_into().ok()?)
}

/// Where the padding of a field begins.
fn end(field: &[u8]) -> usize {
    field.iter().position(|&byte| byte == 0).unwrap_or(GROUP_NAME_MAX)
}

fn is_clean(field: &[u8]) -> bool {
    field[end(field)..].iter().all(|&byte| byte == 0)
}

fn clean(field: &mut [u8]) {
    let end = end(field);
    field[end..].fill(0);
}

impl FromIterator<GroupName> for Names {
    fn from_iter<I: IntoIterator<Item = GroupName>>(names: I) -> Self {
        let names = names.into_iter();
        let mut fields = BytesMut::with_capacity(names.size_hint().0 * NAME_FIELD_BYTES);
        names.for_each(|name| fields.extend_from_slice(name.field()));
        Self(fields.freeze())
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_nul_is_cleared() {
        let mut fields = [b'x'; 64];
        fields[1] = 0;
        let names = Names::from_fields(fields.to_vec());
        assert_eq!(names.len(), 2);
        assert_eq!(names.get(0), GroupName::new(b"x").ok());
        assert_eq!(names.get(1), GroupName::new(&[b'x'; 31]).ok());
        assert!(names.as_bytes()[1..32].iter().all(|&byte| byte == 0));
        assert_eq!(names.as_bytes()[63], 0);
        assert_eq!(names.get(2), None);
    }

    #[test]
    fn clean_fields_are_not_copied() {
        let names =
            Names::new(&[GroupName::new(b"room").unwrap(), GroupName::new(b"net").unwrap()]);
        let again = Names::from_fields(names.to_bytes());
        assert_eq!(again.as_bytes().as_ptr(), names.as_bytes().as_ptr());
        assert!(again.contains(&GroupName::new(b"net").unwrap()));
    }

    #[test]
    fn empty_fields_keep_their_place_and_are_stepped_over() {
        let mut fields = [0; 100];
        fields[32] = b'a';
        let names = Names::from_fields(fields.to_vec());
        assert_eq!((names.len(), names.iter().count()), (3, 1));
        assert_eq!(names.get(0), None);
    }
}
