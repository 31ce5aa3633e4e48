//! Reads `cases/requests.txt`: what a client may send, and what becomes of it.

/// What is known of one way to send something.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The sentence that names it.
    pub(crate) name: String,
    /// Requests that we understand, and what follows.
    pub(crate) ours: (usize, String),
    /// The same for hyper, if it differs.
    pub(crate) hyper: Option<(usize, String)>,
    /// What is sent.
    pub(crate) bytes: Vec<u8>,
}

/// All cases, in the order of the file.
pub(crate) fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("== ") {
            let ours = (0, String::new());
            cases.push(Case { name: name.into(), ours, hyper: None, bytes: Vec::new() });
            continue;
        }
        let case = cases.last_mut().expect("the file begins with a name");
        if let Some(verdict) = line.strip_prefix("ours: ") {
            case.ours = read_verdict(verdict);
        } else if let Some(verdict) = line.strip_prefix("hyper: ") {
            case.hyper = Some(read_verdict(verdict));
        } else {
            unescape(line, &mut case.bytes);
        }
    }
    cases
}

fn read_verdict(text: &str) -> (usize, String) {
    let mut words = text.split_whitespace();
    let count = words.next().and_then(|word| word.parse().ok()).expect("a number of requests");
    (count, words.next().expect("what follows the requests").into())
}

fn unescape(line: &str, out: &mut Vec<u8>) {
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend(c.to_string().as_bytes());
            continue;
        }
        out.push(match chars.next().expect("something after a backslash") {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            '0' => 0,
            '\\' => b'\\',
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).expect("two hexadecimal digits")
            }
            other => panic!("unknown escape \\{other}"),
        });
    }
}
