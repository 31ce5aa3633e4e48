//! How many may have one address, and for how long.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use base::Instant;
use vip::Settings;

use crate::vip::world::World;

/// Two machines that have one address.
#[derive(Clone, Copy, Debug)]
struct Double {
    /// They are connected and in one view since then.
    since: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Owners {
    doubles: BTreeMap<(IpAddr, usize, usize), Double>,
}

impl Owners {
    /// Looks at all pairs; the longest time for which two of one view had one address.
    pub(super) fn look(&mut self, world: &World, all: &[IpAddr]) -> Result<Duration, String> {
        let mut longest = Duration::ZERO;
        for address in all {
            let machines = 0..world.machines.len();
            let has = |i: usize| world.machines[i].kernel.holds(*address);
            let holders: Vec<usize> = machines.filter(|i| has(*i)).collect();
            if holders.len() < 2 {
                self.forget(*address, &holders);
                continue;
            }
            self.forget(*address, &holders);
            for (at, &a) in holders.iter().enumerate() {
                for &b in &holders[at + 1..] {
                    longest = longest.max(self.pair(world, *address, a, b)?);
                }
            }
        }
        Ok(longest)
    }

    fn forget(&mut self, address: IpAddr, holders: &[usize]) {
        self.doubles
            .retain(|(of, a, b), _| *of != address || holders.contains(a) && holders.contains(b));
    }

    fn pair(
        &mut self,
        world: &World,
        address: IpAddr,
        a: usize,
        b: usize,
    ) -> Result<Duration, String> {
        let new = Double { since: None };
        let double = self.doubles.entry((address, a, b)).or_insert(new);
        let by_right = |i: usize| world.machines[i].kernel.holds_by_right(world.now, address);
        if world.plan.quorum && by_right(a) && by_right(b) {
            return Err(format!("m{} and m{} have {address} under quorum", a + 1, b + 1));
        }
        if !together(world, a, b) {
            double.since = None;
            return Ok(Duration::ZERO);
        }
        let time = world.now.since(*double.since.get_or_insert(world.now));
        if time > Settings::default().lease() {
            return Err(format!(
                "m{} and m{} have {address} in one view for {time:?}",
                a + 1,
                b + 1
            ));
        }
        Ok(time)
    }
}

/// Whether two machines hear each other, run, and speak of one view.
fn together(world: &World, a: usize, b: usize) -> bool {
    let view = |i: usize| {
        let machine = &world.machines[i];
        let program = machine.program.as_ref().filter(|_| machine.frozen.is_none())?;
        program.vip.status(world.now).view
    };
    world.hears(a, b) && world.hears(b, a) && view(a).is_some() && view(a) == view(b)
}
