//! A request's head: any pieces give the same verdict, and what is sent on reads as the same request.

use http1::forward::{self, Forwarding, Onward};
use http1::{Fields, Limits, Name, Reject, RequestHead, Scan, request};

const LIMITS: Limits = Limits { max_head: 2048, max_fields: 24 };
/// What is sent on may be longer than what came.
const ROOMY: Limits = Limits { max_head: 16 * 1024, max_fields: 100 };

/// The first byte says where the head is cut in two; the rest is what arrives.
pub fn run(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else { return };
    let mut fields = Fields::default();
    let whole = request::parse(bytes, &LIMITS, &mut Scan::default(), &mut fields);
    let (mut scan, mut others) = (Scan::default(), Fields::default());
    let cut = bytes.len() * usize::from(cut) / 256;
    let mut pieces = request::parse(&bytes[..cut], &LIMITS, &mut scan, &mut others);
    if pieces == Ok(None) {
        pieces = request::parse(bytes, &LIMITS, &mut scan, &mut others);
    }
    assert_eq!(whole, pieces);
    let Ok(Some(head)) = whole else { return };
    assert!(head.len <= bytes.len() && head.len <= LIMITS.max_head);
    for forwarding in [Forwarding::Replace, Forwarding::Append, Forwarding::Keep] {
        reads_the_same(bytes, &head, &fields, forwarding);
    }
}

fn reads_the_same(bytes: &[u8], head: &RequestHead, fields: &Fields, forwarding: Forwarding) {
    let from = [192, 0, 2, 1].into();
    let onward =
        Onward { from, client: from, proto: "http", forwarding, authority: "here", lines: b"" };
    let mut sent = Vec::new();
    forward::request(&mut sent, bytes, head, fields, &onward);
    let mut again = Fields::default();
    let read = request::parse(&sent, &ROOMY, &mut Scan::default(), &mut again);
    if head.max_forwards == Some(1) {
        // The next machine is the last that may see it.
        assert_eq!(read, Err(Reject::LastStop));
        return;
    }
    let Ok(Some(second)) = read else { panic!("{read:?}: {}", sent.escape_ascii()) };
    assert_eq!(second.len, sent.len());
    assert_eq!(head.method.of(bytes), second.method.of(&sent));
    let (target, sent_target) = (head.target.of(bytes), second.target.of(&sent));
    assert!(target == sent_target || (target == b"/" && sent_target == b"*"));
    assert_eq!(
        head.host.map_or(&b"here"[..], |host| host.of(bytes)),
        second.host.unwrap().of(&sent)
    );
    assert_eq!((head.framing, head.upgrade), (second.framing, second.upgrade));
    assert_eq!(head.expects_continue, second.expects_continue);
    assert!(second.keep_alive && !second.version_10);
    assert!(again.iter().all(|f| !matches!(f.kind, Name::Backhand | Name::OneHop | Name::Named)));
}
