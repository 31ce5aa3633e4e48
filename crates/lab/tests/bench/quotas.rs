//! Control groups in force.

use std::time::{Duration, Instant};

use lab::{Lab, Process};

use crate::support::eventually;

/// Processor time a machine's burner gets per second of real time, over a fifth of a second.
fn rate(lab: &Lab, machine: usize) -> f64 {
    let read = || lab.machine(machine).cpu_used().unwrap();
    let (start, before) = (Instant::now(), read());
    std::thread::sleep(Duration::from_millis(200));
    (read() - before).as_secs_f64() / start.elapsed().as_secs_f64()
}

pub(crate) fn slows_a_burner(lab: &Lab) {
    let machine = lab.machine(0);
    machine.throttle(Duration::from_millis(1), Duration::from_millis(5)).unwrap();
    let burner: Process = machine.burn(1).unwrap();
    eventually("it burns", || rate(lab, 0) > 0.01);
    let slow = rate(lab, 0);
    assert!(slow < 0.35, "a fifth of a processor was allowed, {slow:.2} was used");
    machine.unthrottle().unwrap();
    eventually("it burns freely", || rate(lab, 0) > 2.0 * slow.max(0.1));
    burner.kill9().unwrap();
    assert!(!burner.wait().success());
}

pub(crate) fn limits_memory(lab: &Lab) {
    let machine = lab.machine(1);
    machine.limit_memory(64 << 20).unwrap();
    let read = |dir: &std::path::Path| {
        ["memory.limit_in_bytes", "memory.max"]
            .iter()
            .find_map(|file| std::fs::read_to_string(dir.join(file)).ok())
    };
    let limits: Vec<_> = machine.cgroup_dirs().iter().filter_map(|dir| read(dir)).collect();
    assert!(limits.iter().any(|limit| limit.trim() == "67108864"), "{limits:?}");
}

/// Where control groups cannot be had, the refusal says why.
pub(crate) fn refused_with_the_reason(lab: &Lab) {
    let why = lab.cgroup_trouble().unwrap();
    let ms = Duration::from_millis;
    let error = lab.machine(0).throttle(ms(1), ms(5)).unwrap_err().to_string();
    assert!(error.contains(&why) && why.contains("without"), "{error}");
}
