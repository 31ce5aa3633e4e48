//! What this machine serves itself: an HTTP server on a port or Unix socket, or a directory.

pub mod files;
pub mod health;
