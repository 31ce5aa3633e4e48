//! That cores are cores and floors are floors.

use anyhow::{Result, bail};

use crate::map::{self, Place};
use crate::{bans, floors, proof};

/// How it is shown that the cores need no operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Built for a target that has none; the other proof when that target cannot be had.
    BareTarget,
    /// Linked into a program without the standard library, on this machine.
    Linked,
}

/// Runs all checks; the answer says which proof was given.
pub(crate) fn run(wanted: Proof) -> Result<String> {
    let map = map::read()?;
    let mut wrong = floors::check(&map)?;
    wrong.extend(bans::check(&map));
    for sentence in &wrong {
        println!("purity: {sentence}");
    }
    if !wrong.is_empty() {
        bail!("{} rules are broken, the first: {}", wrong.len(), wrong[0]);
    }
    println!("purity: floors and bans are in order");
    let cores: Vec<&Place> = map.iter().filter(|place| place.core).collect();
    let names: Vec<&str> = cores.iter().map(|place| place.name.as_str()).collect();
    let how = match wanted {
        Proof::BareTarget => proof::bare_target(&names)?,
        Proof::Linked => proof::linked(&names)?,
    };
    Ok(format!("{} crates on their floors; {how}: {}", map.len(), names.join(" ")))
}
