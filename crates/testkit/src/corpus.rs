//! The corpora of the fuzz targets, for the plain tests that replay them.

use std::path::PathBuf;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus")).join(target)
}

/// All inputs of a target, always in the same order.
pub fn inputs(target: &str) -> Vec<Vec<u8>> {
    let folder = folder(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut all: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    all.sort();
    all
}

/// With `BACKHAND_WRITE_CORPUS` set it writes these inputs into the corpus, each under its name; without, each must be there as it
/// is made now, so that no corpus is left behind by a format that goes on.
pub fn has(target: &str, recorded: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let folder = folder(target);
    let write = std::env::var_os("BACKHAND_WRITE_CORPUS").is_some();
    for (name, input) in recorded {
        let path = folder.join(name);
        if write {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &input).unwrap();
        }
        let there = std::fs::read(&path).is_ok_and(|there| there == input);
        assert!(there, "{} is not as it is made now: set BACKHAND_WRITE_CORPUS", path.display());
    }
}

/// A number from the environment, for a run with more inputs or other dice than usual.
pub fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |number| number.parse().unwrap())
}
