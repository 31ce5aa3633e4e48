//! The handshake between honest, mistaken and hostile ends.

use super::*;
use crate::test_suite::{Ring, speaker};
use proptest::prelude::*;

fn key(byte: u8) -> PeerKey<Ring> {
    PeerKey::new(&Ring, &ClusterKey::from_bytes([byte; 32]))
}

fn ends(expected: Expected) -> (Client, Server) {
    (Client::new(speaker(1, 1), expected, [3; 32]), Server::new(speaker(2, 2), [4; 32]))
}

/// Runs a server on `bytes`, all at once.
fn serve(
    server: &mut Server,
    key: &PeerKey<Ring>,
    mut bytes: &[u8],
) -> Result<Progress, HandshakeError> {
    server.receive(key, &mut bytes)
}

fn reply_to(client: &Client, server: &mut Server, key: &PeerKey<Ring>) -> [u8; SERVER_HELLO_LEN] {
    match serve(server, key, client.hello()) {
        Ok(Progress::Reply(reply) | Progress::Refuse(reply, _)) => reply,
        other => panic!("{other:?}"),
    }
}

fn meet(
    client: &mut Client,
    key: &PeerKey<Ring>,
    reply: &[u8],
) -> Result<Option<Welcome>, HandshakeError> {
    client.receive(key, &mut &reply[..])
}

#[test]
fn two_machines_with_one_key_know_each_other_after_one_round_trip() {
    let key = key(7);
    for expected in [
        Expected::Anyone,
        Expected::Machine(speaker(2, 0).machine),
        Expected::Speaker(speaker(2, 2)),
    ] {
        let (mut client, mut server) = ends(expected);
        let reply = reply_to(&client, &mut server, &key);
        let welcome = meet(&mut client, &key, &reply).unwrap().unwrap();
        assert_eq!(welcome.server, speaker(2, 2));
        let mut bytes = welcome.proof.to_vec();
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let mut input = &bytes[..];
        assert_eq!(server.receive(&key, &mut input), Ok(Progress::Done(speaker(1, 1))));
        assert_eq!(input, b"GET / HTTP/1.1\r\n", "the request is left for the next reader");
    }
}

#[test]
fn it_works_byte_by_byte() {
    let key = key(7);
    let (mut client, mut server) = ends(Expected::Anyone);
    let mut reply = None;
    for byte in *client.hello() {
        assert_eq!(reply, None);
        match serve(&mut server, &key, &[byte]) {
            Ok(Progress::Wait) => {}
            Ok(Progress::Reply(bytes)) => reply = Some(bytes),
            other => panic!("{other:?}"),
        }
    }
    let mut welcome = None;
    for byte in reply.unwrap() {
        assert_eq!(welcome, None);
        welcome = meet(&mut client, &key, &[byte]).unwrap();
    }
    let (last, proof) = welcome.as_ref().unwrap().proof.split_last().unwrap();
    for byte in proof {
        assert_eq!(serve(&mut server, &key, &[*byte]), Ok(Progress::Wait));
    }
    assert_eq!(serve(&mut server, &key, &[*last]), Ok(Progress::Done(speaker(1, 1))));
}

#[test]
fn another_key_is_noticed_by_both_sides() {
    let (mut client, mut server) = ends(Expected::Anyone);
    let reply = reply_to(&client, &mut server, &key(8));
    assert_eq!(meet(&mut client, &key(7), &reply), Err(HandshakeError::Proof));
    assert_eq!(serve(&mut server, &key(8), &[0; PROOF_LEN]), Err(HandshakeError::Proof));
}

#[test]
fn an_echo_is_not_a_peer() {
    let (mut client, mut server) = ends(Expected::Anyone);
    let hello = *client.hello();
    assert_eq!(meet(&mut client, &key(7), &hello), Err(HandshakeError::Reflected));
    // The server's own proof, sent back, does not prove a client.
    let reply = reply_to(&client, &mut server, &key(7));
    assert_eq!(serve(&mut server, &key(7), &reply[PROVEN..]), Err(HandshakeError::Proof));
}

#[test]
fn a_recorded_handshake_does_not_work_again() {
    let key = key(7);
    let (mut client, mut server) = ends(Expected::Anyone);
    let reply = reply_to(&client, &mut server, &key);
    let proof = meet(&mut client, &key, &reply).unwrap().unwrap().proof;
    // The recording is played to the next connection: the server drew another number.
    let mut next = Server::new(speaker(2, 2), [5; 32]);
    reply_to(&client, &mut next, &key);
    assert_eq!(serve(&mut next, &key, &proof), Err(HandshakeError::Proof));
    // And to a client that drew another number.
    let mut later = Client::new(speaker(1, 1), Expected::Anyone, [6; 32]);
    assert_eq!(meet(&mut later, &key, &reply), Err(HandshakeError::Proof));
}

#[test]
fn a_version_lowered_on_the_way_breaks_the_proof() {
    let key = key(7);
    let (mut client, mut server) = ends(Expected::Anyone);
    let mut hello = *client.hello();
    hello[4] = 0;
    let Ok(Progress::Refuse(reply, error)) = serve(&mut server, &key, &hello) else {
        panic!("version 0 was welcome")
    };
    assert_eq!(error, HandshakeError::Version { theirs: 0 });
    assert_eq!(meet(&mut client, &key, &reply), Err(HandshakeError::Proof));
}

#[test]
fn a_newer_client_is_told_our_version_under_proof() {
    let key = key(7);
    let (mut client, mut server) = ends(Expected::Anyone);
    client.hello[4] = 2;
    let reply = reply_to(&client, &mut server, &key);
    assert_eq!(meet(&mut client, &key, &reply), Err(HandshakeError::Version { theirs: VERSION }));
}

#[test]
fn a_machine_that_started_anew_says_so() {
    let key = key(7);
    let (mut client, mut server) = ends(Expected::Speaker(speaker(2, 1)));
    let Ok(Progress::Refuse(reply, error)) = serve(&mut server, &key, client.hello()) else {
        panic!("another boot was welcome")
    };
    let found = speaker(2, 2);
    assert_eq!(error, HandshakeError::Unexpected { found });
    assert_eq!(meet(&mut client, &key, &reply), Err(HandshakeError::Unexpected { found }));
}

#[test]
fn reaching_oneself_by_mistake_is_noticed() {
    let key = key(7);
    let me = speaker(1, 1);
    for (expected, outcome) in
        [(Expected::Anyone, Err(HandshakeError::Oneself)), (Expected::Speaker(me), Ok(me))]
    {
        let mut client = Client::new(me, expected, [3; 32]);
        let mut server = Server::new(me, [4; 32]);
        let reply = reply_to(&client, &mut server, &key);
        let met = meet(&mut client, &key, &reply).map(|welcome| welcome.unwrap().server);
        assert_eq!(met, outcome);
    }
}

#[test]
fn an_http_client_on_the_peer_port_is_recognised_at_its_first_bytes() {
    let (mut client, mut server) = ends(Expected::Anyone);
    assert_eq!(serve(&mut server, &key(7), b"GET"), Err(HandshakeError::Foreign));
    assert_eq!(meet(&mut client, &key(7), b"HTTP/1.1 400"), Err(HandshakeError::Foreign));
}

proptest! {
    #[test]
    fn no_flipped_bit_of_a_reply_is_believed(bit in 0..SERVER_HELLO_LEN * 8) {
        let key = key(7);
        let (mut client, mut server) = ends(Expected::Anyone);
        let mut reply = reply_to(&client, &mut server, &key);
        reply[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(meet(&mut client, &key, &reply).is_err());
    }

    #[test]
    fn no_flipped_bit_of_a_hello_survives_the_proofs(bit in 0..CLIENT_HELLO_LEN * 8) {
        let key = key(7);
        let (mut client, mut server) = ends(Expected::Anyone);
        let mut hello = *client.hello();
        hello[bit / 8] ^= 1 << (bit % 8);
        if let Ok(Progress::Reply(reply) | Progress::Refuse(reply, _)) = serve(&mut server, &key, &hello) {
            prop_assert_eq!(meet(&mut client, &key, &reply), Err(HandshakeError::Proof));
        }
    }

    #[test]
    fn noise_in_any_pieces_never_proves_anything(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 0..6),
    ) {
        let key = key(7);
        let (mut client, mut server) = ends(Expected::Anyone);
        for piece in &pieces {
            prop_assert!(!matches!(serve(&mut server, &key, piece), Ok(Progress::Done(_))));
            prop_assert!(!matches!(meet(&mut client, &key, piece), Ok(Some(_))));
        }
    }
}
