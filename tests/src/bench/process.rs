//! What processes have cost so far, as Linux tells it in `/proc`.

use std::time::Duration;

/// Time and memory of processes.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// On a core, in all their threads.
    pub cpu: Duration,
    /// Resident now.
    pub memory_kib: u64,
}

/// What a process has cost; nothing if it is gone.
pub fn usage(process: u32) -> Usage {
    let read = |file| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    // proc_pid_stat(5): behind the name, which ends with the last bracket, the 12th and 13th are times in hundredths.
    let stat = read("stat");
    let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let hundredths: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    let status = read("status");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    Usage { cpu: Duration::from_millis(hundredths * 10), memory_kib: memory.unwrap_or_default() }
}

/// What a process, its children and theirs have cost together.
pub fn family(process: u32) -> Usage {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok()).map(family);
    children
        .fold(usage(process), |all, one| Usage { cpu: all.cpu + one.cpu, memory_kib: all.memory_kib + one.memory_kib })
}
