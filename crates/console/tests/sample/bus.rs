//! A bus that does not exist: five daemons of which one is cut off one way.

use console::view::{BusCounters, BusDaemon, BusQueues, BusSession, BusView, Counted, Tone};

fn daemon(place: usize, name: &str, round_trip_ms: f64) -> BusDaemon {
    BusDaemon {
        name: name.into(),
        boot: format!("{:x}{place:024x}", 0x1c41_7e02_u64 + place as u64 * 0x1111_3337),
        this: place == 0,
        place: Some(place),
        condition: "member".into(),
        tone: Tone::Good,
        heard: true,
        hears_this: true,
        hears_multicast: place != 2,
        silence_ms: (place > 0).then_some(4.2 * place as f64),
        round_trip_ms: (place > 0).then_some(round_trip_ms),
        longest_silence_ms: (place > 0).then_some(27.4),
        ..BusDaemon::default()
    }
}

/// The bus as it stands at a look.
pub(crate) fn bus(looks: u64) -> BusView {
    let messages = 1_204_000 + looks * 811 + (looks % 7) * 90;
    let mut away = daemon(4, "maple", 0.31);
    away.place = None;
    away.condition = "heard, does not hear this one".into();
    away.tone = Tone::Warn;
    away.hears_this = false;
    away.breaks = 3;
    away.kept_out_seconds = Some(12.0);
    BusView {
        name: "birch".into(),
        answers: true,
        uptime_seconds: 11_520.0,
        stands: true,
        view: Some("41.7c41a0936e02be11".into()),
        leader: Some("birch".into()),
        view_age_seconds: Some(754.0),
        views: 17,
        wire_minor: 1,
        timeout_ms: 104.0,
        token_rotation_ms: Some(0.214),
        holds_token: looks.is_multiple_of(4),
        window_packets: 160,
        highest_packet: 903_112 + looks * 40,
        received_up_to: 903_110 + looks * 40,
        stable_up_to: 903_096 + looks * 40,
        held_packets: 16,
        daemons: vec![
            daemon(0, "birch", 0.0),
            daemon(1, "cedar", 0.12),
            daemon(2, "elm", 0.34),
            daemon(3, "hazel", 0.09),
            away,
        ],
        queued: BusQueues {
            groups_messages: 3,
            groups_bytes: 4_110,
            ring_messages: 12,
            ring_bytes: 17_200,
        },
        groups: 2_310,
        paused: false,
        sessions: 418,
        shaking: 1,
        slowest: vec![
            BusSession {
                name: "#mailer#birch".into(),
                client: Some("10.0.0.9".into()),
                bytes: 3 << 20,
                messages: 2_114,
                stuck_ms: 1_840,
            },
            BusSession { name: "#purged#birch".into(), ..BusSession::default() },
        ],
        priority: "nice -19".into(),
        counters: BusCounters {
            packets: Counted(vec![
                ("sent", 402_113),
                ("received", 1_604_118),
                ("repeated", 118),
                ("resent", 41),
                ("requested", 29),
            ]),
            token: Counted(vec![("visits", 903_000 + looks), ("resent", 3)]),
            datagrams: Counted(vec![
                ("sent", 2_404_113),
                ("received", 5_104_118),
                ("sent_bytes", 1_204_404_113),
                ("received_bytes", 3_405_104_118),
            ]),
            refused: Counted(vec![("forged", 0), ("replayed", 2), ("refused", 0)]),
            sessions: Counted(vec![("connections", 9_001), ("begun", 8_990), ("slow", 1)]),
            messages,
            delivered: messages * 3,
            delivered_bytes: messages * 300,
            multicasts: Counted(vec![
                ("unreliable", 0),
                ("reliable", 4_010),
                ("fifo", 0),
                ("causal", 0),
                ("agreed", messages - 100_000),
                ("safe", 91_118),
            ]),
            delivered_multicasts: Counted(vec![("agreed", messages * 2), ("safe", 91_118)]),
            groups: Counted(vec![("exchanges", 17), ("rejected", 0)]),
        },
        warnings: vec!["maple is heard but does not hear this daemon.".into()],
        ..BusView::default()
    }
}
