//! Awaiting what is read without waiting.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Something that gives its events without waiting, to be awaited: a [`super::Watch`], or a [`crate::guardian::Guardian`].
pub struct Awaited<T> {
    inner: T,
    ready: AsyncFd<OwnedFd>,
}

impl<T: AsFd> Awaited<T> {
    /// Needs a runtime of tokio around it.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub fn new(inner: T) -> io::Result<Self> {
        // One of its own, of the same socket, so that nothing the inner does can take it away.
        let own = inner.as_fd().try_clone_to_owned()?;
        // SAFETY: an `OwnedFd` stays open and the same until it is dropped, which happens with the registration.
        #[allow(unsafe_code)]
        let ready = unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }?;
        Ok(Self { inner, ready })
    }

    /// What `take` finds, as soon as it finds something. Nothing is lost when this is dropped while it waits.
    ///
    /// # Errors
    /// When the runtime ends.
    pub async fn next<R>(&mut self, mut take: impl FnMut(&mut T) -> Option<R>) -> io::Result<R> {
        loop {
            if let Some(found) = take(&mut self.inner) {
                return Ok(found);
            }
            let mut ready = self.ready.readable().await?;
            match take(&mut self.inner) {
                Some(found) => return Ok(found),
                None => ready.clear_ready(),
            }
        }
    }

    /// The thing itself.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// The thing itself, awaited no more.
    pub fn into_inner(self) -> T {
        self.inner
    }
}
