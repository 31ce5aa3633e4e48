//! Signals, on a thread of their own: the rest of the program hears of them through a callback or a channel.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a user or a supervisor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// SIGINT or SIGTERM: come to an end.
    End,
    /// SIGHUP: reopen files. See [`on_end`] for what it means where there are none.
    Reopen,
}

/// Calls `tell` for each signal, for as long as the program runs.
pub(crate) fn each(mut tell: impl FnMut(Ask) + Send + 'static) -> Result<()> {
    // The runtime takes two descriptors for signals when they are first asked for, and panics if there are none left.
    let room = std::os::unix::net::UnixStream::pair();
    let room = room.context(
        "no descriptors for signals; raise the limit of open files (ulimit -n, LimitNOFILE=)",
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("no runtime for signals")?;
    drop(room);
    let listen = |kind| -> Result<Signal> {
        let _inside = runtime.enter();
        signal(kind).context("signals cannot be received")
    };
    let (mut int, mut term) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut hup = listen(SignalKind::hangup())?;
    let wait = move || {
        runtime.block_on(async {
            loop {
                tell(tokio::select! {
                    _ = int.recv() => Ask::End,
                    _ = term.recv() => Ask::End,
                    _ = hup.recv() => Ask::Reopen,
                });
            }
        });
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)
        .context("no thread for signals")?;
    Ok(())
}

/// Calls `tell` when a program of the terminal is asked to end: also by SIGHUP, for its terminal was closed.
pub(crate) fn on_end(tell: impl Fn() + Send + 'static) -> Result<()> {
    each(move |_| tell())
}
