//! A reception among honest, past, doubled and hostile senders.
