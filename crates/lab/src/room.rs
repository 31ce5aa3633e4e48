//! Room in the neighbour table of the kernel.
//!
//! There is one table per family and kernel, shared by all its network namespaces, with limits that only the first
//! namespace shows: a lab of some machines with hundreds of addresses each fills it, and then the kernel drops what it
//! is to send ("neighbour table overflow").

use std::path::{Path, PathBuf};

use crate::error::LabError;

/// Where the limits of both families are; the second is missing without IPv6.
const TABLES: [&str; 2] = ["/proc/sys/net/ipv4/neigh/default", "/proc/sys/net/ipv6/neigh/default"];

/// The limits, highest first: each is raised before those below it and restored after them. Behind each, how many
/// times the wanted number it is to be: nothing is dropped below the first, and only what is old below the second.
const LIMITS: [(&str, u64); 3] = [("gc_thresh3", 4), ("gc_thresh2", 2), ("gc_thresh1", 1)];

/// Most neighbours that can be wished for.
const MAX_WANTED: u32 = 1 << 20;

/// Limits that were raised, and are restored when this is dropped.
///
/// A limit that somebody else has changed meanwhile stays as they set it. A process that is killed restores nothing.
#[derive(Debug)]
pub struct NeighbourRoom {
    /// Which file, what was in it, and what was written, in the order of raising.
    raised: Vec<(PathBuf, u64, u64)>,
}

impl NeighbourRoom {
    /// Makes room for so many neighbours of each family on the whole machine, if there is not as much already.
    ///
    /// # Errors
    /// When `neighbours` is above 1,048,576, outside of the first network namespace, where there are no limits to be
    /// seen, and without root's rights. Nothing is changed then.
    pub fn make(neighbours: u32) -> Result<Self, LabError> {
        if neighbours > MAX_WANTED {
            return Err(LabError::Config {
                what: "the number of neighbours to make room for",
                value: neighbours.to_string(),
                remedy: "at most 1048576 fit",
            });
        }
        Self::make_in(&TABLES.map(Path::new), neighbours)
    }

    fn make_in(tables: &[&Path], neighbours: u32) -> Result<Self, LabError> {
        let mut room = Self { raised: Vec::new() };
        for (i, table) in tables.iter().enumerate() {
            // Without IPv6 there is no second table; without the first there is nothing here at all.
            if i > 0 && !table.exists() {
                continue;
            }
            for (limit, times) in LIMITS {
                // On an error those already raised are restored as this is dropped.
                room.raise(table.join(limit), u64::from(neighbours) * times)?;
            }
        }
        Ok(room)
    }

    fn raise(&mut self, path: PathBuf, wanted: u64) -> Result<(), LabError> {
        let what = format!(
            "room for neighbours, which only root in the first network namespace can make: {}",
            path.display()
        );
        let text = std::fs::read_to_string(&path).map_err(LabError::io(&*what))?;
        let Ok(before) = text.trim().parse() else {
            return Err(LabError::Refused { what, why: format!("it says {text:?}") });
        };
        if before < wanted {
            std::fs::write(&path, wanted.to_string()).map_err(LabError::io(what))?;
            self.raised.push((path, before, wanted));
        }
        Ok(())
    }
}

impl Drop for NeighbourRoom {
    fn drop(&mut self) {
        for (path, before, written) in self.raised.drain(..).rev() {
            let now = std::fs::read_to_string(&path).ok();
            if now.and_then(|text| text.trim().parse().ok()) == Some(written)
                && let Err(error) = std::fs::write(&path, before.to_string())
            {
                tracing::warn!("{} stays at {written}, it was {before}: {error}", path.display());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limits: [u64; 3]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (i, limit) in limits.into_iter().enumerate() {
            let path = folder.path().join(format!("gc_thresh{}", i + 1));
            std::fs::write(path, format!("{limit}\n")).unwrap();
        }
        folder
    }

    fn read(folder: &Path) -> Vec<u64> {
        let read = |i| std::fs::read_to_string(folder.join(format!("gc_thresh{i}"))).unwrap();
        (1..=3).map(|i| read(i).trim().parse().unwrap()).collect()
    }

    #[test]
    fn limits_are_raised_where_they_are_too_low_and_restored() {
        let (four, six) = (table([128, 512, 1024]), table([100, 200, 400]));
        let missing = four.path().join("none");
        let room = NeighbourRoom::make_in(&[four.path(), six.path(), &missing], 250).unwrap();
        assert_eq!(
            (read(four.path()), read(six.path())),
            (vec![250, 512, 1024], vec![250, 500, 1000])
        );
        // Somebody else has found other limits better.
        std::fs::write(six.path().join("gc_thresh3"), "5000").unwrap();
        drop(room);
        assert_eq!(
            (read(four.path()), read(six.path())),
            (vec![128, 512, 1024], vec![100, 200, 5000])
        );
    }

    #[test]
    fn what_was_raised_before_an_error_is_restored_and_the_file_is_named() {
        let four = table([1, 2, 3]);
        std::fs::write(four.path().join("gc_thresh1"), "many").unwrap();
        let error = NeighbourRoom::make_in(&[four.path()], 10).unwrap_err().to_string();
        assert!(error.contains("gc_thresh1") && error.contains("many"), "{error}");
        assert_eq!(std::fs::read_to_string(four.path().join("gc_thresh3")).unwrap(), "3");
        let error = NeighbourRoom::make_in(&[&four.path().join("none")], 10).unwrap_err();
        assert!(error.to_string().contains("only root in the first network namespace"), "{error}");
        assert!(NeighbourRoom::make(u32::MAX).is_err());
    }
}
