//! One machine in front of one server: the protocol towards both.

mod common;

use common::*;

#[test]
fn a_request_is_served_by_the_local_server() {
    let origin = Origin::named("hello");
    let machine = in_front_of(&origin).start();
    let got = get(machine.address, "/a?b");
    assert_eq!((got.status(), got.text()), (200, "hello"));
    assert_eq!(origin.last().line, "GET /a?b HTTP/1.1");
    assert_eq!(origin.last().header("x-forwarded-for"), Some("127.0.0.1"));
    machine.running.drain();
}
