//! Daemons of the bus with one name: the one that came later is in no view, and knows of nobody.
//!
//! While the two do not hear each other both hold addresses. When they do, the later one lets go at once and without a word: its daemon
//! ends our session. Who has the addresses then tells everybody, since nobody is told of the other one by a view.

use std::sync::Arc;

use base::Instant;

use super::holding::State;
use super::run::Service;

/// What the daemon of the bus knows of them, when it runs in this program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubled {
    /// Ours stays outside of any view, because another that was there first has its name.
    pub refused: bool,
    /// Another that was there first had the name of this machine, now or before.
    pub namesake: bool,
    /// How often another daemon was noticed to stay outside for such a reason after it had been in a view.
    pub pushed_out: u64,
}

/// Asks the daemon. It must not block.
pub type Doubles = Arc<dyn Fn() -> Doubled + Send + Sync>;

impl Service {
    /// What is known of them now.
    fn doubled(&self) -> Doubled {
        self.doubles.as_ref().map(|doubles| doubles()).unwrap_or_default()
    }

    /// Why there is no bus for this machine, if that is because of them.
    pub(super) fn refused(&self) -> Option<String> {
        let why = "the bus is away, for another daemon has the name of this machine's and was there first: give each machine a name of its own (cluster.name, bus.name)";
        self.doubled().refused.then(|| why.to_owned())
    }

    /// Looks what has become known of them.
    pub(super) fn look_for_doubles(&mut self, now: Instant) {
        let known = self.doubled();
        if known.namesake {
            self.vip.handle_namesake(now);
        }
        let before = std::mem::replace(&mut self.pushed_out, known.pushed_out);
        if before == known.pushed_out {
            return;
        }
        let up = self.holdings.sets.values().filter(|holding| matches!(holding.state, State::Up));
        let up: Vec<_> = up.flat_map(|holding| &holding.placed).map(|one| one.said()).collect();
        if up.is_empty() {
            return;
        }
        self.note(None, "a daemon of the bus that may have been believed until now stays outside, because another has its name: what is held here is announced again".into());
        for address in up {
            self.air.won(now, address);
        }
    }
}
