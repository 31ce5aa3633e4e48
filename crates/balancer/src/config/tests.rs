//! The sections read from real text, good and bad.
