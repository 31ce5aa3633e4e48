//! A client of PostgreSQL: the first 2 % of its protocol, version 3, without passwords.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use lab::{Lab, Place};

/// A client that hears nothing for so long gives up.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longer than any message here; a longer one is not PostgreSQL's.
const LONGEST: usize = 1 << 20;

/// A session of the superuser.
pub(crate) struct Session(TcpStream);

impl Session {
    pub(crate) fn open(lab: &Lab, from: Place, to: SocketAddr) -> io::Result<Self> {
        let stream = lab.connect_from(from, to, PATIENCE).map_err(io::Error::other)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut session = Self(stream);
        let words = b"user\0postgres\0database\0postgres\0\0";
        let mut hello = u32::try_from(words.len() + 8).unwrap().to_be_bytes().to_vec();
        hello.extend(196_608_u32.to_be_bytes());
        hello.extend(words);
        session.0.write_all(&hello)?;
        session.rows()?;
        Ok(session)
    }

    /// Asks, and waits for all of the answer: its rows, with `|` between columns as `psql -A` has it.
    pub(crate) fn ask(&mut self, question: &str) -> io::Result<Vec<String>> {
        let mut message = vec![b'Q'];
        message.extend(u32::try_from(question.len() + 5).unwrap().to_be_bytes());
        message.extend(question.as_bytes());
        message.push(0);
        self.0.write_all(&message)?;
        self.rows()
    }

    /// Reads up to the word that the server waits for the next question.
    fn rows(&mut self) -> io::Result<Vec<String>> {
        let (mut rows, mut error) = (Vec::new(), None);
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head)?;
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            if !(4..LONGEST).contains(&length) {
                return Err(ErrorKind::InvalidData.into());
            }
            let mut body = vec![0; length - 4];
            self.0.read_exact(&mut body)?;
            match head[0] {
                b'D' => rows.push(columns(&body).ok_or(ErrorKind::InvalidData)?),
                b'E' => error = Some(String::from_utf8_lossy(&body).replace('\0', " ")),
                b'Z' => return error.map_or(Ok(rows), |error| Err(io::Error::other(error))),
                _ => {}
            }
            // Without the word that it waits, what ends the session ends it.
            if let Some(error) = error.as_ref().filter(|error| error.contains("FATAL")) {
                return Err(io::Error::other(error.clone()));
            }
        }
    }
}

fn columns(body: &[u8]) -> Option<String> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut all = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        // A value that is none has the length -1.
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (value, after) = after.split_at_checked(length)?;
        all.push(String::from_utf8_lossy(value).into_owned());
        rest = after;
    }
    Some(all.join("|"))
}
