//! The handshake in all its variants (protocol reference, 2 and 8.10).
#![allow(clippy::unwrap_used)]

mod support;

use spread_wire::client::connect::Step as ClientStep;
use spread_wire::client::{Connect, ConnectError, Hello};
use spread_wire::{
    ErrorCode, Handshake, Methods, NameError, Policy, Refusal, Session, Step, Version,
};
use support::{private, session};

/// What became of a handshake.
#[derive(Debug, PartialEq)]
enum End {
    Waits,
    Accepted(Session),
    Refused(Refusal),
}

/// Takes the handshake to its end, every name free but `taken`, every address as `address` says. The input comes in
/// pieces of `piece` bytes.
fn meet(policy: Policy, address: bool, input: &[u8], piece: usize) -> (Vec<u8>, End) {
    let mut daemon = Handshake::new(policy);
    let mut sent = Vec::new();
    let mut pieces = input.chunks(piece);
    let mut now: &[u8] = &[];
    loop {
        match daemon.receive(&mut now) {
            Step::Wait => match pieces.next() {
                Some(piece) => now = piece,
                None => return (sent, End::Waits),
            },
            Step::Name(wanted) => {
                let name = wanted.unwrap_or(private("r1234-9"));
                let group = session(name.as_str());
                let taken = name == private("taken");
                daemon.answer_name(if taken { Err(Refusal::NotUnique) } else { Ok(group) });
                assert_eq!(daemon.taken(), (!taken).then_some(group));
            }
            Step::Address => daemon.answer_address(address),
            Step::Send(bytes) => sent.extend(bytes),
            Step::Accepted(bytes, session) => {
                sent.extend(bytes);
                assert_eq!(daemon.taken(), None, "it is the session's now");
                return (sent, End::Accepted(session));
            }
            Step::Refused(bytes, why) => {
                sent.extend(bytes);
                return (sent, End::Refused(why));
            }
        }
    }
}

/// The same in one piece and bytewise.
fn both(policy: Policy, address: bool, input: &[u8]) -> (Vec<u8>, End) {
    let whole = meet(policy, address, input, usize::MAX);
    assert_eq!(meet(policy, address, input, 1), whole);
    whole
}

fn hello(version: &[u8], flags: u8, name: &[u8]) -> Vec<u8> {
    [version, &[flags, name.len() as u8], name].concat()
}

fn refused(input: &[u8], bytes: &[u8]) -> Refusal {
    let (sent, end) = both(Policy::default(), true, input);
    assert_eq!(sent, bytes);
    let End::Refused(why) = end else { panic!("{end:?}") };
    assert_eq!(bytes.last(), Some(&why.code().byte()));
    why
}

#[test]
fn a_library_older_than_3_1_is_refused() {
    let why = refused(&hello(&[2, 9], 1, b"abc"), &[0xf9]);
    assert_eq!(why, Refusal::Version(Version { major: 2, minor: 9, patch: 0 }));
    refused(&[3, 0], &[0xf9]);
    refused(&[0, 0], &[0xf9]);
}

#[test]
fn each_version_gets_the_reply_it_understands() {
    let accepted = |version: &[u8], name: &str, patch: &[u8]| {
        let (sent, end) = both(Policy::default(), true, &hello(version, 1, name.as_bytes()));
        let group = session(name);
        let length = group.as_bytes().len() as u8;
        assert_eq!(sent, [&[1, 5, 0][..], patch, &[length], group.as_bytes()].concat());
        assert!(matches!(end, End::Accepted(session) if session.group == group));
    };
    accepted(&[3, 1], "old", b"");
    accepted(&[3, 14], "o14", b"");
    accepted(&[3, 15, 0], "o15", &[1]);
    for version in [[3, 16, 0], [3, 17, 3], [4, 4, 0], [5, 0, 1], [6, 1, 2], [255, 255, 255]] {
        let (sent, end) = both(Policy::default(), true, &hello(&version, 1, b"o16"));
        assert_eq!((&sent[..], end), (&b"\x05NULL "[..], End::Waits), "{version:?}");
    }
}

#[test]
fn illegal_names_are_refused() {
    for length in [11, 0x7f, 0x80, 0xff] {
        let why = refused(&[5, 0, 1, 1, length], &[0xfb]);
        assert_eq!(why, Refusal::NameLength(length as i8));
    }
    for name in [&b"a#b"[..], b"a b", b"a\x7fb", b"a\xc3b", b"a\0b"] {
        let why = refused(&hello(&[5, 0, 1], 1, name), &[0xfb]);
        assert!(matches!(why, Refusal::Name(NameError::Byte { at: 1, .. })), "{why}");
    }
}

#[test]
fn a_name_in_use_is_refused() {
    assert_eq!(refused(&hello(&[5, 0, 1], 1, b"taken"), &[0xfa]), Refusal::NotUnique);
}

#[test]
fn flags_are_read_and_an_empty_name_is_made_up() {
    let (null, policy) = (capture!("auth-choice"), Policy::default());
    for (flags, membership, priority) in
        [(0, false, 0), (1, true, 0), (0x11, true, 1), (0xf2, false, 15)]
    {
        let (_, end) = both(policy, true, &[hello(&[5, 0, 1], flags, b""), null.clone()].concat());
        let End::Accepted(session) = end else { panic!() };
        assert_eq!((session.membership, session.priority), (membership, priority));
        assert_eq!(session.group.private(), &private("r1234-9"));
    }
}

fn choice(methods: [&str; 3]) -> Vec<u8> {
    let mut bytes = vec![0; 90];
    for (slot, method) in bytes.chunks_mut(30).zip(methods) {
        slot[..method.len()].copy_from_slice(method.as_bytes());
    }
    bytes
}

fn choose(policy: Policy, address: bool, methods: [&str; 3]) -> End {
    both(policy, address, &[hello(&[5, 0, 1], 1, b"abc"), choice(methods)].concat()).1
}

const BOTH: Methods = Methods { null: true, ip: true };
const NONE: Methods = Methods { null: false, ip: false };

#[test]
fn a_choice_that_is_not_allowed_or_empty_is_refused() {
    let wrong =
        [["IP", "", ""], ["", "", ""], ["", "NULL", ""], ["NULL", "IP", ""], ["null", "", ""]];
    for methods in wrong {
        let input = [hello(&[5, 0, 1], 1, b"abc"), choice(methods)].concat();
        assert_eq!(refused(&input, b"\x05NULL \xf7"), Refusal::Method, "{methods:?}");
    }
    // A slot of 30 bytes without its end, and what follows an empty slot.
    let long = [hello(&[5, 0, 1], 1, b"abc"), vec![b'N'; 90]].concat();
    assert_eq!(refused(&long, b"\x05NULL \xf7"), Refusal::Method);
    assert!(matches!(choose(Policy::default(), true, ["NULL", "", "IP"]), End::Accepted(_)));
}

#[test]
fn the_method_ip_asks_for_the_address() {
    let policy = Policy { allowed: BOTH, required: NONE };
    assert!(matches!(choose(policy, false, ["NULL", "", ""]), End::Accepted(_)));
    assert!(matches!(choose(policy, true, ["NULL", "IP", ""]), End::Accepted(_)));
    assert_eq!(choose(policy, false, ["IP", "", ""]), End::Refused(Refusal::Address));
    assert_eq!(choose(policy, false, ["NULL", "IP", ""]), End::Refused(Refusal::Address));
    let (sent, _) = both(policy, true, &hello(&[5, 0, 1], 1, b"abc"));
    assert_eq!(sent, b"\x08NULL IP ");
}

#[test]
fn a_required_method_is_passed_without_being_chosen() {
    let policy = Policy { allowed: BOTH, required: Methods::IP };
    assert_eq!(choose(policy, false, ["NULL", "", ""]), End::Refused(Refusal::Address));
    assert!(matches!(choose(policy, true, ["NULL", "", ""]), End::Accepted(_)));
    let (sent, end) = both(policy, false, &hello(&[3, 15, 0], 1, b"abc"));
    assert_eq!((&sent[..], end), (&[0xf7][..], End::Refused(Refusal::Address)));
}

#[test]
fn without_any_method_nobody_is_let_in() {
    let policy = Policy { allowed: NONE, required: NONE };
    let refused = End::Refused(Refusal::NoMethod);
    assert_eq!(both(policy, true, &hello(&[5, 0, 1], 1, b"abc")), (vec![0, 0xf7], refused));
    let refused = End::Refused(Refusal::NoMethod);
    assert_eq!(both(policy, true, &hello(&[3, 1], 1, b"abc")), (vec![0xf7], refused));
}

#[test]
fn an_old_client_is_judged_by_its_address_where_that_is_allowed() {
    let policy = Policy { allowed: BOTH, required: NONE };
    let old = hello(&[3, 1], 1, b"abc");
    assert!(matches!(both(policy, true, &old).1, End::Accepted(_)));
    assert_eq!(both(policy, false, &old).1, End::Refused(Refusal::Address));
}

#[test]
fn what_a_client_sends_ahead_is_left_for_its_session() {
    let input = [capture!("hello"), capture!("auth-choice"), capture!("join")].concat();
    let mut input = &input[..];
    let mut daemon = Handshake::new(Policy::default());
    assert!(matches!(daemon.receive(&mut input), Step::Name(_)));
    daemon.answer_name(Ok(session("alice")));
    assert!(matches!(daemon.receive(&mut input), Step::Send(_)));
    assert!(matches!(daemon.receive(&mut input), Step::Accepted(..)));
    assert_eq!(input, capture!("join"));
}

fn connect(replies: &[u8], priority: bool) -> Result<Vec<ClientStep>, ConnectError> {
    let hello = Hello { name: Some(private("alice")), membership: true, priority };
    let mut steps = Vec::new();
    let mut client = Connect::new(hello);
    for mut piece in replies.chunks(1) {
        match client.receive(&mut piece)? {
            ClientStep::Wait => {}
            step => steps.push(step),
        }
    }
    Ok(steps)
}

#[test]
fn a_client_is_told_why_it_was_refused() {
    for code in ErrorCode::ALL {
        let refused = ConnectError::Refused(code);
        assert_eq!(connect(&[code.byte()], false), Err(refused));
        assert_eq!(connect(&[b"\x05NULL ", &[code.byte()][..]].concat(), false), Err(refused));
        assert_eq!(refused.code(), code);
    }
    assert_eq!(connect(&[0, 0xf7], false), Err(ConnectError::Refused(ErrorCode::RejectAuth)));
    assert_eq!(connect(&[0x80], false), Err(ConnectError::Unknown(-128)));
    assert_eq!(connect(b"\x05NULL \x07", false), Err(ConnectError::Unknown(7)));
    assert_eq!(connect(b"\x06PWORD ", false), Err(ConnectError::Methods));
}

#[test]
fn a_client_takes_the_method_ip_where_null_is_not_allowed() {
    let steps = connect(b"\x03IP ", false).unwrap();
    assert_eq!(steps, [ClientStep::Send(choice(["IP", "", ""]))]);
}

#[test]
fn a_client_refuses_a_daemon_that_is_too_old_or_none() {
    let accept = |version: [u8; 3], group: &[u8]| {
        [b"\x05NULL \x01", &version[..], &[group.len() as u8], group].concat()
    };
    assert!(connect(&accept([3, 0, 0], b"#alice#d"), false).is_ok());
    let old = Version { major: 2, minor: 9, patch: 0 };
    assert_eq!(connect(&accept([2, 9, 0], b"#alice#d"), false), Err(ConnectError::Version(old)));
    let old = Version { major: 3, minor: 7, patch: 0 };
    assert_eq!(connect(&accept([3, 7, 0], b"#alice#d"), true), Err(ConnectError::Version(old)));
    for group in [&b"alice"[..], b"", b"#alice", &[b'#'; 40], &[b'x'; 200]] {
        assert_eq!(connect(&accept([5, 0, 1], group), false), Err(ConnectError::Malformed));
    }
}
