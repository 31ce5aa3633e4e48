//! What people see when there is no file to show: a quiet page, light or dark as they like it.

use std::rc::Rc;

/// Title and sentence for each status that has a page.
const PAGES: &[(u16, &str, &str)] = &[
    (400, "Bad request", "This address is not written the way addresses are."),
    (403, "Not allowed", "This page is not for reading."),
    (404, "Not found", "There is no page at this address."),
    (405, "Not possible", "This page can be read, and nothing else."),
    (412, "Changed meanwhile", "The page is no longer what the request took it to be."),
    (416, "Out of range", "The page has no such part."),
    (500, "Something failed", "The page is there but cannot be read."),
    (503, "Too busy", "This machine is at its limit. Please try again in a moment."),
];

const STYLE: &str = ":root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;\
place-items:center;font:1.05rem/1.6 system-ui,sans-serif;color:light-dark(#26323c,#d6dee5);\
background:light-dark(#f6f8f9,#14191d)}main{padding:2rem;max-width:34rem}\
small{font-size:.95rem;letter-spacing:.12em;color:light-dark(#7a8891,#84939e)}\
h1{margin:.1em 0 .4em;font-size:2rem;font-weight:600}p{margin:0 0 1em}\
pre{padding:1em;border-radius:.5em;overflow:auto;font-size:.9rem;background:light-dark(#e9edf0,#1f272d)}";

/// The pages of one worker, made once.
#[derive(Debug)]
pub(super) struct Pages {
    pages: Vec<(u16, Rc<[u8]>)>,
    welcome: Rc<[u8]>,
}

impl Default for Pages {
    fn default() -> Self {
        let page = |status: u16, title: &str, text: &str| {
            let main = format!("<small>{status}</small><h1>{title}</h1><p>{text}</p>");
            html(title, &main)
        };
        let pages = PAGES.iter().map(|&(status, title, text)| (status, page(status, title, text)));
        Self { pages: pages.collect(), welcome: welcome() }
    }
}

impl Pages {
    /// The page for a status; an empty one if there is none.
    pub(super) fn of(&self, status: u16) -> Rc<[u8]> {
        let found = self.pages.iter().find(|(s, _)| *s == status);
        found.map_or_else(|| Rc::from([]), |(_, page)| page.clone())
    }

    /// The page that is shown while nothing is configured.
    pub(super) fn welcome(&self) -> Rc<[u8]> {
        self.welcome.clone()
    }
}

fn welcome() -> Rc<[u8]> {
    html(
        "Welcome",
        "<small>BACKHAND</small><h1>It works</h1>\
         <p>This machine answers, but it has not been told yet what to serve. Say so in <code>backhand.toml</code>:</p>\
         <pre>[local]\ndirectory = \"/srv/www\"\n# or: server = \"http://127.0.0.1:9000\"</pre>\
         <p>All machines and their state are shown at <a href=\"/backhand/\">/backhand/</a>.</p>",
    )
}

fn html(title: &str, main: &str) -> Rc<[u8]> {
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style><main>{main}</main></html>\n"
    );
    page.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_that_files_refuse_with_has_a_page() {
        let pages = Pages::default();
        for status in [400, 403, 404, 405, 412, 416, 500, 503] {
            let page = String::from_utf8(pages.of(status).to_vec()).unwrap();
            assert!(page.contains(&format!("<small>{status}</small>")), "{page}");
        }
        assert!(pages.of(200).is_empty());
    }
}
