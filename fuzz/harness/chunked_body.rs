//! A chunked body: any pieces give the same verdict and the same data, and the data in new chunks comes out again.

use http1::request::Framing;
use http1::{CHUNK_END, Decoder, LAST_CHUNK, Progress, chunk_line};

/// The first byte is the size of the pieces in which the rest arrives.
pub fn run(data: &[u8]) {
    let Some((&piece, bytes)) = data.split_first() else { return };
    let (mut whole, mut content) = (Decoder::from(Framing::Chunked), Vec::new());
    let verdict = whole.data(bytes, |part| content.extend_from_slice(part));
    let (mut passing, mut used) = (Decoder::from(Framing::Chunked), 0);
    let mut in_pieces = Ok(Progress { used: 0, done: false });
    for part in bytes.chunks(usize::from(piece) + 1) {
        in_pieces = passing.pass(part);
        let Ok(progress) = in_pieces else { break };
        used += progress.used;
        if progress.done {
            break;
        }
        assert_eq!(progress.used, part.len());
    }
    assert_eq!(verdict.map(|p| p.done), in_pieces.map(|p| p.done));
    let Ok(progress) = verdict else {
        assert!(whole.pass(b"0\r\n\r\n").is_err() && !whole.is_done());
        return;
    };
    assert_eq!(progress.used, used);
    assert_eq!(progress.done, whole.is_done());
    assert!(content.len() <= used);
    if progress.done {
        // Whatever follows is not ours.
        assert_eq!(whole.pass(b"GET / HTTP/1.1\r\n"), Ok(Progress { used: 0, done: true }));
        comes_out_again(&content);
    }
}

fn comes_out_again(content: &[u8]) {
    let mut coded = Vec::new();
    for part in content.chunks(100) {
        coded.extend_from_slice(chunk_line(part.len(), &mut [0; 18]));
        coded.extend_from_slice(part);
        coded.extend_from_slice(CHUNK_END);
    }
    coded.extend_from_slice(LAST_CHUNK);
    let mut data = Vec::new();
    let progress =
        Decoder::from(Framing::Chunked).data(&coded, |part| data.extend_from_slice(part));
    assert_eq!(progress, Ok(Progress { used: coded.len(), done: true }));
    assert_eq!(data, content);
}
