//! The style sheet, the script and the icon, as built into the program.
//!
//! They are files of their own so that the page needs neither inline script nor inline style, and its
//! content security policy can forbid both.

use crate::console::Answer;

const FILES: [(&str, &str, &[u8]); 3] = [
    ("status.css", "text/css; charset=utf-8", include_bytes!("assets/status.css")),
    ("status.js", "text/javascript; charset=utf-8", include_bytes!("assets/status.js")),
    ("icon.svg", "image/svg+xml", include_bytes!("assets/icon.svg")),
];

/// The file of that name, or 304 if the client has it already.
pub(crate) fn answer(name: &str, if_none_match: Option<&str>) -> Option<Answer> {
    let (_, content_type, bytes) = FILES.into_iter().find(|(n, ..)| *n == name)?;
    let tag = tag(bytes);
    let held = if_none_match.is_some_and(|tags| tags.split(',').any(|t| t.trim() == tag));
    let mut answer = if held {
        Answer::new(304, content_type, "")
    } else {
        Answer::new(200, content_type, bytes)
    };
    // Asked for again after every upgrade, transferred only then.
    answer.header("cache-control", "no-cache");
    answer.header("etag", &tag);
    Some(answer)
}

/// An entity tag from the bytes (FNV-1a, 64 bits): it only has to differ between versions of one file.
fn tag(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("\"{hash:016x}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_the_browser_holds_is_not_sent_again() {
        let first = answer("status.css", None).unwrap();
        assert_eq!(first.status, 200);
        let tag = &first.headers.iter().find(|(name, _)| name == "etag").unwrap().1;
        let again = answer("status.css", Some(&format!("\"other\", {tag}"))).unwrap();
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert!(answer("../config.rs", None).is_none());
    }
}
