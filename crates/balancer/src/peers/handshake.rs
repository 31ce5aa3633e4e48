//! Drives the handshake of `seal::peer` over a socket, on either side. The caller limits the time.

use std::future::poll_fn;
use std::io;
use std::task::ready;

use crypto::{Ring, random};
use seal::Speaker;
use seal::peer::{Client, Expected, HandshakeError, PeerKey, Progress, Server};

use crate::exhausted::is_exhausted;
use crate::relay::io::poll_flush;
use crate::relay::stream::Stream;
use crate::worker::buffers::{Buffers, Inbox};

/// Why no authenticated connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntroductionError {
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side is not who it should be.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
}

impl IntroductionError {
    /// Whether it failed here, for want of descriptors, memory or ports, and nobody was asked.
    pub(crate) fn is_of_ours(&self) -> bool {
        matches!(self, Self::Io(e) if is_exhausted(e) || e.kind() == io::ErrorKind::AddrNotAvailable)
    }

    /// Whether somebody is there and says no, rather than nobody answering.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Io(e) => matches!(
                e.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::NotFound
            ),
            Self::Handshake(_) => true,
        }
    }
}

/// Introduces this machine to another and makes sure that it is the one in the life that is meant.
pub(crate) async fn introduce(
    stream: &mut Stream,
    me: Speaker,
    whom: Speaker,
    key: &PeerKey<Ring>,
    buffers: &Buffers,
) -> Result<(), IntroductionError> {
    let mut nonce = [0; 32];
    random(&mut nonce);
    let mut client = Client::new(me, Expected::Speaker(whom), nonce);
    send(stream, buffers, client.hello()).await?;
    loop {
        let mut piece = [0; 128];
        let n = read(stream, &mut piece).await?;
        let mut input = &piece[..n];
        if let Some(welcome) = client.receive(key, &mut input)? {
            if !input.is_empty() {
                // A server speaks next only when asked.
                return Err(HandshakeError::Foreign.into());
            }
            return Ok(send(stream, buffers, &welcome.proof).await?);
        }
    }
}

/// Waits for another machine to introduce itself. What it sends behind the handshake is left in `inbox`.
pub(crate) async fn welcome(
    stream: &mut Stream,
    me: Speaker,
    key: &PeerKey<Ring>,
    inbox: &mut Inbox,
    buffers: &Buffers,
) -> Result<Speaker, IntroductionError> {
    let mut nonce = [0; 32];
    random(&mut nonce);
    let mut server = Server::new(me, nonce);
    loop {
        let mut piece = [0; 512];
        let n = read(stream, &mut piece).await?;
        let mut input = &piece[..n];
        loop {
            match server.receive(key, &mut input)? {
                Progress::Wait => break,
                Progress::Reply(reply) => send(stream, buffers, &reply).await?,
                Progress::Refuse(reply, error) => {
                    send(stream, buffers, &reply).await?;
                    return Err(error.into());
                }
                Progress::Done(speaker) => {
                    inbox.put(buffers, input);
                    return Ok(speaker);
                }
            }
        }
    }
}

async fn send(stream: &mut Stream, buffers: &Buffers, bytes: &[u8]) -> io::Result<()> {
    let mut pending = Inbox::default();
    pending.put(buffers, bytes);
    poll_fn(|cx| poll_flush(stream, cx, &mut pending, buffers)).await
}

async fn read(stream: &mut Stream, into: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| {
        let n = ready!(stream.poll_read(cx, into))?;
        std::task::Poll::Ready(if n == 0 {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(n)
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Boot, MachineId};
    use seal::ClusterKey;
    use tokio::net::{TcpListener, TcpStream};

    fn speaker(n: u8) -> Speaker {
        Speaker { machine: MachineId([n; 16]), boot: Boot([n; 16]) }
    }

    async fn meet(
        called: Speaker,
        keys: [u8; 2],
    ) -> (Result<(), IntroductionError>, Result<Speaker, IntroductionError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = listener.accept().await.unwrap().0;
        let (mut client, mut server) = (Stream::tcp(client), Stream::tcp(server));
        let [a, b] = keys.map(|k| {
            let mut bytes = [k; 32];
            bytes[0] = !k;
            PeerKey::new(&Ring, &ClusterKey::from_bytes(bytes))
        });
        let buffers = Buffers::default();
        let mut inbox = Inbox::default();
        let ours = async {
            let result = introduce(&mut client, speaker(1), called, &a, &buffers).await;
            drop(client);
            result
        };
        tokio::join!(ours, async {
            let result = welcome(&mut server, speaker(2), &b, &mut inbox, &buffers).await;
            drop(server);
            result
        })
    }

    #[tokio::test]
    async fn two_machines_with_one_key_know_each_other() {
        let (ours, theirs) = meet(speaker(2), [7, 7]).await;
        ours.unwrap();
        assert_eq!(theirs.unwrap(), speaker(1));
    }

    #[tokio::test]
    async fn a_machine_with_another_key_is_refused() {
        let (ours, theirs) = meet(speaker(2), [7, 8]).await;
        assert!(
            matches!(ours, Err(IntroductionError::Handshake(HandshakeError::Proof))),
            "{ours:?}"
        );
        assert!(theirs.is_err());
    }

    #[tokio::test]
    async fn a_machine_in_another_life_is_refused() {
        let mut earlier = speaker(2);
        earlier.boot = Boot([9; 16]);
        let (ours, theirs) = meet(earlier, [7, 7]).await;
        assert!(matches!(
            ours,
            Err(IntroductionError::Handshake(HandshakeError::Unexpected { .. }))
        ));
        assert!(theirs.is_err());
    }
}
