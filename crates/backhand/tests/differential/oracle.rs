//! hyper as a reverse proxy: its server in front, its client behind, nothing of ours between.

use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Starts it in front of `origin`. It ends with the test program.
pub(crate) fn start(origin: SocketAddr) -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(move |request| pass_on(origin, request));
                let server = hyper::server::conn::http1::Builder::new();
                tokio::task::spawn_local(async move {
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
    });
    Ok(address)
}

type Error = Box<dyn std::error::Error + Send + Sync>;

async fn pass_on(
    origin: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Incoming>, Error> {
    let stream = TcpStream::connect(origin).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    Ok(sender.send_request(request).await?)
}
