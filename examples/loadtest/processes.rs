//! The processor time of processes, as the kernel reports it in `/proc`.

use std::collections::HashSet;
use std::fs;

/// The unit of processor time in `/proc` on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// The parts of `/proc/PID/stat` that the tool reads. Times are in ticks.
struct Stat {
    parent: u32,
    /// The time that the process itself has used.
    own: u64,
    /// The time that its children had used which have ended, with their own children.
    ended_children: u64,
}

/// Returns the processor time that this tool has used, in seconds.
pub fn own_cpu_seconds() -> f64 {
    read_stat("self").map(|stat| stat.own as f64 / TICKS_PER_SECOND).unwrap_or_default()
}

/// Returns the processor time that a process has used, in seconds, or `None` if there is no such process.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    read_stat(&pid.to_string()).map(|stat| stat.own as f64 / TICKS_PER_SECOND)
}

/// Returns the processor time of a process and of all processes that it started, directly or not, in seconds.
///
/// A process that has ended is in the time of the one that started it, so the sum does not become smaller.
pub fn tree_cpu_seconds(root: u32) -> Option<f64> {
    let mut ticks = read_stat(&root.to_string()).map(|stat| stat.own + stat.ended_children)?;
    let entries = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut others: Vec<(u32, Stat)> =
        entries.filter_map(|pid: u32| Some((pid, read_stat(&pid.to_string())?))).collect();
    let mut tree = HashSet::from([root]);
    loop {
        let (found, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|(_, stat)| tree.contains(&stat.parent));
        if found.is_empty() {
            return Some(ticks as f64 / TICKS_PER_SECOND);
        }
        for (pid, stat) in found {
            tree.insert(pid);
            ticks += stat.own + stat.ended_children;
        }
        others = rest;
    }
}

fn read_stat(process: &str) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may contain any characters, so the fields are counted after it.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: ticks(11)? + ticks(12)?,
        ended_children: ticks(13)? + ticks(14)?,
    })
}
