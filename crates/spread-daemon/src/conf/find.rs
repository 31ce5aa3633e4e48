//! Where the files of the original are looked for, and how they are read.

use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use super::{AccessList, AccessMistake, Family, Mistake, SpreadConf, TEXT_MAX};

/// The name of the file if the command line has none.
const NAME: &str = "spread.conf";
/// The name of the file of who may come.
const ACCESS_NAME: &str = "spread.access_ip";
/// Where configuration lives on this kind of system (the original's `sysconfdir`).
const SYSTEM: &str = "/etc";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// None of the places has it.
    #[error("there is no {}; write one there, or name one with -c", list(.0))]
    Nowhere(Vec<PathBuf>),
    /// It is there and cannot be read.
    #[error("cannot read {path:?}: {error}; let the user that the daemon runs as read it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It was read and has mistakes.
    #[error("{}", rendered(.path, .text, .mistakes))]
    Mistaken {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
        /// What is wrong in it.
        mistakes: Vec<Mistake>,
    },
    /// The list of who may come has mistakes.
    #[error("{}", lines(.path, .mistakes))]
    Access {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        mistakes: Vec<AccessMistake>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" nor ")
}

fn rendered(path: &Path, text: &str, mistakes: &[Mistake]) -> String {
    let file = path.display().to_string();
    mistakes.iter().map(|mistake| mistake.render(&file, text)).collect()
}

fn lines(path: &Path, mistakes: &[AccessMistake]) -> String {
    mistakes.iter().map(|mistake| format!("error: {}: {mistake}\n", path.display())).collect()
}

/// A file that was found and is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub conf: SpreadConf,
    /// The file that was named and is not there, so that another was taken: worth a warning.
    pub missing: Option<PathBuf>,
}

/// Reads `spread.conf`: the file that was named; or else, as the original did, the one of that name here; or
/// else the one in /etc.
///
/// # Errors
/// The file is in none of the places, cannot be read or has mistakes. One that is there is never passed over.
pub fn read(named: Option<&Path>) -> Result<Found, FileError> {
    read_from(named, [Path::new(".").join(NAME), Path::new(SYSTEM).join(NAME)])
}

fn read_from(named: Option<&Path>, usual: [PathBuf; 2]) -> Result<Found, FileError> {
    let (path, text) = first(named.map(Path::to_owned).into_iter().chain(usual).collect())?;
    let missing = named.filter(|named| **named != path).map(Path::to_owned);
    parsed(&path, text).map(|conf| Found { path, conf, missing })
}

/// Reads this file and no other.
///
/// # Errors
/// It is not there, cannot be read or has mistakes.
pub fn read_only(path: &Path) -> Result<SpreadConf, FileError> {
    let (path, text) = first(vec![path.to_owned()])?;
    parsed(&path, text)
}

fn parsed(path: &Path, text: String) -> Result<SpreadConf, FileError> {
    SpreadConf::parse(&text, &mut resolve).map_err(|mistakes| FileError::Mistaken {
        path: path.to_owned(),
        text,
        mistakes,
    })
}

/// Reads `spread.access_ip`, from here or else from /etc.
///
/// # Errors
/// The file is in neither place, cannot be read or has mistakes.
pub fn access_file() -> Result<(PathBuf, AccessList), FileError> {
    let places = vec![Path::new(".").join(ACCESS_NAME), Path::new(SYSTEM).join(ACCESS_NAME)];
    let (path, text) = first(places)?;
    match AccessList::parse(&text) {
        Ok(list) => Ok((path, list)),
        Err(mistakes) => Err(FileError::Access { path, mistakes }),
    }
}

/// The text of the first of the files that is there.
fn first(places: Vec<PathBuf>) -> Result<(PathBuf, String), FileError> {
    for path in &places {
        match text_of(path) {
            Ok(text) => return Ok((path.clone(), text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileError::Unreadable { path: path.clone(), error }),
        }
    }
    Err(FileError::Nowhere(places))
}

/// A file's text, of which no more is read than can be used. Comments in old encodings do no harm.
fn text_of(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(TEXT_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Asks the system's resolver for an address of `name`, of this version if one is given: the first.
///
/// # Errors
/// Why there is none.
pub fn resolve(name: &str, family: Option<Family>) -> Result<IpAddr, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let fits = |ip: &IpAddr| family.is_none_or(|family| Family::of(*ip) == family);
    let none = || match family {
        Some(family) => format!("it has no {family} address"),
        None => "it has no address".into(),
    };
    found.map(|address| address.ip()).find(fits).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_file_comes_first_and_one_that_is_missing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let [named, here, system] = ["my.conf", "spread.conf", "etc"].map(|n| dir.path().join(n));
        // A comment in Latin-1 does no harm.
        let text = b"# f\xfcr alle\nSpread_Segment 127.0.0.255 { localhost 127.0.0.1 }\n";
        let read = || read_from(Some(&named), [here.clone(), system.clone()]);
        std::fs::write(&system, text).unwrap();
        let found = read().unwrap();
        assert_eq!((&found.path, &found.missing), (&system, &Some(named.clone())));
        std::fs::write(&named, text).unwrap();
        let found = read().unwrap();
        assert_eq!((&found.path, &found.missing), (&named, &None));
        assert_eq!(found.conf.daemons.len(), 1);
    }

    #[test]
    fn a_file_with_mistakes_is_not_passed_over_and_shows_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let [named, system] = ["my.conf", "spread.conf"].map(|name| dir.path().join(name));
        std::fs::write(&named, "Spread_Segment 127.0.0.255 {\n localhost 127.0.0.300\n}\n")
            .unwrap();
        std::fs::write(&system, "Spread_Segment 127.0.0.255 { localhost 127.0.0.1 }\n").unwrap();
        let error = read_from(Some(&named), [system.clone(), system]).unwrap_err().to_string();
        assert!(error.contains("my.conf:2:12") && error.contains("  help: "), "{error}");
    }

    #[test]
    fn without_any_file_all_places_are_named() {
        let usual = ["/nowhere/a", "/nowhere/b"].map(PathBuf::from);
        let error = read_from(Some(Path::new("/nowhere/c")), usual).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no /nowhere/c nor /nowhere/a nor /nowhere/b; write one there, or name one with -c"
        );
    }

    #[test]
    fn an_address_needs_no_resolver() {
        assert_eq!(resolve("127.0.0.1", Some(Family::V4)), Ok([127, 0, 0, 1].into()));
        let error = resolve("127.0.0.1", Some(Family::V6)).unwrap_err();
        assert_eq!(error, "it has no IPv6 address");
    }
}
