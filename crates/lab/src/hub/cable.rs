//! One cable: from a port of a switch to an interface of a machine or host, and how it is cut and mended.

use rtnetlink::packet_route::link::InfoBridgePort;

use super::home::Home;
use super::netlink;
use crate::address::Both;
use crate::wire::Cut;

/// How a cable is laid, and laid again.
#[derive(Clone)]
pub(super) struct Lay {
    /// The network it belongs to; `None` is the one behind a router.
    pub(super) network: Option<usize>,
    /// The switch's end in the hub's namespace.
    pub(super) port: String,
    pub(super) switch: String,
    /// The other end's name at the beginning.
    pub(super) interface: String,
    pub(super) addresses: Both,
    pub(super) mtu: u32,
}

/// A cable as it is now.
pub(super) struct Cable {
    pub(super) lay: Lay,
    /// Index of the switch's end.
    port: u32,
    /// Index of the other end, which keeps it whatever it is called.
    inside: u32,
    pulled: bool,
    mute: bool,
    /// All other cuts that are in force.
    others: Vec<Cut>,
}

impl Cable {
    /// Lays it, gives its end inside the addresses, and waits until frames pass. Says whether IPv6 took.
    pub(super) fn lay(lay: Lay, here: &Home, home: &Home) -> Result<(Self, bool), String> {
        let network = home.network().ok_or("a cable needs namespaces")?;
        netlink::run(async |link| {
            link.add_cable(&lay.port, &lay.interface, network, lay.mtu).await?;
            link.plug_in(&lay.port, &lay.switch).await
        })?;
        let port = netlink::index_of(&lay.port)?;
        let (inside, ipv6) = home.inside(here, || {
            let ipv6 = netlink::run(async |link| link.settle(&lay.interface, lay.addresses).await)?;
            Ok((netlink::index_of(&lay.interface)?, ipv6))
        })?;
        let cable = Self { lay, port, inside, pulled: false, mute: false, others: Vec::new() };
        cable.wait(here, home)?;
        Ok((cable, ipv6))
    }

    /// Removes both ends.
    pub(super) fn remove(self) -> Result<Lay, String> {
        netlink::run(async |link| link.remove(self.port).await)?;
        Ok(self.lay)
    }

    /// Waits until frames pass through both ends.
    fn wait(&self, here: &Home, home: &Home) -> Result<(), String> {
        netlink::run(async |link| link.wait_until_passing(self.port).await)?;
        home.inside(here, || netlink::run(async |link| link.wait_until_passing(self.inside).await))
    }

    pub(super) fn cut(&mut self, cut: Cut, here: &Home, home: &Home) -> Result<(), String> {
        let port = self.port;
        match cut {
            Cut::Carrier => {
                netlink::run(async |link| link.set_up(port, false).await)?;
                self.pulled = true;
            }
            Cut::PortMute => {
                // A port that is down has no state to change, and nothing left to silence.
                if !self.pulled {
                    netlink::run(async |link| link.set_forwarding(port, false).await)?;
                    self.mute = true;
                }
            }
            other => {
                self.set_other(other, true, here, home)?;
                if !self.others.contains(&other) {
                    self.others.push(other);
                }
            }
        }
        Ok(())
    }

    /// Plugs it into this switch, or back into its own. What is cut stays cut: a port forgets it with the switch.
    pub(super) fn plug(
        &mut self,
        switch: Option<&str>,
        here: &Home,
        home: &Home,
    ) -> Result<(), String> {
        let switch = switch.unwrap_or(&self.lay.switch);
        let port = self.port;
        netlink::run(async |link| link.move_to(port, switch).await)?;
        for cut in &self.others {
            self.set_other(*cut, true, here, home)?;
        }
        if self.mute {
            return netlink::run(async |link| link.set_forwarding(port, false).await);
        }
        let up = home.inside(here, || netlink::run(async |link| link.is_up(self.inside).await))?;
        if up && !self.pulled { self.wait(here, home) } else { Ok(()) }
    }

    /// Makes or mends a cut that leaves the port as it is.
    fn set_other(&self, cut: Cut, made: bool, here: &Home, home: &Home) -> Result<(), String> {
        let (port, inside) = (self.port, self.inside);
        match cut {
            Cut::Deaf => netlink::run(async |link| link.set_swallowing(port, made).await),
            Cut::Dumb => home.inside(here, || {
                netlink::run(async |link| link.set_swallowing(inside, made).await)
            }),
            Cut::Multicast => {
                let flood = InfoBridgePort::MulticastFlood(!made);
                netlink::run(async |link| link.set_port(port, flood).await)
            }
            Cut::Apart => {
                let apart = InfoBridgePort::Isolated(made);
                netlink::run(async |link| link.set_port(port, apart).await)
            }
            Cut::Carrier | Cut::PortMute => Ok(()),
        }
    }

    /// Mends all that was cut. An interface that its own machine has set down is not waited for.
    pub(super) fn heal(&mut self, here: &Home, home: &Home) -> Result<(), String> {
        let port = self.port;
        if std::mem::take(&mut self.pulled) {
            // A port that comes up forwards at once: the switch speaks no spanning tree.
            netlink::run(async |link| link.set_up(port, true).await)?;
            self.mute = false;
        }
        if std::mem::take(&mut self.mute) {
            netlink::run(async |link| link.set_forwarding(port, true).await)?;
        }
        for cut in std::mem::take(&mut self.others) {
            self.set_other(cut, false, here, home)?;
        }
        let inside = self.inside;
        if home.inside(here, || netlink::run(async |link| link.is_up(inside).await))? {
            self.wait(here, home)?;
        }
        Ok(())
    }
}
