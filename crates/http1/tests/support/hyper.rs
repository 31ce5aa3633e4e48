//! hyper as an oracle: the requests that it understands in a piece of input.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Understood;

/// The requests whose bodies hyper read to their ends; then `end` if it was content with everything, else `refuse`.
pub(crate) fn read_all(bytes: &[u8]) -> (Vec<Understood>, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(converse(bytes))
}

async fn converse(bytes: &[u8]) -> (Vec<Understood>, String) {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    client.write_all(bytes).await.expect("room for everything");
    client.shutdown().await.expect("nothing to wait for");
    let requests = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let requests = requests.clone();
        async move {
            let (parts, body) = request.into_parts();
            let read = body.collect().await.map(|body| body.to_bytes().to_vec());
            let failed = read.is_err();
            if let Ok(body) = read {
                let target = parts.uri.path_and_query().map_or("*", |target| target.as_str());
                let (method, target) = (parts.method.to_string(), target.to_string());
                requests.borrow_mut().push(Understood { method, target, body });
            }
            let mut response = Response::new(Empty::<Bytes>::new());
            if failed {
                *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
            }
            Ok::<_, Infallible>(response)
        }
    });
    let served = http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), service)
        .await;
    let mut answers = Vec::new();
    let _ = client.read_to_end(&mut answers).await;
    let refused = served.is_err() || answers.windows(12).any(|w| w.starts_with(b"HTTP/1.1 4"));
    let requests = requests.borrow().clone();
    (requests, if refused { "refuse" } else { "end" }.into())
}
