//! `spsend` and `sprecv` over real sockets.
#![allow(clippy::unwrap_used)]

use std::net::UdpSocket;
use std::time::Duration;

use bus_tools::datagram::receive::{self, Receiver};
use bus_tools::datagram::{Head, send};

fn packet(end: bool, number: u32, size: usize) -> Vec<u8> {
    let mut packet = vec![0; size];
    packet[..12].copy_from_slice(&Head { end, number, size: size as u32 }.encode());
    packet
}

/// Gives the receiver these packets, each from the socket named, and returns what it says.
fn told(detailed: bool, packets: &[(usize, Vec<u8>)]) -> String {
    let arguments = receive::Arguments { port: 0, detailed, ..receive::Arguments::default() };
    let mut receiver = Receiver::open(&arguments).unwrap();
    let port = receiver.local_addr().unwrap().port();
    let senders = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut output = Vec::new();
    for (from, packet) in packets {
        senders[*from].send_to(packet, ("127.0.0.1", port)).unwrap();
        receiver.receive(&mut output).unwrap();
    }
    String::from_utf8(output).unwrap()
}

#[test]
fn a_run_is_sent_and_reported_as_with_the_original() {
    let arguments = receive::Arguments { port: 0, ..receive::Arguments::default() };
    let mut receiver = Receiver::open(&arguments).unwrap();
    let port = receiver.local_addr().unwrap().port();
    let mut greeting = Vec::new();
    receiver.greet(&mut greeting).unwrap();
    assert_eq!(String::from_utf8(greeting).unwrap(), format!("Ready to receive on port {port}\n"));
    let receiving = std::thread::spawn(move || {
        let mut output = Vec::new();
        while !receiver.receive(&mut output).unwrap() {}
        String::from_utf8(output).unwrap()
    });
    let arguments = send::Arguments {
        port,
        burst: 200,
        packets: 2_000,
        bytes: 512,
        delay: Duration::from_millis(5),
        ..send::Arguments::default()
    };
    let mut output = Vec::new();
    assert_eq!(send::run(&arguments, &mut output).unwrap(), 0);
    let text = String::from_utf8(output).unwrap();
    let (before, time) = text.split_once("total time is (0,").unwrap();
    assert_eq!(
        before,
        format!(
            "Checking (127.0.0.1, {port}). Each burst has 200 packets, 512 bytes each with 5 msec delay in between, \
             for a total of 2000 packets\n\
             sent 1000 packets of 512 bytes\nsent 2000 packets of 512 bytes\n"
        )
    );
    let (micros, rest) = time.split_once(')').unwrap();
    assert!(micros.parse::<u32>().unwrap() >= 50_000, "ten pauses of 5 ms: {micros}");
    assert_eq!(rest, ", with 0 problems \n");
    let report = receiving.join().unwrap();
    assert_eq!(
        report,
        "-------\nReport: total packets 2000, total missed 0, total corrupted 0\n-------\n"
    );
}

#[test]
fn gaps_are_counted_and_late_packets_fill_them() {
    let run: Vec<_> =
        [1, 2, 5, 4, 9].map(|number| (0, packet(false, number, 20))).into_iter().collect();
    let text = told(true, &[run, vec![(0, packet(true, 12, 20))]].concat());
    assert_eq!(
        text,
        " --> count is 5, i is 3, missed 2 total missed 2, corrupt 0\n \
         --> count is 9, i is 6, missed 3 total missed 4, corrupt 0\n\
         -------\nReport: total packets 12, total missed 7, total corrupted 0\n-------\n"
    );
}

#[test]
fn a_run_whose_end_is_lost_is_reported_when_the_next_begins() {
    let text = told(
        false,
        &[
            (0, packet(false, 1, 20)),
            (0, packet(false, 4, 20)),
            (1, packet(false, 1, 20)),
            (1, packet(true, 1, 20)),
        ],
    );
    assert_eq!(
        text,
        "-------\nReport: total packets at least 4, total missed 2, total corrupted 0\n\
         Initiating count from 4 to 1\n-------\n\
         -------\nReport: total packets 1, total missed 0, total corrupted 0\n-------\n"
    );
}

#[test]
fn packets_of_another_size_than_they_say_are_corrupted() {
    let mut short = packet(false, 1, 20);
    short.truncate(16);
    let text = told(false, &[(0, short), (0, vec![0; 5]), (0, vec![]), (0, packet(true, 0, 12))]);
    assert_eq!(
        text,
        "Corruption: expected packet size is 20, received packet size is 16\n\
         Corruption: expected packet size is 12, received packet size is 5\n\
         Corruption: expected packet size is 12, received packet size is 0\n\
         -------\nReport: total packets 0, total missed 0, total corrupted 3\n-------\n"
    );
}

#[test]
fn numbers_of_a_stranger_do_no_harm() {
    let all = u32::MAX;
    let packets = [(0, all), (0, 0), (1, all), (1, 1), (0, all)];
    let mut run: Vec<_> =
        packets.into_iter().map(|(from, number)| (from, packet(false, number, 12))).collect();
    run.push((0, packet(true, all, 12)));
    assert!(told(true, &run).ends_with("total corrupted 0\n-------\n"));
}

#[test]
fn flags_are_those_of_the_original() {
    let parse = |words: &[&str]| send::Arguments::parse(words.iter().map(Into::into));
    let line =
        parse(&["-a", "10.0.0.255", "-p", "5", "-b", "6", "-t", "1500", "-n", "7", "-s", "12"])
            .unwrap();
    assert_eq!((line.address, line.port), ("10.0.0.255".parse().unwrap(), 5));
    assert_eq!((line.burst, line.packets, line.bytes), (6, 7, 12));
    assert_eq!(line.delay, Duration::from_millis(1_500));
    for wrong in [&["-s", "11"][..], &["-s", "65508"], &["-b", "0"], &["-a", "host"], &["usage"]] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    let parse = |words: &[&str]| receive::Arguments::parse(words.iter().map(Into::into));
    let line = parse(&["-p", "5", "-a", "239.1.2.3", "-i", "127.0.0.1", "-d"]).unwrap();
    assert_eq!((line.port, line.group, line.detailed), (5, Some([239, 1, 2, 3].into()), true));
    assert_eq!(parse(&["-a", "0.0.0.0"]).unwrap().group, None);
    for wrong in [&["-a", "10.0.0.1"][..], &["-p", "0"], &["-p"], &["usage"]] {
        assert!(parse(wrong).is_err(), "{wrong:?}");
    }
    assert!(send::usage().starts_with("Usage: \n\t[-p <port number>] : to send on"));
    assert!(receive::usage("sprecv").starts_with("Usage: sprecv\n\t[-p <port number>]"));
}
