//! A value that is one text or a list of them.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// One text or a list of them, as written. By hand and not as an untagged enum, which would lose the places of
/// the list's entries.
#[derive(Clone, Debug)]
pub enum Texts {
    /// `"a"`.
    One(String),
    /// `["a", "b"]`.
    Many(Vec<Spanned<String>>),
}

impl Texts {
    /// Every text with its place.
    pub(super) fn all(written: &Spanned<Self>) -> Vec<Spanned<String>> {
        match written.get_ref() {
            Self::One(text) => vec![Spanned::new(written.span(), text.clone())],
            Self::Many(list) => list.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts::One(text.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Texts, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Texts::Many)
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}
