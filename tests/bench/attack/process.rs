//! What a process has cost so far, as Linux tells it in `/proc`.

use std::time::Duration;

/// Time and memory of a process.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// On a core, in all its threads.
    pub(crate) cpu: Duration,
    /// Resident now.
    pub(crate) memory_kib: u64,
}

/// What a process has cost; nothing if it is gone.
pub(crate) fn usage(process: u32) -> Usage {
    let read = |file| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    // proc_pid_stat(5): behind the name, which ends with the last bracket, the 12th and 13th are times in hundredths.
    let stat = read("stat");
    let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let hundredths: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    let status = read("status");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    Usage { cpu: Duration::from_millis(hundredths * 10), memory_kib: memory.unwrap_or_default() }
}
