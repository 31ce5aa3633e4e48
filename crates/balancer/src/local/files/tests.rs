//! A real directory, asked politely and otherwise.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;

/// Long enough ago for a tag to be strong.
const AGE: Duration = Duration::from_secs(3600);

/// A directory with a secret beside it, and one worker's files.
struct Site {
    dir: tempfile::TempDir,
    files: Files,
    now: Instant,
}

struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Got {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - AGE).unwrap();
}

fn options(dir: &Path) -> Options {
    Options { root: Some(dir.join("site")), ..Options::default() }
}

impl Site {
    fn new(files: &[(&str, &[u8])]) -> Self {
        Self::with(files, |_| {})
    }

    fn with(files: &[(&str, &[u8])], change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("secret.txt"), b"TOP SECRET");
        fs::create_dir(dir.path().join("site")).unwrap();
        files
            .iter()
            .for_each(|(name, content)| write(&dir.path().join("site").join(name), content));
        let mut options = options(dir.path());
        change(&mut options);
        let mut files = Files::new(&options, OPEN_MAX).unwrap();
        // Everything here was made long ago.
        files.wall = || wall() + AGE.as_secs() as i64;
        Self { dir, files, now: Instant::from_millis(10_000) }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("site").join(name)
    }

    fn later(&mut self) {
        self.now += Duration::from_secs(2);
    }

    fn ask(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) -> Got {
        let mut request = Request::new(method.as_bytes(), target.as_bytes());
        fields.iter().for_each(|(name, value)| request.header(name.as_bytes(), value.as_bytes()));
        let mut head = Vec::new();
        let answer = self.files.answer(&request, self.now, &mut head);
        let head = String::from_utf8(head).unwrap();
        assert!(head.is_empty() || head.ends_with("\r\n"), "{head:?}");
        let body = bytes(&answer.body);
        assert_eq!(body.len() as u64, answer.body.len());
        let got = Got { status: answer.status, head, body };
        let told = got.field("Content-Length").map(|n| n.parse::<usize>().unwrap());
        if method != "HEAD" {
            assert_eq!(
                told,
                (![204, 304].contains(&got.status)).then_some(got.body.len()),
                "{}",
                got.head
            );
        }
        got
    }

    fn get(&mut self, target: &str) -> Got {
        self.ask("GET", target, &[])
    }
}

fn bytes(body: &Body) -> Vec<u8> {
    let read = |file: &OwnedFd, offset, len: u64| {
        let mut bytes = vec![0; len as usize];
        assert_eq!(rustix::io::pread(file, &mut bytes, offset).unwrap(), bytes.len());
        bytes
    };
    match body {
        Body::Empty => Vec::new(),
        Body::Memory(bytes, range) => bytes[range.clone()].to_vec(),
        Body::File { file, offset, len } => read(file, *offset, *len),
        Body::Parts(parts) => parts
            .iter()
            .flat_map(|part| match part {
                Part::Bytes(bytes) => bytes.clone(),
                Part::File { file, offset, len } => read(file, *offset, *len),
            })
            .collect(),
    }
}

#[test]
fn a_file_comes_with_type_length_tag_and_date() {
    let mut site = Site::new(&[("a.css", b"body{}")]);
    let got = site.get("/a.css?v=1");
    assert_eq!((got.status, &got.body[..]), (200, &b"body{}"[..]));
    assert_eq!(got.field("Content-Type"), Some("text/css; charset=utf-8"));
    assert_eq!(got.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(got.field("X-Content-Type-Options"), Some("nosniff"));
    assert!(got.field("ETag").unwrap().starts_with('"'), "{}", got.head);
    assert!(got.field("Last-Modified").unwrap().ends_with(" GMT"));
    assert_eq!(got.field("Cache-Control"), None);
    let head = site.ask("HEAD", "/a.css", &[]);
    assert_eq!((head.status, &head.head, head.body.len()), (200, &got.head, 0));
}

#[test]
fn small_files_come_from_memory_and_large_ones_by_descriptor() {
    let large = vec![b'x'; 200_000];
    let mut site = Site::new(&[("small", b"s"), ("large", &large), ("empty", b"")]);
    for (target, content) in [("/small", &b"s"[..]), ("/large", &large[..]), ("/empty", b"")] {
        for _ in 0..2 {
            let got = site.get(target);
            assert_eq!((got.status, got.body == content), (200, true), "{target}");
        }
    }
    let mut head = Vec::new();
    let small = site.files.answer(&Request::new(b"GET", b"/small"), site.now, &mut head);
    assert!(matches!(small.body, Body::Memory(..)));
    let large = site.files.answer(&Request::new(b"GET", b"/large"), site.now, &mut head);
    assert!(matches!(large.body, Body::File { .. }));
    assert_eq!((site.files.cache.counts().0, site.files.cache.counts().2), (3, 1));
}

#[test]
fn a_directory_answers_with_its_index_and_without_its_slash_redirects() {
    let mut site =
        Site::new(&[("index.html", b"home"), ("docs/index.html", b"docs"), ("empty/x", b"")]);
    assert_eq!(site.get("/").body, b"home");
    assert_eq!(site.get("/docs/").body, b"docs");
    assert_eq!(site.get("//docs//").body, b"docs");
    let got = site.get("/docs?a=b");
    assert_eq!((got.status, got.field("Location")), (301, Some("/docs/?a=b")));
    assert_eq!(site.get("/empty/").status, 404);
    assert_eq!(site.get("/docs/index.html/").status, 404);
}

#[test]
fn a_redirect_never_leaves_this_host() {
    let mut site = Site::new(&[("evil.example/x", b""), ("a b/\\x/y", b"")]);
    for (target, location) in [
        ("//evil.example", "/evil.example/"),
        ("///evil.example", "/evil.example/"),
        ("/%2e/evil.example", "/evil.example/"),
        ("/.//evil.example", "/evil.example/"),
        ("/a%20b", "/a%20b/"),
        ("/a%20b/%5cx", "/a%20b/%5Cx/"),
        ("//evil.example?//x", "/evil.example/?//x"),
    ] {
        let got = site.get(target);
        assert_eq!((got.status, got.field("Location")), (301, Some(location)), "{target}");
    }
    for target in ["/\\evil.example", "/%09/evil.example", "//evil.example/%2f.."] {
        assert_eq!(site.get(target).status, 404, "{target}");
    }
}

#[test]
fn nothing_outside_of_the_root_or_hidden_is_ever_served() {
    let mut site = Site::new(&[
        (".git/config", b"TOP SECRET"),
        (".htpasswd", b"TOP SECRET"),
        ("a/.env", b"TOP SECRET"),
        ("a/b", b"fine"),
        (".well-known/security.txt", b"fine"),
    ]);
    symlink("../secret.txt", site.path("out.txt")).unwrap();
    symlink(site.dir.path().join("secret.txt"), site.path("absolute.txt")).unwrap();
    symlink("..", site.path("up")).unwrap();
    symlink("/", site.path("slash")).unwrap();
    symlink("/proc/self/root", site.path("magic")).unwrap();
    symlink("loop", site.path("loop")).unwrap();
    symlink(".git", site.path("git")).unwrap();
    symlink(".htpasswd", site.path("passwords")).unwrap();
    symlink("passwords", site.path("twice")).unwrap();
    for target in [
        "/../secret.txt",
        "/a/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/a/..%2f..%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/.git/config",
        "/%2egit/config",
        "/.htpasswd",
        "/a/.env",
        "/a/%2Eenv",
        "/out.txt",
        "/absolute.txt",
        "/up/secret.txt",
        "/up",
        "/slash/etc/passwd",
        "/magic/etc/passwd",
        "/loop",
        "/git/config",
        "/git",
        "/passwords",
        "/twice",
        "/a/b%00.html",
        "/a/b/",
        "/a\\..\\..",
        "/....//secret.txt",
        "/a/b/../../../secret.txt",
        "/",
        "",
    ] {
        let got = site.get(target);
        assert!([400, 404].contains(&got.status), "{target}: {}", got.status);
        assert!(!got.body.windows(10).any(|w| w == b"TOP SECRET"), "{target}");
    }
    assert_eq!(site.get("/a/b").body, b"fine");
    assert_eq!(site.get("/.well-known/security.txt").body, b"fine");
}

#[test]
fn links_within_the_root_are_followed_and_none_if_so_configured() {
    let link = |site: &Site| symlink("a/b", site.path("link")).unwrap();
    let mut site = Site::new(&[("a/b", b"fine")]);
    link(&site);
    assert_eq!(site.get("/link").body, b"fine");
    symlink(site.path("a"), site.path("absolute")).unwrap();
    symlink("../absolute/b", site.path("a/around")).unwrap();
    assert_eq!(site.get("/absolute/b").body, b"fine");
    assert_eq!(site.get("/absolute/around").body, b"fine");
    let mut site = Site::with(&[("a/b", b"fine")], |o| o.links = Links::None);
    link(&site);
    assert_eq!(site.get("/link").status, 404);
    let mut site = Site::with(&[], |o| o.links = Links::Anywhere);
    symlink("../secret.txt", site.path("link")).unwrap();
    assert_eq!(site.get("/link").body, b"TOP SECRET");
}

#[test]
fn a_kernel_without_openat2_serves_files_and_follows_no_link() {
    let mut site = Site::new(&[("a/b/c", b"fine")]);
    symlink("a", site.path("link")).unwrap();
    symlink("../secret.txt", site.path("out")).unwrap();
    site.files.root = site.files.root.take().map(Root::without_openat2);
    site.files.root_checked = site.now;
    assert_eq!(site.get("/a/b/c").body, b"fine");
    for target in ["/link/b/c", "/out", "/a/b/x"] {
        assert_eq!(site.get(target).status, 404, "{target}");
    }
    assert_eq!(site.get("/a/b").status, 301);
}

#[test]
fn what_is_no_file_is_not_opened_for_long() {
    let mut site = Site::new(&[]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        site.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(site.path("socket")).unwrap();
    assert_eq!(site.get("/pipe").status, 404);
    assert_eq!(site.get("/socket").status, 404);
}

#[test]
fn a_name_without_extension_is_bytes_whatever_its_folder_is_called() {
    let mut site = Site::new(&[("a.d/plain", b"x"), ("v1.0/b.html", b"x"), ("lone.", b"x")]);
    for (target, kind) in [
        ("/a.d/plain", "application/octet-stream"),
        ("/v1.0/b.html", "text/html; charset=utf-8"),
        ("/lone.", "application/octet-stream"),
    ] {
        let got = site.get(target);
        assert_eq!((got.status, got.field("Content-Type")), (200, Some(kind)), "{target}");
    }
}

#[test]
fn only_reading_is_possible() {
    let mut site = Site::new(&[("a", b"x")]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "FROB"] {
        let got = site.ask(method, "/a", &[]);
        assert_eq!((got.status, got.field("Allow")), (405, Some("GET, HEAD, OPTIONS")), "{method}");
    }
    for target in ["/a", "*", "/nowhere"] {
        let got = site.ask("OPTIONS", target, &[]);
        assert_eq!((got.status, got.field("Allow")), (204, Some("GET, HEAD, OPTIONS")), "{target}");
    }
}

#[test]
fn a_client_that_has_it_is_told_so() {
    let mut site = Site::with(&[("a", b"x")], |o| o.cache_control = Some("max-age=60".into()));
    let first = site.get("/a");
    let tag = first.field("ETag").unwrap();
    let date = first.field("Last-Modified").unwrap();
    for condition in [("If-None-Match", tag), ("If-Modified-Since", date)] {
        for method in ["GET", "HEAD"] {
            let got = site.ask(method, "/a", &[condition]);
            assert_eq!((got.status, got.field("ETag")), (304, Some(tag)));
            assert_eq!(got.field("Cache-Control"), Some("max-age=60"));
            assert_eq!((got.field("Content-Length"), got.field("Content-Type")), (None, None));
        }
    }
    let got = site.ask("GET", "/a", &[("If-Match", "\"other\"")]);
    assert_eq!(got.status, 412);
}

#[test]
fn a_range_is_cut_out_and_several_come_in_parts() {
    for content in [b"0123456789".to_vec(), (0..200_000u32).map(|i| (i % 251) as u8).collect()] {
        let mut site = Site::new(&[("a.txt", &content)]);
        let len = content.len();
        let got = site.ask("GET", "/a.txt", &[("Range", "bytes=2-4")]);
        assert_eq!((got.status, &got.body[..]), (206, &content[2..5]));
        assert_eq!(got.field("Content-Range"), Some(&*format!("bytes 2-4/{len}")));
        assert_eq!(got.field("Content-Type"), Some("text/plain; charset=utf-8"));
        let got = site.ask("GET", "/a.txt", &[("Range", "bytes=-3,0-1")]);
        assert_eq!(got.status, 206);
        let kind = got.field("Content-Type").unwrap();
        let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let part = |range: std::ops::Range<usize>| {
            let (first, last) = (range.start, range.end - 1);
            let head = format!(
                "--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {first}-{last}/{len}\r\n\r\n"
            );
            [head.as_bytes(), &content[range], b"\r\n"].concat()
        };
        let end = format!("--{boundary}--\r\n");
        assert_eq!(got.body, [part(len - 3..len), part(0..2), end.into_bytes()].concat());
        let fields: Vec<_> = got.head.lines().filter(|l| l.starts_with("Content-Type")).collect();
        assert_eq!(fields.len(), 1, "{}", got.head);
        let got = site.ask("GET", "/a.txt", &[("Range", "bytes=999999-")]);
        assert_eq!(
            (got.status, got.field("Content-Range")),
            (416, Some(&*format!("bytes */{len}")))
        );
        let stale = [("Range", "bytes=2-4"), ("If-Range", "\"old\"")];
        assert_eq!(site.ask("GET", "/a.txt", &stale).status, 200);
    }
}

#[test]
fn a_precompressed_sibling_goes_to_those_who_take_it() {
    let plain = vec![b'p'; 1000];
    let mut site = Site::new(&[
        ("a.js", &plain),
        ("a.js.gz", b"gzipped, rather large"),
        ("a.js.br", b"brotli"),
        ("b.js", &plain),
        ("c.png", &plain),
        ("c.png.gz", b"never looked for"),
    ]);
    for (accept, coding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), &b"brotli"[..]),
        ("gzip", Some("gzip"), b"gzipped, rather large"),
        ("gzip;q=1, br;q=0.5", Some("gzip"), b"gzipped, rather large"),
        ("zstd", None, &plain),
        ("identity", None, &plain),
        ("br;q=0", None, &plain),
    ] {
        let got = site.ask("GET", "/a.js", &[("Accept-Encoding", accept)]);
        assert_eq!((got.status, got.field("Content-Encoding")), (200, coding), "{accept}");
        assert_eq!(got.body, body, "{accept}");
        assert_eq!(got.field("Vary"), Some("Accept-Encoding"));
        assert_eq!(got.field("Content-Type"), Some("text/javascript; charset=utf-8"));
    }
    let tags = ["br", "gzip", "identity"].map(|a| {
        site.ask("GET", "/a.js", &[("Accept-Encoding", a)]).field("ETag").map(str::to_owned)
    });
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2], "{tags:?}");
    for target in ["/b.js", "/c.png"] {
        let got = site.ask("GET", target, &[("Accept-Encoding", "gzip, br")]);
        assert_eq!((got.field("Vary"), got.field("Content-Encoding")), (None, None), "{target}");
    }
}

#[test]
fn a_sibling_older_than_its_file_is_not_trusted() {
    let mut site = Site::new(&[("a.js", &[b'p'; 1000]), ("a.js.gz", b"of an earlier a.js")]);
    let gz = fs::File::options().write(true).open(site.path("a.js.gz")).unwrap();
    gz.set_modified(SystemTime::now() - 2 * AGE).unwrap();
    let got = site.ask("GET", "/a.js", &[("Accept-Encoding", "gzip")]);
    assert_eq!(got.field("Content-Encoding"), None);
}

#[test]
fn a_changed_file_is_seen_after_a_second_and_has_another_tag() {
    let mut site = Site::new(&[("a", b"old!")]);
    let old = site.get("/a");
    write(&site.path("a"), b"new!");
    assert_eq!(site.get("/a").body, b"old!", "it was looked at a moment ago");
    site.later();
    let new = site.get("/a");
    assert_eq!(new.body, b"new!");
    assert_ne!(new.field("ETag"), old.field("ETag"));
    fs::remove_file(site.path("a")).unwrap();
    site.later();
    assert_eq!(site.get("/a").status, 404);
    assert_eq!(site.files.cache.counts(), (0, 0, 0));
}

#[test]
fn a_file_that_may_still_be_changing_has_a_weak_tag_and_is_not_kept_in_memory() {
    let mut site = Site::new(&[]);
    site.files.wall = wall;
    fs::write(site.path("a"), b"young").unwrap();
    let got = site.get("/a");
    assert!(got.field("ETag").unwrap().starts_with("W/\""), "{}", got.head);
    assert_eq!(site.files.cache.counts().2, 1);
    let range = [("Range", "bytes=0-1"), ("If-Range", got.field("ETag").unwrap())];
    assert_eq!(site.ask("GET", "/a", &range).status, 200);
    site.files.wall = || wall() + AGE.as_secs() as i64;
    site.later();
    assert!(site.get("/a").field("ETag").unwrap().starts_with('"'), "it has settled");
    assert_eq!(site.files.cache.counts().2, 0);
}

#[test]
fn a_root_that_is_exchanged_is_followed() {
    let mut site = Site::new(&[("a", b"first")]);
    assert_eq!(site.get("/a").body, b"first");
    fs::rename(site.dir.path().join("site"), site.dir.path().join("before")).unwrap();
    write(&site.path("a"), b"second");
    site.later();
    assert_eq!(site.get("/a").body, b"second");
}

#[test]
fn the_cache_stays_within_its_bounds() {
    let names: Vec<String> = (0..300).map(|i| format!("f{i}")).collect();
    let content = vec![b'x'; 1000];
    let list: Vec<_> = names.iter().map(|n| (n.as_str(), &content[..])).collect();
    let mut site = Site::with(&list, |o| o.memory = 100_000);
    for _ in 0..3 {
        for name in &names {
            assert_eq!(site.get(&format!("/{name}")).body, content);
            let (entries, memory, _) = site.files.cache.counts();
            assert!(memory <= 100_000 && entries < 100, "{entries} {memory}");
        }
    }
    let large = vec![b'x'; 70_000];
    let list: Vec<_> = names.iter().map(|n| (n.as_str(), &large[..])).collect();
    let mut site = Site::new(&list);
    for name in &names {
        assert_eq!(site.get(&format!("/{name}")).body.len(), large.len());
    }
    assert!(site.files.cache.counts().2 <= 256);
}

#[test]
fn other_spellings_of_a_path_take_no_room() {
    let mut site = Site::new(&[("a", b"x")]);
    for target in ["/a", "//a", "/./a", "/%61", "/b/../a", "/a?x"] {
        assert_eq!(site.get(target).body, b"x", "{target}");
    }
    assert_eq!(site.files.cache.counts().0, 1);
}

#[test]
fn a_cache_of_no_size_keeps_nothing() {
    let mut site = Site::with(&[("a", b"x")], |o| o.memory = 0);
    assert_eq!(site.get("/a").body, b"x");
    assert_eq!(site.files.cache.counts(), (0, 0, 0));
}

#[test]
fn a_machine_with_nothing_to_serve_says_welcome() {
    let mut files = Files::new(&Options::default(), OPEN_MAX).unwrap();
    let mut ask = |target: &str| {
        let mut head = Vec::new();
        let request = Request::new(b"GET", target.as_bytes());
        let answer = files.answer(&request, Instant::ORIGIN, &mut head);
        (answer.status, String::from_utf8(bytes(&answer.body)).unwrap())
    };
    let (status, page) = ask("/");
    assert!(status == 200 && page.contains("backhand.toml"), "{page}");
    assert_eq!(ask("/favicon.ico").0, 404);
}

#[test]
fn an_unusable_root_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Files::new(&options(dir.path()), OPEN_MAX).unwrap_err();
    assert!(matches!(missing, OpenError::Missing(_)) && missing.remedy().contains("mkdir -p"));
    fs::write(dir.path().join("site"), b"").unwrap();
    assert!(matches!(Files::new(&options(dir.path()), OPEN_MAX), Err(OpenError::NotADirectory(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_path_whatever_reaches_the_secret(paths in proptest::collection::vec(
        "(/|%2f|\\.|%2e|\\.\\.|a|up|out|secret\\.txt|[\x01-\u{ff}]|%00){1,12}", 32,
    )) {
        let mut site = Site::new(&[("a/secret.txt", b"fine"), (".secret", b"TOP SECRET")]);
        symlink("..", site.path("up")).unwrap();
        symlink("../secret.txt", site.path("out")).unwrap();
        for path in paths {
            let target = format!("/{path}");
            let mut request = Request::new(b"GET", target.as_bytes());
            request.header(b"Accept-Encoding", b"gzip");
            let mut head = Vec::new();
            let answer = site.files.answer(&request, site.now, &mut head);
            prop_assert!(bytes(&answer.body) != b"TOP SECRET", "{target}");
            prop_assert!(!head.windows(4).any(|w| w == b"\r\n\r\n"), "{target}");
        }
    }
}
