//! Cuts that leave something whole: one direction, some packets, some of the others. And folders of one's own.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

use lab::{Cut, Lab, LabConfig, Place, Spawn};

use crate::support::{SHORT, shell};

/// A socket of each machine that hears a multicast group.
struct Ears(Vec<(UdpSocket, SocketAddr)>);

impl Ears {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 44, 46);

    fn new(lab: &Lab) -> Self {
        let ears = (0..3).map(|i| {
            let any = SocketAddr::from(([0, 0, 0, 0], 4446));
            let socket = lab.udp(Place::Machine(i), any).unwrap();
            socket.join_multicast_v4(&Self::GROUP, &Ipv4Addr::UNSPECIFIED).unwrap();
            socket.set_read_timeout(Some(SHORT)).unwrap();
            (socket, SocketAddr::new(lab.machine(i).address(), 4446))
        });
        let ears = Self(ears.collect());
        // So that everybody knows everybody's place, and no question about it has to be heard later.
        for (from, to) in (0..3).flat_map(|from| (0..3).map(move |to| (from, to))) {
            assert!(ears.reaches(from, to), "{from} reaches {to}");
        }
        ears
    }

    fn send(&self, from: usize, to: SocketAddr, receiver: usize) -> bool {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes();
        self.0[from].0.send_to(&number, to).unwrap();
        let mut buffer = [0; 8];
        loop {
            match self.0[receiver].0.recv_from(&mut buffer) {
                Ok((length, _)) if buffer[..length] == number => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        self.send(from, self.0[to].1, to)
    }

    fn reaches_all(&self, from: usize, to: usize) -> bool {
        self.send(from, (Self::GROUP, 4446).into(), to)
    }
}

pub(crate) fn deaf(lab: &Lab) {
    let ears = Ears::new(lab);
    lab.machine(0).cut(Cut::Deaf).unwrap();
    assert!(ears.reaches(0, 1) && ears.reaches_all(0, 2));
    assert!(!ears.reaches(1, 0) && !ears.reaches_all(2, 0));
    lab.machine(0).heal().unwrap();
    assert!(ears.reaches(1, 0) && ears.reaches_all(2, 0));
}

pub(crate) fn dumb(lab: &Lab) {
    let ears = Ears::new(lab);
    lab.machine(0).cut(Cut::Dumb).unwrap();
    assert!(ears.reaches(1, 0) && ears.reaches_all(2, 0));
    assert!(!ears.reaches(0, 1) && !ears.reaches_all(0, 2));
    lab.machine(0).heal().unwrap();
    assert!(ears.reaches(0, 1) && ears.reaches_all(0, 2));
}

pub(crate) fn without_multicast(lab: &Lab) {
    let ears = Ears::new(lab);
    lab.machine(0).cut(Cut::Multicast).unwrap();
    assert!(ears.reaches(1, 0) && ears.reaches_all(0, 1) && ears.reaches_all(1, 2));
    assert!(!ears.reaches_all(1, 0));
    lab.machine(0).heal().unwrap();
    assert!(ears.reaches_all(1, 0));
}

pub(crate) fn apart(lab: &Lab) {
    let ears = Ears::new(lab);
    lab.machine(0).cut(Cut::Apart).unwrap();
    lab.machine(1).cut(Cut::Apart).unwrap();
    assert!(!ears.reaches(0, 1) && !ears.reaches_all(1, 0));
    assert!(ears.reaches(0, 2) && ears.reaches_all(2, 0) && ears.reaches(2, 1));
    lab.machine(0).heal().unwrap();
    assert!(ears.reaches(0, 1) && ears.reaches_all(1, 0));
    lab.machine(1).heal().unwrap();
}

/// `folder` is made private, its subfolder `both` is shared.
pub(crate) fn own_folders(config: LabConfig, folder: &Path) {
    let both = folder.join("both");
    std::fs::create_dir(&both).unwrap();
    std::fs::write(folder.join("outside"), "").unwrap();
    std::fs::write(both.join("word"), "shared").unwrap();
    let lab = Lab::start(LabConfig {
        private: vec![folder.to_owned()],
        shared: vec![both.clone()],
        ..config
    })
    .unwrap();
    let (folder, both) = (folder.display(), both.display());
    assert_eq!(shell(&lab.machine(0), &format!("ls {folder}; touch {folder}/mine")), "both");
    assert_eq!(shell(&lab.machine(1), &format!("ls {folder}; cat {both}/word")), "both\nshared");
    assert_eq!(shell(&lab.machine(0), &format!("ls {folder}")), "both\nmine");
    let outside = std::fs::read_dir(folder.to_string()).unwrap().count();
    assert_eq!(outside, 2);
    // From outside it is found through whoever runs there.
    let sleeper = Spawn::new("/bin/sleep").args(["60"]).cwd("/");
    let [first, second] = [0, 1].map(|i| lab.machine(i).spawn(sleeper.clone()).unwrap());
    let mine = format!("{folder}/mine");
    assert!(first.seen(&mine).exists() && !second.seen(&mine).exists());
}
