//! A tool that runs in a thread of the test, with its input and output in the test's hands.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod cache;

use std::io::{self, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a test waits for what must come, in seconds.
const PATIENCE: u64 = 20;

/// What a tool wrote so far.
#[derive(Clone, Default)]
pub struct Screen(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.0.lock().unwrap().extend_from_slice(bytes);
        self.0.1.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.0.lock().unwrap().clone()).unwrap()
    }

    /// Waits until the text ends with `end`, and takes it off the screen.
    #[track_caller]
    pub fn until(&self, end: &str) -> String {
        let ends = |bytes: &mut Vec<u8>| !bytes.ends_with(end.as_bytes());
        let patience = Duration::from_secs(PATIENCE);
        let (mut bytes, late) =
            self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), patience, ends).unwrap();
        assert!(!late.timed_out(), "no {end:?} in {:?}", String::from_utf8_lossy(&bytes));
        String::from_utf8(std::mem::take(&mut *bytes)).unwrap()
    }

    /// Waits until `part` stands somewhere in the text, and leaves it there.
    #[track_caller]
    pub fn containing(&self, part: &str) -> String {
        let patience = Duration::from_secs(PATIENCE);
        let lacks = |bytes: &mut Vec<u8>| !String::from_utf8_lossy(bytes).contains(part);
        let (bytes, late) =
            self.0.1.wait_timeout_while(self.0.0.lock().unwrap(), patience, lacks).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!late.timed_out(), "no {part:?} in {text:?}");
        text
    }
}

/// A tool with a user.
pub struct Running {
    pub screen: Screen,
    input: Option<UnixStream>,
    thread: JoinHandle<u8>,
}

impl Running {
    /// Starts `tool` with what it reads and writes.
    pub fn start(
        tool: impl FnOnce(BufReader<UnixStream>, &mut Screen) -> io::Result<u8> + Send + 'static,
    ) -> Self {
        let (input, there) = UnixStream::pair().unwrap();
        let screen = Screen::default();
        let mut output = screen.clone();
        let thread = thread::spawn(move || tool(BufReader::new(there), &mut output).unwrap());
        Self { screen, input: Some(input), thread }
    }

    pub fn types(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits for `end` on the screen and for the end of the tool, whose user could still type.
    pub fn ends_after(self, end: &str) -> (u8, String) {
        let text = self.screen.until(end);
        (self.thread.join().unwrap(), text)
    }

    /// Types nothing more, and waits for the end.
    pub fn ends(mut self) -> (u8, String) {
        self.input = None;
        let status = self.thread.join().unwrap();
        (status, self.screen.text())
    }
}
