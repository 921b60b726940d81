//! Before the store is opened: deduplication tokens of parts that a kill kept from being.
//!
//! ClickHouse adds the token of a block to the table's deduplication log and then renames the block's part into place. Killed in
//! between it knows the token and has no rows, at the next start it does not compare the two, and the repeat of the insert is answered as a
//! duplicate: acknowledged and lost. So each token of the logs is held against the parts that are there, merged ones included, and
//! where there is none the log gets the record with which ClickHouse itself forgets a token. A table that a view writes into
//! has a log of its own, so an insert that was cut off between its tables is completed by its repeat.
//!
//! A token whose part has been dropped, by a time-out of its rows, is forgotten, too. What is as old as that is not sent again.
//!
//! The format is that of `MergeTreeDeduplicationLog.cpp`: operation (1 adds, 2 drops), part and block id by tabs, a record a line.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, DirEntry, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Looks through all tables of a data directory that no engine has open. Returns how many tokens it made forgotten.
pub fn forget_lost(data_dir: &Path) -> io::Result<usize> {
    let mut forgotten = 0;
    // store/abc/abcdef01-.../deduplication_logs
    for group in entries(&data_dir.join("store"))? {
        for table in entries(&group.path())? {
            forgotten += forget_lost_of(&table.path())?;
        }
    }
    Ok(forgotten)
}

fn forget_lost_of(table: &Path) -> io::Result<usize> {
    let mut logs: Vec<(u64, PathBuf)> = entries(&table.join("deduplication_logs"))?
        .into_iter()
        .filter_map(|file| Some((log_number(file.file_name().to_str()?)?, file.path())))
        .collect();
    logs.sort_unstable();
    let Some((_, last)) = logs.last() else { return Ok(0) };
    let mut tokens: HashMap<String, String> = HashMap::new();
    for (_, path) in &logs {
        for record in fs::read_to_string(path)?.lines() {
            let mut fields = record.split('\t');
            match (fields.next(), fields.next(), fields.next()) {
                (Some("1"), Some(part), Some(block)) => tokens.insert(block.to_owned(), part.to_owned()),
                (Some("2"), Some(_), Some(block)) => tokens.remove(block),
                _ => None,
            };
        }
    }
    let mut parts: HashMap<String, Vec<(u64, u64)>> = HashMap::new();
    for entry in entries(table)? {
        if let Some((partition, blocks)) = entry.file_name().to_str().and_then(part) {
            parts.entry(partition.to_owned()).or_default().push(blocks);
        }
    }
    let is_there = |name: &str| {
        let Some((partition, (first, last))) = part(name) else { return true };
        parts.get(partition).is_some_and(|parts| parts.iter().any(|(from, to)| *from <= first && last <= *to))
    };
    let mut records = String::new();
    let mut forgotten = 0;
    for (block, part) in tokens.iter().filter(|(_, part)| !is_there(part)) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(records, "2\t{part}\t{block}");
        forgotten += 1;
    }
    append(last, &records)?;
    Ok(forgotten)
}

/// After the last whole record: what is behind that was cut off with its writer, and so was what it tells of.
fn append(log: &Path, records: &str) -> io::Result<()> {
    let text = fs::read(log)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if records.is_empty() && whole == text.len() {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).open(log)?;
    file.set_len(whole as u64)?;
    file.write_all(records.as_bytes())?;
    file.sync_all()
}

/// `deduplication_log_7.txt`
fn log_number(name: &str) -> Option<u64> {
    name.strip_prefix("deduplication_log_")?.strip_suffix(".txt")?.parse().ok()
}

/// The partition of a part and its first and last block: `20261127_4_9_2`, of a mutated part with one number more.
fn part(name: &str) -> Option<(&str, (u64, u64))> {
    let mut fields = name.split('_');
    let (partition, first, last) =
        (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let level: Option<u32> = fields.next()?.parse().ok();
    level.map(|_| (partition, (first, last)))
}

/// What is in a directory; nothing where there is none.
fn entries(directory: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_without_a_part_are_forgotten_and_no_others() {
        let directory = tempfile::tempdir().unwrap();
        let table = directory.path().join("store/abc/abcdef01");
        for part in [
            "20261127_1_1_0",
            "20261127_2_6_1",
            "20261128_9_9_0_12",
            "tmp_insert_20261127_8_8_0",
            "detached/20261127_8_8_0",
        ] {
            fs::create_dir_all(table.join(part)).unwrap();
        }
        fs::create_dir(table.join("deduplication_logs")).unwrap();
        let log = |number: u32| table.join(format!("deduplication_logs/deduplication_log_{number}.txt"));
        fs::write(log(9), "1\t20261127_1_1_0\ta\n1\t20261127_3_3_0\tb\n1\t20261126_3_3_0\tgone\n").unwrap();
        let last = "1\t20261128_9_9_0\tc\n1\t20261127_7_7_0\tknown\n2\t20261127_7_7_0\tknown\n1\t20261127_8_8_0\tlost\n";
        fs::write(log(10), format!("{last}1\t2026112")).unwrap();
        assert_eq!(forget_lost(directory.path()).unwrap(), 2);
        let text = fs::read_to_string(log(10)).unwrap();
        let mut added: Vec<&str> = text.strip_prefix(last).unwrap().lines().collect();
        added.sort_unstable();
        assert_eq!(added, ["2\t20261126_3_3_0\tgone", "2\t20261127_8_8_0\tlost"]);
        assert_eq!(forget_lost(directory.path()).unwrap(), 0);
        assert_eq!(fs::read_to_string(log(10)).unwrap(), text);
    }

    #[test]
    fn a_directory_without_a_store_has_no_tokens() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(forget_lost(directory.path()).unwrap(), 0);
        fs::create_dir_all(directory.path().join("store/abc/abcdef01")).unwrap();
        fs::write(directory.path().join("store/file"), "").unwrap();
        assert_eq!(forget_lost(directory.path()).unwrap(), 0);
    }
}
