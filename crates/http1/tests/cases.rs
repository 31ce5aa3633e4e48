//! Every case of the table, as we read it and as hyper does.
//!
//! Where hyper reads on and we do not, the table says so: that list is what the strictness costs and buys. What we
//! accept, hyper must read in the same way, body included.
#![allow(clippy::unwrap_used, clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "support/cases.rs"]
mod cases;
#[path = "support/hyper.rs"]
mod oracle;

use std::fmt::Write as _;

use http1::{Decoder, Fields, Limits, Scan, request};

/// A request as its receiver understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Understood {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) body: Vec<u8>,
}

/// Reads requests until nothing is left, more is needed, or one is refused.
fn read_all(mut bytes: &[u8]) -> (Vec<Understood>, String) {
    let mut requests = Vec::new();
    let mut fields = Fields::default();
    while !bytes.is_empty() {
        match read_one(&mut bytes, &mut fields) {
            Ok(Some(request)) => requests.push(request),
            Ok(None) => return (requests, "wait".into()),
            Err(reject) => return (requests, format!("{reject:?}")),
        }
    }
    (requests, "end".into())
}

fn read_one(bytes: &mut &[u8], fields: &mut Fields) -> Result<Option<Understood>, http1::Reject> {
    let parsed = request::parse(bytes, &Limits::default(), &mut Scan::default(), fields)?;
    let Some(head) = parsed else { return Ok(None) };
    let (mut decoder, mut body) = (Decoder::from(head.framing), Vec::new());
    let progress = decoder.data(&bytes[head.len..], |data| body.extend_from_slice(data))?;
    if !progress.done {
        return Ok(None);
    }
    let text = |span: http1::Span| String::from_utf8_lossy(span.of(bytes)).into_owned();
    let understood = Understood { method: text(head.method), target: text(head.target), body };
    *bytes = &bytes[head.len + progress.used..];
    Ok(Some(understood))
}

fn table() -> Vec<cases::Case> {
    cases::read(include_str!("cases/requests.txt"))
}

#[test]
fn every_case_is_read_as_the_table_says() {
    let cases = table();
    assert!(cases.len() > 100, "the table has been cut: {}", cases.len());
    let mut wrong = String::new();
    for case in cases {
        let (requests, then) = read_all(&case.bytes);
        if (requests.len(), &then) != (case.ours.0, &case.ours.1) {
            let _ =
                writeln!(wrong, "{}: {} {then}, not {:?}", case.name, requests.len(), case.ours);
        }
        assert!(requests.iter().all(|r| r.target != "/smuggled"), "{}", case.name);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn hyper_reads_every_case_as_the_table_says() {
    let mut wrong = String::new();
    for case in table() {
        let (ours, then) = read_all(&case.bytes);
        let (theirs, they_then) = oracle::read_all(&case.bytes);
        let expected = case.hyper.clone().unwrap_or((ours.len(), then));
        if (theirs.len(), &they_then) != (expected.0, &expected.1) {
            let _ =
                writeln!(wrong, "{}: {} {they_then}, not {expected:?}", case.name, theirs.len());
        }
        // Whatever we take for a request, hyper takes for the same one.
        for (i, (one, two)) in ours.iter().zip(&theirs).enumerate() {
            assert_eq!(one, two, "{}, request {i}", case.name);
        }
        assert!(theirs.len() >= ours.len(), "{}: hyper is stricter than we are", case.name);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
