//! Whether a connection can be opened.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// Opens one and closes it again.
pub(super) async fn check(address: SocketAddr) -> Result<(), String> {
    connect(address).await.map(drop)
}

pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused by {address}"),
        _ => format!("connecting to {address}: {error}"),
    })
}
