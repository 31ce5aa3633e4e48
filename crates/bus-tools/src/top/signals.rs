//! The signals that a full screen has to hear of, on a thread of their own.

use std::io;
use std::sync::mpsc::SyncSender;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::screen::Event;

/// Tells of each that comes, for as long as somebody listens.
pub(super) fn listen(to: SyncSender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let open = |kind| -> io::Result<Signal> {
        let _inside = runtime.enter();
        signal(kind)
    };
    let (mut int, mut term) = (open(SignalKind::interrupt())?, open(SignalKind::terminate())?);
    // The terminal was closed.
    let mut hup = open(SignalKind::hangup())?;
    let mut resized = open(SignalKind::window_change())?;
    let mut continued = open(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let event = tokio::select! {
                    _ = int.recv() => Event::End,
                    _ = term.recv() => Event::End,
                    _ = hup.recv() => Event::End,
                    _ = resized.recv() => Event::Resized,
                    _ = continued.recv() => Event::Continued,
                };
                if to.send(event).is_err() {
                    return;
                }
            }
        });
    });
    Ok(())
}
