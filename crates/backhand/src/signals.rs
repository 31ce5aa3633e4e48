//! Signals, on a thread of their own: the rest of the program hears of them through a callback or a channel.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a user or a supervisor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// SIGINT or SIGTERM, with [`every`] also SIGQUIT: come to an end.
    End,
    /// SIGHUP: reopen files. See [`on_end`] for what it means where there are none.
    Reopen,
    /// SIGUSR2: become the binary that is there now.
    Upgrade,
}

/// Calls `tell` for each signal, for as long as the program runs.
pub(crate) fn each(tell: impl FnMut(Ask) + Send + 'static) -> Result<()> {
    listening(&[], tell)
}

/// The same with SIGQUIT, which otherwise is the system's affair, and with SIGUSR2.
pub(crate) fn every(tell: impl FnMut(Ask) + Send + 'static) -> Result<()> {
    listening(&[Also::Quit, Also::Upgrade], tell)
}

/// The same with SIGUSR2, which ends other programs.
pub(crate) fn each_and_upgrade(tell: impl FnMut(Ask) + Send + 'static) -> Result<()> {
    listening(&[Also::Upgrade], tell)
}

/// Signals that only some programs listen to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Also {
    Quit,
    Upgrade,
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

fn listening(also: &[Also], mut tell: impl FnMut(Ask) + Send + 'static) -> Result<()> {
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
    let extra = |which, kind| also.contains(&which).then(|| listen(kind)).transpose();
    let mut quit = extra(Also::Quit, SignalKind::quit())?;
    let mut usr2 = extra(Also::Upgrade, SignalKind::user_defined2())?;
    let wait = move || {
        runtime.block_on(async {
            loop {
                tell(tokio::select! {
                    _ = int.recv() => Ask::End,
                    _ = term.recv() => Ask::End,
                    _ = next(&mut quit) => Ask::End,
                    _ = hup.recv() => Ask::Reopen,
                    _ = next(&mut usr2) => Ask::Upgrade,
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
