//! `backhand key`: a new random cluster key.

use std::process::ExitCode;

use anyhow::{Result, anyhow};

/// 256 random bits from the operating system, as 64 hexadecimal digits.
pub(crate) fn random() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow!("the operating system gives no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Prints one, for `backhand key > cluster.key`.
pub(crate) fn print() -> Result<ExitCode> {
    crate::output::print(&format!("{}\n", random()?))?;
    Ok(ExitCode::SUCCESS)
}
