//! What the kernel tells of links, addresses and neighbours.

use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use addresses::kernel::{Awaited, Event, Kernel, Reachable};

use crate::connections::{pair, works};
use crate::stage::{PATIENCE, add, cable, ip, lease, many, there, until, watch};

pub(crate) fn removed_by_another() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel);
    let all = [many(eth.index, false, 1), many(eth.index, true, 1)].concat();
    let mut watch = watch();
    for address in all {
        add(&mut kernel, &[address], lease(30));
        until(
            &mut watch,
            "the addition",
            |event| matches!(event, Event::AddressAdded(held) if held.address == address && held.is_ours()),
        );
        ip(&format!("addr del {}/{} dev {}", address.ip, address.prefix, eth.name));
        until(
            &mut watch,
            "the removal",
            |event| matches!(event, Event::AddressRemoved(held) if held.address == address && held.is_ours()),
        );
    }
}

pub(crate) fn down() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel);
    let (v4, v6) = (many(eth.index, false, 3), many(eth.index, true, 3));
    add(&mut kernel, &[v4.clone(), v6.clone()].concat(), lease(30));
    let mut watch = watch();
    watch.know(&kernel.links().unwrap());
    ip(&format!("link set {} down", eth.name));
    let index = eth.index;
    until(
        &mut watch,
        "the link's end",
        |event| matches!(event, Event::LinkDown(link) if link.index == index && !link.up),
    );
    assert_eq!(there(&mut kernel, &v4).len(), 3);
    assert!(there(&mut kernel, &v6).is_empty());
    // The kernel takes one all the same, though the link is down.
    add(&mut kernel, &v6[..1], lease(30));
    ip(&format!("link set {} up", eth.name));
    until(
        &mut watch,
        "the link's return",
        |event| matches!(event, Event::LinkUp(link) if link.index == index && link.passes()),
    );
    add(&mut kernel, &v6, lease(30));
    assert!(there(&mut kernel, &v6).iter().all(|held| !held.tentative && !held.duplicate));
    // Also the one that was added too early.
    for address in [v4[0], v6[0], v6[1]] {
        let listener = TcpListener::bind((address.ip, 0)).unwrap();
        works(&mut pair(&listener, listener.local_addr().unwrap()));
    }
}

pub(crate) fn changes() {
    let mut watch = watch();
    let mut kernel = Kernel::open().unwrap();
    watch.know(&kernel.links().unwrap());
    ip("link add near type veth peer name far");
    let born = until(
        &mut watch,
        "a new link",
        |event| matches!(event, Event::LinkDown(link) if link.name == "near"),
    );
    let Event::LinkDown(near) = born else { unreachable!() };
    assert!(near.mac.is_some() && near.mtu == 1_500 && !near.up && !near.loopback, "{near:?}");
    ip("link set near up");
    ip("link set far up");
    until(
        &mut watch,
        "the carrier",
        |event| matches!(event, Event::LinkUp(link) if link.index == near.index && link.carrier),
    );
    // Longer than the first name may be.
    ip("link property add dev near altname a-much-longer-name0");
    until(
        &mut watch,
        "another name",
        |event| matches!(event, Event::LinkChanged(link) if link.is_called("a-much-longer-name0")),
    );
    let listed = kernel.links().unwrap();
    let called = listed.iter().find(|link| link.is_called("a-much-longer-name0"));
    assert_eq!(called.map(|link| &link.name[..]), Some("near"));
    // A port of a bridge that leaves it is told as gone by the bridge, and is not.
    ip("link add switch type bridge");
    ip("link set near master switch");
    ip("link set near nomaster");
    ip("link set far down");
    let carrier = until(&mut watch, "the loss of the carrier", |event| match event {
        Event::LinkGone { index, .. } => panic!("interface {index} is not gone"),
        Event::LinkDown(link) => link.index == near.index,
        _ => false,
    });
    assert!(matches!(carrier, Event::LinkDown(link) if link.up && !link.carrier));
    ip("link set near mtu 1400");
    until(
        &mut watch,
        "the new size",
        |event| matches!(event, Event::LinkChanged(link) if link.index == near.index && link.mtu == 1_400),
    );
    ip("link set near down");
    ip("link set near name lan0");
    until(&mut watch, "the new name", |event| {
        matches!(event, Event::LinkRenamed { index, from, to }
            if *index == near.index && from == "near" && to == "lan0")
    });
    ip("link del lan0");
    until(
        &mut watch,
        "the end",
        |event| matches!(event, Event::LinkGone { index, name } if *index == near.index && name == "lan0"),
    );
}

pub(crate) fn awaited() {
    let mut kernel = Kernel::open().unwrap();
    let all = many(cable(&mut kernel).index, false, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut watch = Awaited::new(watch()).unwrap();
        let other = tokio::task::spawn_blocking(move || add(&mut kernel, &all, lease(30)));
        let next = watch.next(|watch| watch.next_event().transpose()).await;
        assert!(matches!(next.unwrap().unwrap(), Event::AddressAdded(_)));
        other.await.unwrap();
    });
}

/// Nobody reads while more is told than the kernel keeps.
pub(crate) fn lost() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel).index;
    let mut watch = watch();
    let all = many(eth, false, 1_000);
    for _ in 0..20 {
        add(&mut kernel, &all, lease(30));
    }
    until(&mut watch, "the loss", |event| *event == Event::Lost);
    while watch.next_event().unwrap().is_some() {}
    kernel.delete(&all[..1]).unwrap()[0].clone().unwrap();
    until(
        &mut watch,
        "what comes later",
        |event| matches!(event, Event::AddressRemoved(held) if held.address == all[0]),
    );
}

pub(crate) fn listed() {
    let mut kernel = Kernel::open().unwrap();
    let links = kernel.links().unwrap();
    let lo = links.iter().find(|link| link.loopback).unwrap();
    assert_eq!(lo.name, "lo");
    let eth = cable(&mut kernel);
    assert!(eth.mac.is_some_and(|mac| mac != [0; 6]) && eth.mtu == 1_500);
    let own = eth.addresses.iter().find(|held| held.address.ip.is_ipv4()).unwrap();
    assert!(own.address.prefix < 32 && own.address.interface == eth.index && own.valid.is_none());
}

pub(crate) fn neighbours() {
    let mut kernel = Kernel::open().unwrap();
    let eth = cable(&mut kernel);
    let own = eth.addresses.iter().find(|held| held.address.ip.is_ipv4()).unwrap().address.ip;
    let known = |kernel: &mut Kernel, ip: &str| {
        kernel.neighbours().unwrap().into_iter().find(|one| one.ip.to_string() == ip)
    };
    ip(&format!("neigh add 198.18.9.1 lladdr 02:00:00:00:00:09 dev {}", eth.name));
    let new = known(&mut kernel, "198.18.9.1").unwrap();
    assert_eq!((new.mac, new.interface), ([2, 0, 0, 0, 0, 9], eth.index));
    assert_eq!(new.state, Reachable::Permanent);
    // The caller of the lab is the gateway and answers; asking somebody who is nobody leads to no entry.
    let socket = UdpSocket::bind((own, 0)).unwrap();
    let gateway = gateway();
    socket.send_to(b"?", (gateway.as_str(), 9)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while known(&mut kernel, &gateway).is_none() {
        assert!(Instant::now() < deadline, "the gateway did not answer within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(3));
    }
    ip(&format!("neigh del 198.18.9.1 dev {}", eth.name));
    assert_eq!(known(&mut kernel, "198.18.9.1"), None);
}

fn gateway() -> String {
    let output = std::process::Command::new("ip").args(["route", "show", "default"]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.split(' ').nth(2).unwrap().to_owned()
}
