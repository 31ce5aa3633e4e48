//! Starting the threads.

use crate::config::Config;
use crate::error::StartError;
use crate::handle::{Handle, Setup};

/// Measuring, announcing, hearing and answering.
#[derive(Clone, Copy, Debug)]
pub struct Service;

impl Service {
    /// Starts the threads *control* and *answerer*.
    ///
    /// # Errors
    /// The state directory or a port cannot be had; nothing is left running.
    pub fn start(config: &Config, setup: Setup) -> Result<Handle, StartError> {
        Handle::prepare(config, setup)
    }
}
