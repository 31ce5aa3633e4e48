//! Two machines with one name, as when a file is copied, in a network that falls apart and heals.

use std::time::{Duration, Instant};

use lab::{Place, Spawn};
use testkit::trial::Failed;

use crate::Named;
use crate::eyes::Eyes;
use crate::stand::{Stand, WARM, v4};
use crate::support::PROGRAM;

pub(crate) const TRIALS: &[Named] =
    &[("of_two_machines_with_one_name_one_lets_go_at_once_when_a_split_heals", healed)];

/// The machine that was there first, and the one whose file is a copy of its own.
const FIRST: usize = 0;
const COPY: usize = 1;

fn healed() -> Result<(), Failed> {
    let mut stand = Stand::silent(4, (1..=4).map(v4));
    let rest = [FIRST, 2, 3];
    rest.iter().for_each(|i| stand.start(*i));
    stand.wait_until_even(&rest);
    let [first, copy] = [FIRST, COPY].map(|i| stand.lab.machine(i).name().to_owned());
    let own = format!("[cluster]\nname = \"{copy}\"\n");
    let text = stand.with(COPY, &(stand.list() + &stand.more));
    assert!(text.contains(&own), "{text}");
    let text = text.replace(&own, &format!("[cluster]\nname = \"{first}\"\n"));
    stand.start_as(COPY, &text, Spawn::new(PROGRAM));
    stand.wait_until_said(COPY, &["was here first"]);
    assert!(stand.held(COPY).is_empty());

    // Apart from the first, the copy takes part, and one of the hosts learns where it has something.
    stand.lab.part(0, &[vec![Place::Machine(COPY), Place::Machine(3), Place::Host(WARM)]])?;
    for part in [[FIRST, 2], [COPY, 3]] {
        stand.wait_until_whole(&part);
    }
    let ip = stand.until("the copy has something", || stand.held(COPY).first().copied());
    let eyes = Eyes::open(&stand, ip);
    stand.until("it is believed to have it", || {
        (stand.believes(WARM, ip) == Some(stand.mac(COPY))).then_some(())
    });

    let heal = Instant::now();
    stand.lab.join(0)?;
    stand.wait_until_whole(&stand.all());
    let whole = heal.elapsed();
    println!("two of one name: each address once {whole:?} after the network was whole");
    assert!(whole < Duration::from_secs(2), "nobody let go: {whole:?}");
    assert!(stand.held(COPY).is_empty());
    eyes.wait_until_served(&stand, Instant::now());
    stand.until("it says that it is in no group", || {
        let list = stand.listed(COPY);
        let says = list["bus"].as_str()?.contains("was there first");
        (says && list["stage"] == "away" && list["held"] == serde_json::json!([])).then_some(())
    });
    let words = ["stays outside, because another has its name"];
    assert!(rest.iter().any(|i| stand.count(*i, &words) > 0), "nobody announced anything");
    stand.wait_until_whole(&rest);
    eyes.wait_until_served(&stand, Instant::now());
    eyes.close().gap("two of one name", heal, Duration::from_secs(2));
    Ok(stand.all_live()?)
}
