//! The few words of netlink that switches and cables need; tables.rs has those about what is in a place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;

use rtnetlink::packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload, Nla,
};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{
    BridgePortState, InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoVeth, LinkAttribute,
    LinkFlags, LinkInfo, LinkMessage, LinkProtoInfoBridge, State,
};
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{
    Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
};
use rustix::net::{SocketFlags, SocketType, netdevice, socket_with};

use crate::address::{Both, Plan};

/// How long the kernel may take to notice a carrier; usually well below a millisecond.
const CARRIER_PATIENCE: Duration = Duration::from_secs(5);

/// Talks to the kernel about the network namespace this process is in right now.
pub(super) fn run<T>(work: impl AsyncFnOnce(&Link) -> Result<T, String>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("netlink: {e}"))?;
    runtime.block_on(async {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|e| format!("netlink: {e}"))?;
        let connection = tokio::spawn(connection);
        let outcome = work(&Link { handle }).await;
        connection.abort();
        outcome
    })
}

/// The number of an interface of the current namespace.
pub(super) fn index_of(name: &str) -> Result<u32, String> {
    socket_with(rustix::net::AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .and_then(|socket| netdevice::name_to_index(socket, name))
        .map_err(|e| format!("interface {name}: {e}"))
}

/// An open conversation.
pub(super) struct Link {
    pub(super) handle: Handle,
}

impl Link {
    /// A bridge, up at once. It floods multicast to every port: there is no router to ask for membership.
    pub(super) async fn add_switch(&self, name: &str, mtu: u32) -> Result<(), String> {
        let message = LinkBridge::new(name).mcast_snooping(false).mtu(mtu).up().build();
        self.handle.link().add(message).execute().await.map_err(|e| format!("a bridge: {e}"))
    }

    /// A cable whose far end is `inside` in the namespace `network`.
    pub(super) async fn add_cable(
        &self,
        port: &str,
        inside: &str,
        network: BorrowedFd<'_>,
        mtu: u32,
    ) -> Result<(), String> {
        let far = LinkMessageBuilder::<LinkUnspec>::new()
            .name(inside)
            .mtu(mtu)
            .setns_by_fd(network.as_raw_fd())
            .build();
        let message = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(port)
            .mtu(mtu)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .build();
        self.handle.link().add(message).execute().await.map_err(|e| format!("cable {port}: {e}"))
    }

    pub(super) async fn plug_in(&self, port: &str, switch: &str) -> Result<(), String> {
        let (port, switch) = (index_of(port)?, index_of(switch)?);
        let message = LinkUnspec::new_with_index(port).controller(switch).up().build();
        self.set(message).await
    }

    /// Plugs a port into another switch; up or down it stays as it is.
    pub(super) async fn move_to(&self, port: u32, switch: &str) -> Result<(), String> {
        let message = LinkUnspec::new_with_index(port).controller(index_of(switch)?).build();
        self.set(message).await
    }

    pub(super) async fn up_by_name(&self, name: &str) -> Result<(), String> {
        self.set_up(index_of(name)?, true).await
    }

    pub(super) async fn set_up(&self, index: u32, up: bool) -> Result<(), String> {
        let message = LinkUnspec::new_with_index(index);
        self.set(if up { message.up() } else { message.down() }.build()).await
    }

    /// A port that does not forward drops every frame in both directions and keeps its carrier.
    ///
    /// Said in the bridge's own words. The same state set as a link attribute is undone at once, because the kernel
    /// announces such a change to the bridge, which then finds a disabled port with a carrier and enables it; and a
    /// port that is *blocking* is set free when another port changes.
    pub(super) async fn set_forwarding(&self, index: u32, forwards: bool) -> Result<(), String> {
        let state = if forwards { BridgePortState::Forwarding } else { BridgePortState::Disabled };
        self.set_port(index, InfoBridgePort::State(state)).await
    }

    /// Changes one thing about a port of the switch.
    pub(super) async fn set_port(&self, index: u32, what: InfoBridgePort) -> Result<(), String> {
        let mut value = vec![0; what.value_len()];
        what.emit_value(&mut value);
        let what = DefaultNla::new(what.kind(), value);
        let message = LinkUnspec::new_with_index(index)
            .interface_family(AddressFamily::Bridge)
            .append_extra_attribute(LinkAttribute::ProtoInfoBridge(vec![
                LinkProtoInfoBridge::Other(what),
            ]))
            .build();
        let request = self.handle.link().set(message);
        request.execute().await.map_err(|e| format!("state of port {index}: {e}"))
    }

    /// An interface that swallows loses without a word what it is to send; what it receives comes in as ever.
    pub(super) async fn set_swallowing(&self, index: u32, swallows: bool) -> Result<(), String> {
        let mut message = TcMessage::with_index(index as i32);
        message.header.parent = TcHandle::ROOT;
        let (message, flags) = if swallows {
            message.attributes.push(TcAttribute::Kind("blackhole".to_owned()));
            let flags = NLM_F_CREATE | NLM_F_REPLACE;
            (RouteNetlinkMessage::NewQueueDiscipline(message), flags)
        } else {
            (RouteNetlinkMessage::DelQueueDiscipline(message), 0)
        };
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let trouble = |e: &dyn std::fmt::Display| format!("queue of interface {index}: {e}");
        let mut handle = self.handle.clone();
        let mut answers = pin!(handle.request(request).map_err(|e| trouble(&e))?);
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                return Err(trouble(&error));
            }
        }
        Ok(())
    }

    /// Waits until an interface passes frames.
    ///
    /// A carrier is noticed by the kernel a moment after the cable is in; until then frames are lost without a word.
    pub(super) async fn wait_until_passing(&self, index: u32) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + CARRIER_PATIENCE;
        while !self.is_passing(index).await? {
            if tokio::time::Instant::now() > deadline {
                return Err(format!("interface {index} has no carrier after {CARRIER_PATIENCE:?}"));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Whether an interface is set up, with a carrier or without.
    pub(super) async fn is_up(&self, index: u32) -> Result<bool, String> {
        let mut answers = pin!(self.handle.link().get().match_index(index).execute());
        let trouble = |e| format!("state of interface {index}: {e}");
        let link = answers.next().await.transpose().map_err(trouble)?;
        Ok(link.is_some_and(|link| link.header.flags.contains(LinkFlags::Up)))
    }

    async fn is_passing(&self, index: u32) -> Result<bool, String> {
        let mut answers = pin!(self.handle.link().get().match_index(index).execute());
        let trouble = |e| format!("state of interface {index}: {e}");
        let Some(link) = answers.next().await.transpose().map_err(trouble)? else {
            return Ok(false);
        };
        let up = link.attributes.contains(&LinkAttribute::OperState(State::Up));
        Ok(up && port_state(&link).is_none_or(|state| state == BridgePortState::Forwarding))
    }

    pub(super) async fn add_address(
        &self,
        interface: &str,
        address: IpAddr,
        prefix: u8,
    ) -> Result<(), String> {
        let mut request = self.handle.address().add(index_of(interface)?, address, prefix);
        if address.is_ipv6() {
            // Usable at once: nobody else can have it.
            let flags = AddressAttribute::Flags(AddressFlags::Nodad);
            request.message_mut().attributes.push(flags);
        }
        request.execute().await.map_err(|e| format!("address {address}: {e}"))
    }

    /// Gives an interface the lab's own addresses and brings it up. Says whether IPv6 took.
    pub(super) async fn settle(&self, interface: &str, addresses: Both) -> Result<bool, String> {
        self.add_address(interface, addresses.v4.into(), Plan::PREFIX4).await?;
        self.up_by_name(interface).await?;
        Ok(self.add_address(interface, addresses.v6.into(), Plan::PREFIX6).await.is_ok())
    }

    /// The way to a network; to everything without one, so that also multicast without a named interface, and packets
    /// to strangers, have somewhere to go.
    pub(super) async fn add_route(
        &self,
        to: Option<(IpAddr, u8)>,
        gateway: IpAddr,
    ) -> Result<(), String> {
        let route = match gateway {
            IpAddr::V4(gateway) => {
                let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway);
                match to {
                    Some((IpAddr::V4(to), prefix)) => {
                        route.destination_prefix(network4(to, prefix), prefix)
                    }
                    _ => route,
                }
                .build()
            }
            IpAddr::V6(gateway) => {
                let route = RouteMessageBuilder::<Ipv6Addr>::new().gateway(gateway);
                match to {
                    Some((IpAddr::V6(to), prefix)) => {
                        route.destination_prefix(network6(to, prefix), prefix)
                    }
                    _ => route,
                }
                .build()
            }
        };
        let request = self.handle.route().add(route);
        request.execute().await.map_err(|e| format!("a route by {gateway}: {e}"))
    }

    /// Removes an interface, and with one end of a cable the other.
    pub(super) async fn remove(&self, index: u32) -> Result<(), String> {
        let request = self.handle.link().del(index);
        request.execute().await.map_err(|e| format!("removing interface {index}: {e}"))
    }

    pub(super) async fn set(&self, message: LinkMessage) -> Result<(), String> {
        self.handle.link().set(message).execute().await.map_err(|e| format!("an interface: {e}"))
    }
}

/// The network an address is in: the kernel takes no route to anything but a network.
fn network4(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & !host)
}

fn network6(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & !host)
}

/// What the bridge says of an interface, if it is one of its ports.
fn port_state(link: &LinkMessage) -> Option<BridgePortState> {
    let infos = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    })?;
    let port = infos.iter().find_map(|info| match info {
        LinkInfo::PortData(InfoPortData::BridgePort(port)) => Some(port),
        _ => None,
    })?;
    port.iter().find_map(|info| match info {
        InfoBridgePort::State(state) => Some(*state),
        _ => None,
    })
}
