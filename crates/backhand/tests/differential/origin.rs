//! The recording origin: answers every request it understands, and keeps every byte of every connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::reading::{STANDARD, Seen};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n";

/// What one connection brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// Every byte.
    pub(crate) raw: Vec<u8>,
    /// The requests in it, read as the standard says.
    pub(crate) requests: Vec<Seen>,
}

type Connections = Arc<Mutex<Vec<Arc<Mutex<Recorded>>>>>;

/// The most that open connections are waited for, once their other ends are gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running origin. It ends with the test program.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    connections: Connections,
    open: Arc<(Mutex<usize>, Condvar)>,
}

impl Origin {
    pub(crate) fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let connections = Connections::default();
        let kept = connections.clone();
        let open = Arc::<(Mutex<usize>, Condvar)>::default();
        let counted = open.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let record = Arc::<Mutex<Recorded>>::default();
                lock(&kept).push(record.clone());
                *lock(&counted.0) += 1;
                let counted = counted.clone();
                std::thread::spawn(move || {
                    serve(stream, &record);
                    *lock(&counted.0) -= 1;
                    counted.1.notify_all();
                });
            }
        });
        Ok(Self { address, connections, open })
    }

    /// Waits until every connection has ended.
    pub(crate) fn wait_for_the_end(&self) {
        let open = lock(&self.open.0);
        let _ = self.open.1.wait_timeout_while(open, PATIENCE, |open| *open > 0);
    }

    /// What has arrived up to now.
    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        lock(&self.connections).iter().map(|record| lock(record).clone()).collect()
    }
}

fn serve(mut stream: TcpStream, record: &Mutex<Recorded>) {
    let (mut unread, mut piece) = (Vec::new(), [0; 16 * 1024]);
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        unread.extend_from_slice(&piece[..n]);
        let mut rest = &unread[..];
        let mut answers = 0;
        {
            let mut record = lock(record);
            record.raw.extend_from_slice(&piece[..n]);
            while let Some(seen) = STANDARD.take(&mut rest) {
                record.requests.push(seen);
                answers += 1;
            }
        }
        let used = unread.len() - rest.len();
        unread.drain(..used);
        for _ in 0..answers {
            if stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
