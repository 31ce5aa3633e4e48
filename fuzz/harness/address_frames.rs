//! Any bytes as a frame that somebody on the network sends, and as a batch of neighbours that a member tells of.
//!
//! What must hold: nothing panics; what is understood names possible addresses only; a batch that is read can be written again alike;
//! every frame of ours, made with addresses from the input, is read back as what was meant.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use addresses::frames::{Event, Frame, Kind, Mac, arp, discovery, ping, read};
use vip::neighbours::{Neighbours, decode, encode};

pub fn run(data: &[u8]) {
    heard(data);
    told(data);
    built(data);
}

fn heard(data: &[u8]) {
    let Ok(event) = read(7, data) else { return };
    assert!(event.mac.is_station() && event.from.is_station());
    assert_eq!(event.sender.is_unspecified(), event.kind == Kind::Probe);
    assert_eq!(event.sender.is_ipv4(), event.target.is_ipv4());
    let (claimed, _) = event.claim();
    assert!(!claimed.is_unspecified() || event.kind == Kind::Probe);
}

fn told(data: &[u8]) {
    let mut neighbours = Neighbours::new(std::time::Duration::from_secs(60));
    let now = base::Instant::from_millis(5);
    let taken = neighbours.received(now, data);
    assert!(neighbours.len() <= taken.unwrap_or(0));
    if let Ok(batch) = decode(data) {
        let mut again = Vec::new();
        encode(&batch, &mut again);
        assert_eq!(again, data);
    }
}

fn built(data: &[u8]) {
    let Some((&input, _)) = data.split_first_chunk::<52>() else { return };
    let part = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&input[at..at + 16]).unwrap());
    let mac = |at: usize| Mac(<[u8; 6]>::try_from(&input[at..at + 6]).unwrap());
    let four = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&input[at..at + 4]).unwrap());
    let (own, host) = (mac(0), mac(6));
    let (a, b, c, d) = (four(12), four(16), part(20), part(36));
    let said = [
        (arp::gratuitous_request(own, a), a.into(), a.into()),
        (arp::gratuitous_reply(own, a), a.into(), a.into()),
        (arp::directed_reply(own, a, b, Some(host)), a.into(), b.into()),
        (arp::directed_reply(own, a, b, None), a.into(), b.into()),
        (arp::probe(own, a), Ipv4Addr::UNSPECIFIED.into(), a.into()),
        (discovery::advertisement(own, c, false), c.into(), c.into()),
        (discovery::directed_advertisement(own, c, true, d, host), c.into(), c.into()),
        (discovery::probe(own, c), Ipv6Addr::UNSPECIFIED.into(), c.into()),
    ];
    for (frame, sender, target) in said {
        understood(frame, own, sender, target);
    }
    // A ping is no word of ours about an address: others answer it, we do not listen to it.
    for frame in [ping(own, a.into(), b.into(), host), ping(own, c.into(), d.into(), host)] {
        assert!(frame.is_some_and(|frame| read(7, frame.as_bytes()).is_err()));
    }
}

fn understood(frame: Frame, own: Mac, sender: IpAddr, target: IpAddr) {
    let no_host =
        |ip: IpAddr| ip.is_multicast() || ip.is_loopback() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    match read(7, frame.as_bytes()) {
        Ok(Event { interface, from, mac, sender: heard, target: about, .. }) => {
            assert_eq!((interface, from, mac), (7, own, own));
            assert_eq!((heard, about), (sender, target));
        }
        // The input named what no host can have.
        Err(_) => assert!(
            !own.is_station()
                || no_host(sender)
                || no_host(target)
                || sender.is_unspecified()
                || target.is_unspecified()
        ),
    }
}
