//! `docs/examples/postgresql` on three machines: whoever has the address is the primary, under quorum, with clients that write by the
//! address and, to see what each database would take, on each machine by itself.

mod client;
mod cluster;
mod writers;

use std::time::{Duration, Instant};

use lab::Cut;
use testkit::trial::Failed;

use crate::Named;

use cluster::Cluster;
pub(crate) use cluster::servers;
use writers::Writers;

pub(crate) const TRIALS: &[Named] = &[
    ("a_database_has_one_primary_through_a_death_a_return_and_a_stop", died),
    ("a_primary_that_is_cut_off_takes_nothing_any_more_before_another_is_made", parted),
    ("a_primary_that_crashes_alone_gives_its_address_away", crashed),
];

/// Detection, the lease of a machine that nobody heard of (4.4 s), two databases asked that may not answer, the promotion, and a standby
/// that has to find its new primary: on a machine that others use too.
const MOVED: Duration = Duration::from_secs(20);

fn died() -> Result<(), Failed> {
    let mut cluster = Cluster::boot();
    let first = cluster.primary();
    let writers = Writers::start(&cluster);
    writers.wait_until_busy(&cluster, first);

    // Everything of the machine dies at once: the database, the service and its guardian.
    let began = Instant::now();
    cluster.stand.kill_all(first);
    writers.wait_until_taken(&cluster, began);
    let (second, took) = (cluster.primary(), began.elapsed());
    println!("database: m{} was killed, m{} took a write after {took:?}", first + 1, second + 1);
    assert_ne!(first, second);
    assert!(took < MOVED, "{took:?}");

    // It comes back as a standby and throws away what only it had.
    let began = Instant::now();
    cluster.start(first);
    cluster.wait_until_follows(first, writers.newest());
    println!("database: m{} follows {:?} after its start", first + 1, began.elapsed());
    assert_eq!(cluster.primary(), second, "it moved for nothing");
    writers.wait_until_busy(&cluster, second);

    // An orderly end: the database is stopped first, and the next one is made after that.
    let began = Instant::now();
    cluster.stand.stop(second);
    writers.wait_until_taken(&cluster, Instant::now());
    let third = cluster.primary();
    println!(
        "database: m{} was stopped, m{} took a write after {:?}",
        second + 1,
        third + 1,
        began.elapsed()
    );
    cluster.wait_until_follows(second, writers.newest());
    writers.wait_until_busy(&cluster, third);

    writers.finish().check(&cluster, &[first, second, third]);
    Ok(cluster.stand.all_live()?)
}

fn parted() -> Result<(), Failed> {
    let cluster = Cluster::boot();
    let first = cluster.primary();
    let writers = Writers::start(&cluster);
    writers.wait_until_busy(&cluster, first);

    let began = Instant::now();
    cluster.stand.lab.machine(first).cut(Cut::PortMute)?;
    cluster
        .stand
        .until("it lets the address go", || cluster.stand.held(first).is_empty().then_some(()));
    println!("database: m{} let go after {:?}", first + 1, began.elapsed());
    writers.wait_until_taken(&cluster, began);
    let second = cluster.primary();
    println!("database: m{} took a write after {:?}", second + 1, began.elapsed());
    assert!(began.elapsed() < MOVED, "{:?}", began.elapsed());

    let began = Instant::now();
    cluster.stand.lab.machine(first).heal()?;
    cluster.wait_until_follows(first, writers.newest());
    println!("database: m{} follows {:?} after the healing", first + 1, began.elapsed());

    writers.finish().check(&cluster, &[first, second]);
    Ok(cluster.stand.all_live()?)
}

fn crashed() -> Result<(), Failed> {
    let cluster = Cluster::boot();
    let first = cluster.primary();
    let writers = Writers::start(&cluster);
    writers.wait_until_busy(&cluster, first);

    let began = Instant::now();
    cluster.crash(first);
    writers.wait_until_taken(&cluster, began);
    let second = cluster.primary();
    println!(
        "database: m{} took a write {:?} after the crash of m{}'s",
        second + 1,
        began.elapsed(),
        first + 1
    );
    assert_ne!(first, second);
    cluster.wait_until_follows(first, writers.newest());

    writers.finish().check(&cluster, &[first, second]);
    Ok(cluster.stand.all_live()?)
}
