//! A response's head: any pieces give the same verdict, and what goes back reads as the same response.

use http1::forward::{self, Back};
use http1::response::Framing;
use http1::{Asked, Delivery, Fields, Limits, Name, Scan, persistence, request, response};

const LIMITS: Limits = Limits { max_head: 2048, max_fields: 24 };
const ROOMY: Limits = Limits { max_head: 16 * 1024, max_fields: 100 };

/// The first byte says where the head is cut in two, the second what had been asked; the rest is what arrives.
pub fn run(data: &[u8]) {
    let [cut, ask, bytes @ ..] = data else { return };
    let asked = Asked { head: ask & 1 != 0, upgrade: ask & 2 != 0 };
    let mut fields = Fields::default();
    let whole = response::parse(bytes, asked, &LIMITS, &mut Scan::default(), &mut fields);
    let (mut scan, mut others) = (Scan::default(), Fields::default());
    let cut = bytes.len() * usize::from(*cut) / 256;
    let mut pieces = response::parse(&bytes[..cut], asked, &LIMITS, &mut scan, &mut others);
    if pieces == Ok(None) {
        pieces = response::parse(bytes, asked, &LIMITS, &mut scan, &mut others);
    }
    assert_eq!(whole, pieces);
    let Ok(Some(head)) = whole else { return };
    assert!(head.len <= bytes.len() && head.len <= LIMITS.max_head);
    assert!(!(asked.head && head.framing != Framing::None));
    assert!(head.framing != Framing::UntilClose || !head.keep_alive);

    let client_10 = ask & 4 != 0;
    let line: &[u8] =
        if client_10 { b"GET / HTTP/1.0\r\n\r\n" } else { b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" };
    let client = request::parse(line, &LIMITS, &mut Scan::default(), &mut Fields::default());
    let client = client.unwrap().unwrap();
    let plan = persistence::plan(&client, &head, ask & 8 != 0, ask & 16 != 0);
    let mut sent = Vec::new();
    let back = Back { client_10, plan, date: b"today", lines: b"" };
    forward::response(&mut sent, bytes, &head, &fields, &back);
    let mut again = Fields::default();
    let read = response::parse(&sent, asked, &ROOMY, &mut Scan::default(), &mut again);
    let Ok(Some(second)) = read else { panic!("{read:?}: {}", sent.escape_ascii()) };
    let framing = match plan.delivery {
        Delivery::AsItCame => head.framing,
        Delivery::Unchunk => Framing::UntilClose,
        Delivery::Chunk => Framing::Chunked,
    };
    assert_eq!((second.len, second.status, second.framing), (sent.len(), head.status, framing));
    assert!(head.status < 200 || second.keep_alive == plan.keep_alive);
    assert!(again.iter().all(|f| !matches!(f.kind, Name::Backhand | Name::OneHop | Name::Named)));
}
