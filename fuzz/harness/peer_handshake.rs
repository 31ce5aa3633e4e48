//! Two ends of a peer connection, and somebody between who bends bytes and cuts them anywhere.
//!
//! The first byte is the length of the pieces; the others are the bytes, or the bends. What must hold:
//! nothing panics; bytes made without the key prove nothing; a handshake completes if and only if no byte
//! of it was bent, and leaves what follows untouched.

#[path = "toy_suite.rs"]
mod toy_suite;

use base::{Boot, MachineId};
use seal::peer::{Client, Expected, HandshakeError, PeerKey, Progress, Server, Welcome};
use seal::{ClusterKey, Speaker};
use toy_suite::Toy;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

pub fn run(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let piece = usize::from(piece).max(1);
    noise(piece, bytes);
    bent(piece, bytes);
}

fn speaker(n: u8) -> Speaker {
    Speaker { machine: MachineId([n; 16]), boot: Boot([n; 16]) }
}

fn key() -> PeerKey<Toy> {
    PeerKey::new(&Toy, &ClusterKey::from_bytes([3; 32]))
}

fn ends() -> (Client, Server) {
    let client = Client::new(speaker(1), Expected::Speaker(speaker(2)), [5; 32]);
    (client, Server::new(speaker(2), [6; 32]))
}

/// Feeds bytes in pieces until the end has something to say.
fn serve(server: &mut Server, piece: usize, bytes: &mut &[u8]) -> Result<Progress, HandshakeError> {
    while !bytes.is_empty() {
        let (mut now, later) = bytes.split_at(piece.min(bytes.len()));
        let progress = server.receive(&key(), &mut now)?;
        *bytes = &bytes[bytes.len() - later.len() - now.len()..];
        if progress != Progress::Wait {
            return Ok(progress);
        }
    }
    Ok(Progress::Wait)
}

fn meet(
    client: &mut Client,
    piece: usize,
    bytes: &[u8],
) -> Result<Option<Welcome>, HandshakeError> {
    for mut part in bytes.chunks(piece) {
        if let Some(welcome) = client.receive(&key(), &mut part)? {
            return Ok(Some(welcome));
        }
    }
    Ok(None)
}

fn noise(piece: usize, bytes: &[u8]) {
    let (mut client, mut server) = ends();
    assert!(!matches!(meet(&mut client, piece, bytes), Ok(Some(_))));
    let mut rest = bytes;
    while let Ok(progress) = serve(&mut server, piece, &mut rest) {
        match progress {
            Progress::Done(who) => panic!("{who:?} proven by noise"),
            Progress::Reply(_) => {}
            Progress::Wait | Progress::Refuse(..) => break,
        }
    }
}

/// Bends `bytes` by the front of `bends`, and takes that off.
fn bend(bytes: &[u8], bends: &mut &[u8]) -> (Vec<u8>, bool) {
    let (mine, rest) = bends.split_at(bytes.len().min(bends.len()));
    *bends = rest;
    let mut bytes = bytes.to_vec();
    bytes.iter_mut().zip(mine).for_each(|(byte, bend)| *byte ^= bend);
    (bytes, mine.iter().any(|&bend| bend != 0))
}

fn bent(piece: usize, mut bends: &[u8]) {
    let (mut client, mut server) = ends();
    let (hello, hello_bent) = bend(client.hello(), &mut bends);
    let progress = serve(&mut server, piece, &mut &hello[..]);
    let Ok(Progress::Reply(reply) | Progress::Refuse(reply, _)) = progress else {
        assert!(hello_bent, "{progress:?}");
        return;
    };
    let (reply, reply_bent) = bend(&reply, &mut bends);
    let Ok(Some(welcome)) = meet(&mut client, piece, &reply) else {
        assert!(hello_bent || reply_bent);
        return;
    };
    assert!(!hello_bent && !reply_bent, "a bent handshake was believed");
    let (proof, proof_bent) = bend(&welcome.proof, &mut bends);
    let stream = [&proof[..], REQUEST].concat();
    let mut rest = &stream[..];
    match serve(&mut server, piece, &mut rest) {
        Ok(Progress::Done(who)) => assert!(!proof_bent && who == speaker(1) && rest == REQUEST),
        other => assert!(proof_bent, "{other:?}"),
    }
}
