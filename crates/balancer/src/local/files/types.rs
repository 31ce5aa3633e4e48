//! Types of content by file name extension.

use std::collections::BTreeMap;

/// For names without an extension that is known.
const UNKNOWN: &str = "application/octet-stream";
/// Longest extension that is looked up.
const EXTENSION_MAX: usize = 16;

/// Extension in lower case, type, and whether such a file is worth compressing. Sorted, for a binary search.
const BUILT_IN: &[(&str, &str, bool)] = &[
    ("7z", "application/x-7z-compressed", false),
    ("aac", "audio/aac", false),
    ("apng", "image/apng", false),
    ("atom", "application/atom+xml", true),
    ("avi", "video/x-msvideo", false),
    ("avif", "image/avif", false),
    ("bin", UNKNOWN, false),
    ("bmp", "image/bmp", true),
    ("bz2", "application/x-bzip2", false),
    ("css", "text/css; charset=utf-8", true),
    ("csv", "text/csv; charset=utf-8", true),
    ("deb", "application/vnd.debian.binary-package", false),
    ("doc", "application/msword", false),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", false),
    ("eot", "application/vnd.ms-fontobject", true),
    ("epub", "application/epub+zip", false),
    ("flac", "audio/flac", false),
    ("geojson", "application/geo+json", true),
    ("gif", "image/gif", false),
    ("gz", "application/gzip", false),
    ("heic", "image/heic", false),
    ("htm", "text/html; charset=utf-8", true),
    ("html", "text/html; charset=utf-8", true),
    ("ico", "image/x-icon", true),
    ("ics", "text/calendar; charset=utf-8", true),
    ("iso", UNKNOWN, false),
    ("jar", "application/java-archive", false),
    ("jpeg", "image/jpeg", false),
    ("jpg", "image/jpeg", false),
    ("js", "text/javascript; charset=utf-8", true),
    ("json", "application/json", true),
    ("jsonld", "application/ld+json", true),
    ("jxl", "image/jxl", false),
    ("m4a", "audio/mp4", false),
    ("m4v", "video/mp4", false),
    ("map", "application/json", true),
    ("md", "text/markdown; charset=utf-8", true),
    ("mjs", "text/javascript; charset=utf-8", true),
    ("mkv", "video/x-matroska", false),
    ("mov", "video/quicktime", false),
    ("mp3", "audio/mpeg", false),
    ("mp4", "video/mp4", false),
    ("mpeg", "video/mpeg", false),
    ("mpg", "video/mpeg", false),
    ("odp", "application/vnd.oasis.opendocument.presentation", false),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet", false),
    ("odt", "application/vnd.oasis.opendocument.text", false),
    ("oga", "audio/ogg", false),
    ("ogg", "audio/ogg", false),
    ("ogv", "video/ogg", false),
    ("opus", "audio/ogg", false),
    ("otf", "font/otf", true),
    ("pdf", "application/pdf", false),
    ("png", "image/png", false),
    ("ppt", "application/vnd.ms-powerpoint", false),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", false),
    ("ps", "application/postscript", true),
    ("rar", "application/vnd.rar", false),
    ("rpm", "application/x-rpm", false),
    ("rss", "application/rss+xml", true),
    ("rtf", "application/rtf", true),
    ("svg", "image/svg+xml", true),
    ("tar", "application/x-tar", false),
    ("tgz", "application/gzip", false),
    ("tif", "image/tiff", false),
    ("tiff", "image/tiff", false),
    ("toml", "application/toml", true),
    ("torrent", "application/x-bittorrent", false),
    ("ts", "video/mp2t", false),
    ("ttf", "font/ttf", true),
    ("txt", "text/plain; charset=utf-8", true),
    ("vtt", "text/vtt; charset=utf-8", true),
    ("wasm", "application/wasm", true),
    ("wav", "audio/wav", false),
    ("weba", "audio/webm", false),
    ("webm", "video/webm", false),
    ("webmanifest", "application/manifest+json", true),
    ("webp", "image/webp", false),
    ("woff", "font/woff", false),
    ("woff2", "font/woff2", false),
    ("xhtml", "application/xhtml+xml", true),
    ("xls", "application/vnd.ms-excel", false),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", false),
    ("xml", "application/xml", true),
    ("xsl", "application/xslt+xml", true),
    ("xz", "application/x-xz", false),
    ("yaml", "application/yaml", true),
    ("yml", "application/yaml", true),
    ("zip", "application/zip", false),
    ("zst", "application/zstd", false),
];

/// The type of a file by its path, and whether it is worth looking for compressed siblings.
pub(super) fn of<'a>(path: &[u8], own: &'a BTreeMap<String, String>) -> (&'a str, bool) {
    let Some(extension) = extension(path) else { return (UNKNOWN, false) };
    let built_in = BUILT_IN.binary_search_by(|(known, ..)| known.cmp(&extension.as_str()));
    let built_in = built_in.ok().map(|at| BUILT_IN[at]);
    match (own.get(&extension), built_in) {
        (Some(kind), built_in) => {
            let textual = kind.starts_with("text/") || built_in.is_some_and(|(.., worth)| worth);
            (kind, textual)
        }
        (None, Some((_, kind, worth))) => (kind, worth),
        (None, None) => (UNKNOWN, false),
    }
}

/// What stands behind the last dot of the last name, in lower case.
fn extension(path: &[u8]) -> Option<String> {
    let name = path.rsplit(|&b| b == b'/').next()?;
    let dot = memchr::memrchr(b'.', name)?;
    let extension = &name[dot + 1..];
    if extension.is_empty() || extension.len() > EXTENSION_MAX {
        return None;
    }
    Some(std::str::from_utf8(extension).ok()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_each_extension_in_it_once() {
        assert!(BUILT_IN.is_sorted_by(|a, b| a.0 < b.0), "the table is searched by halves");
    }

    #[test]
    fn the_last_extension_of_the_last_name_decides() {
        let none = BTreeMap::new();
        for (path, kind) in [
            ("a/index.HTML", "text/html; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.tar.gz", "application/gzip"),
            ("a.html/readme", UNKNOWN),
            ("a.", UNKNOWN),
            ("html", UNKNOWN),
            ("", UNKNOWN),
        ] {
            assert_eq!(of(path.as_bytes(), &none).0, kind, "{path}");
        }
        assert_eq!(of(b"a.\xff", &none).0, UNKNOWN);
    }

    #[test]
    fn a_configured_type_goes_before_the_built_in_one() {
        let own = BTreeMap::from([
            ("html".to_owned(), "application/x-own".to_owned()),
            ("mine".to_owned(), "text/x-mine".to_owned()),
        ]);
        assert_eq!(of(b"a.html", &own), ("application/x-own", true));
        assert_eq!(of(b"a.Mine", &own), ("text/x-mine", true));
        assert_eq!(of(b"a.png", &own), ("image/png", false));
    }
}
