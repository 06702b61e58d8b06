//! How much memory this process may use: the limit of its control group, or what the machine has.

use std::fs;
use std::path::{Path, PathBuf};

/// Assumed where neither a limit nor the size of the machine can be read.
const FALLBACK: usize = 1024 * 1024 * 1024;
/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Returns the memory limit of this process, in bytes.
pub fn detect() -> usize {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_total(&text));
    smallest(&limit_files(&groups), total)
}

fn smallest(files: &[PathBuf], total: Option<usize>) -> usize {
    let limits = files.iter().filter_map(|file| fs::read_to_string(file).ok()).filter_map(|text| limit(&text));
    limits.chain(total).min().unwrap_or(FALLBACK)
}

/// The files that may hold a limit: those of the process's groups and of all groups above them, as each of them counts.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, name) = match controllers {
            "" => (PathBuf::from(CGROUPS), "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                (Path::new(CGROUPS).join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        // Inside a container the path may be that of the host, where only the root of the mount is this group.
        let group = Path::new(group.trim_start_matches('/'));
        files.extend(group.ancestors().map(|group| root.join(group).join(name)));
    }
    files
}

/// The limit that a file states; `None` if it states none. Version 1 writes a number near 2^63 for "no limit".
fn limit(text: &str) -> Option<usize> {
    text.trim().parse::<u64>().ok().filter(|limit| *limit < 1 << 60).and_then(|limit| usize::try_from(limit).ok())
}

/// The memory of the machine, as `/proc/meminfo` states it.
fn memory_total(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let files = [
            write("none-v2", "max\n"),
            write("none-v1", "9223372036854771712\n"),
            write("half", "536870912\n"),
            write("one", "1073741824\n"),
            dir.path().join("absent"),
        ];
        assert_eq!(smallest(&files, Some(1 << 34)), 512 << 20);
        assert_eq!(smallest(&[], Some(1 << 20)), 1 << 20);
        assert_eq!(smallest(&[], None), FALLBACK);
    }

    #[test]
    fn groups_of_both_versions_are_read_with_those_above() {
        let files = limit_files("4:memory:/a/b\n3:cpuset:/c\n0::/d\n");
        let expected = [
            "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/d/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
    }

    #[test]
    fn the_machine_is_measured() {
        assert_eq!(memory_total("MemFree: 1 kB\nMemTotal:       24684084 kB\n"), Some(24_684_084 * 1024));
        assert_eq!(memory_total("MemTotal: lots\n"), None);
    }
}
