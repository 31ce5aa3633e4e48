//! Requests to the control page that are none of its own, and what it does with them.

use super::super::board::Shown;
use super::*;

struct Stage {
    control: Control,
    board: Arc<Board>,
    orders: std::sync::mpsc::Receiver<Order>,
}

fn stage() -> Stage {
    let (board, orders) = Board::new();
    let names = ["m1", "m2<b>"].map(|name| Shown { name: name.into(), harm: None });
    board.show_machines(names.into());
    board.cables.store(true, Relaxed);
    board.open(true);
    let control = Control::start(board.clone(), ([127, 0, 0, 1], 80).into()).unwrap();
    Stage { control, board, orders }
}

impl Stage {
    fn say(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.control.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }

    fn get(&self, name: &str) -> String {
        let (host, token) = (self.control.address, &self.control.token);
        self.say(&format!("GET /{token}/{name} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    fn post(&self, fields: &str, body: &str) -> String {
        let (host, token) = (self.control.address, &self.control.token);
        let length = body.len();
        self.say(&format!(
            "POST /{token}/do HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn origin(&self) -> String {
        format!("Origin: http://{}\r\n", self.control.address)
    }
}

fn status(answer: &str) -> &str {
    &answer["HTTP/1.1 ".len()..][..3]
}

#[test]
fn the_page_shows_the_machines_and_their_buttons() {
    let stage = stage();
    let page = stage.get("");
    assert_eq!(status(&page), "200");
    for shown in ["m2&lt;b&gt;", "Pull its cable", "Freeze it", "Kill it", "default-src 'none'"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("m2<b>") && !page.contains("disabled"));
    for name in ["parts.json", "control.css", "control.js"] {
        assert_eq!(status(&stage.get(name)), "200", "{name}");
    }
    assert_eq!(status(&stage.get("other")), "404");
    stage.board.open(false);
    assert!(stage.get("").contains("disabled"));
}

#[test]
fn an_order_of_the_page_is_given() {
    let stage = stage();
    for (body, order) in [
        ("machine=0&what=cut", Order::Harm(0, Harm::Cut)),
        ("what=freeze&machine=1", Order::Harm(1, Harm::Freeze)),
        ("machine=1&what=kill", Order::Harm(1, Harm::Kill)),
        ("machine=0&what=back", Order::BringBack(0)),
    ] {
        assert_eq!(status(&stage.post(&stage.origin(), body)), "303", "{body}");
        assert_eq!(stage.orders.try_recv().unwrap(), order);
    }
    for body in
        ["", "machine=2&what=cut", "machine=-1&what=cut", "machine=0&what=burn", "machine=0"]
    {
        assert_eq!(status(&stage.post(&stage.origin(), body)), "400", "{body}");
    }
    stage.board.open(false);
    assert_eq!(status(&stage.post(&stage.origin(), "machine=0&what=cut")), "409");
    assert!(stage.orders.try_recv().is_err());
}

#[test]
fn other_sites_and_other_people_press_no_button() {
    let stage = stage();
    let (host, token) = (stage.control.address, stage.control.token.clone());
    let body = "machine=0&what=kill";
    let port = host.port();
    let twice = format!("{}Origin: http://evil.example\r\n", stage.origin());
    for origin in [
        "",
        "Origin: null\r\n",
        "Origin: http://evil.example\r\n",
        &format!("Origin: http://127.0.0.1:{}\r\n", port.wrapping_add(1)),
        &format!("Origin: https://{host}\r\n"),
        &twice,
    ] {
        assert_eq!(status(&stage.post(origin, body)), "403", "{origin}");
    }
    // A name that somebody else lets point here.
    let named = format!("GET /{token}/ HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n");
    assert_eq!(status(&stage.say(&named)), "421");
    for path in
        ["/", "/guess/", "/guess/do", &format!("/{}/", "0".repeat(32)), &format!("/{token}")]
    {
        let asked = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = stage.say(&asked);
        assert_eq!(status(&answer), "404", "{path}");
        assert!(!answer.contains("m1") && !answer.contains(&token));
    }
    // A form or a picture of another page can only GET: nothing comes of that.
    assert_eq!(status(&stage.get("do")), "405");
    assert!(stage.orders.try_recv().is_err());
}

#[test]
fn noise_is_answered_and_does_not_stop_it() {
    let stage = stage();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(request::MAX + 1));
    for noise in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / FTP/1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        &long,
    ] {
        let mut stream = TcpStream::connect(stage.control.address).unwrap();
        // The answer may come before all of it was read.
        let _ = stream.write_all(noise.as_bytes());
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
    }
    let big = stage.post(&stage.origin(), &"x".repeat(2_000));
    assert_eq!(status(&big), "400");
    assert_eq!(status(&stage.get("")), "200");
}
