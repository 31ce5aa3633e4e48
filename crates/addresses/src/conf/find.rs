//! Where `wackamole.conf` is looked for, and how it is read.

use std::io::{self, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use super::{Ask, Mistake, Parsed, TEXT_MAX, draft, meaning, mistake, parse};
use crate::config::program;

/// Where it is looked for if the command line names none: as the original was built by its documents, in this order.
const PLACES: [&str; 2] = ["/etc/wackamole.conf", "./wackamole.conf"];

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// None was named, and none is in the usual places.
    #[error("there is no {}; write one there, or name one with -c", list(.0))]
    Nowhere(Vec<PathBuf>),
    /// It cannot be read. One that was named and is not there is never replaced by another.
    #[error("cannot read {}: {error}; correct the path, or let the program read it", .path.display())]
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
        /// What is wrong in it, at least one thing.
        mistakes: Vec<Mistake>,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" nor ")
}

fn rendered(path: &Path, text: &str, mistakes: &[Mistake]) -> String {
    let file = path.display().to_string();
    mistakes.iter().map(|mistake| mistake.render(&file, text)).collect()
}

/// A file that was found and is in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub parsed: Parsed,
}

/// What whoever asks a running service needs of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The file.
    pub file: PathBuf,
    /// The control socket that it names.
    pub socket: Option<PathBuf>,
    /// Whether it lists any addresses that can be read.
    pub lists: bool,
    /// Whether addresses of IPv6 are among them.
    pub six: bool,
    /// Without a socket, the mistakes of form as people read them: it may stand where nothing could be read.
    pub unread: String,
}

/// Reads the file that was named and no other; or else `/etc/wackamole.conf`; or else `wackamole.conf` here. `machine` is what
/// this machine is called.
///
/// What is no whole path is taken from the folder `here`: a program that goes into the background leaves the one that it was
/// started in, and reads its file again later. Empty, it is the one that the program is in.
///
/// # Errors
/// The file is not there, cannot be read or has mistakes. One that is there is never passed over.
pub fn read(named: Option<&Path>, here: &Path, machine: &str) -> Result<Found, FileError> {
    read_from(named, &PLACES.map(PathBuf::from), here, machine)
}

/// Looks for the control socket in the file that [`read`] would read. The rest of it is not judged: no module is looked for, and
/// no name; the service may have been started in another folder, or be the original, which had Perl.
///
/// # Errors
/// The file is not there or cannot be read, or nobody can listen at what it names.
pub fn control(named: Option<&Path>) -> Result<Control, FileError> {
    control_from(named, &PLACES.map(PathBuf::from), Path::new(""))
}

fn control_from(
    named: Option<&Path>,
    usual: &[PathBuf],
    here: &Path,
) -> Result<Control, FileError> {
    let (path, text) = first(named, usual, here)?;
    asked(&path, &text).map_err(|mistakes| FileError::Mistaken { path, text, mistakes })
}

fn asked(file: &Path, text: &str) -> Result<Control, Vec<Mistake>> {
    let draft = draft(text)?;
    let socket = meaning::control(&draft).map_err(|mistake| vec![mistake])?;
    let lists = !draft.sets.is_empty();
    let six = draft.sets.iter().flat_map(|(set, _)| set).any(|(text, _)| text.ip.is_ipv6());
    let unread = match socket {
        Some(_) => String::new(),
        None => rendered(file, text, &mistake::in_order(draft.mistakes)),
    };
    Ok(Control { file: file.to_owned(), socket, lists, six, unread })
}

fn read_from(
    named: Option<&Path>,
    usual: &[PathBuf],
    here: &Path,
    machine: &str,
) -> Result<Found, FileError> {
    let (path, text) = first(named, usual, here)?;
    let mut module = |folder: &Path, file: &str| program::module(&here.join(folder), file);
    let mut ask = Ask { resolve: &mut resolve, module: &mut module };
    match parse(&text, machine, &mut ask) {
        Ok(parsed) => Ok(Found { path, parsed }),
        Err(mistakes) => Err(FileError::Mistaken { path, text, mistakes }),
    }
}

/// The file that counts, and its text.
fn first(
    named: Option<&Path>,
    usual: &[PathBuf],
    here: &Path,
) -> Result<(PathBuf, String), FileError> {
    let places = named.map_or(usual.to_vec(), |named| vec![named.to_owned()]);
    // By their parts, so that no `.` stands in the middle.
    let places: Vec<PathBuf> =
        places.iter().map(|place| here.join(place).components().collect()).collect();
    for path in &places {
        match text_of(path) {
            Ok(text) => return Ok((path.clone(), text)),
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileError::Unreadable { path: path.clone(), error }),
        }
    }
    Err(FileError::Nowhere(places))
}

/// A file's text, of which no more is read than can be used. Comments in old encodings do no harm, nor does the mark that some
/// editors begin a file of UTF-8 with.
fn text_of(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    // One byte more than can be used, behind the mark: what is too long is to be seen as that.
    std::fs::File::open(path)?.take(TEXT_MAX as u64 + 4).read_to_end(&mut bytes)?;
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Asks the system's resolver for all addresses of `name`.
fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut all: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    all.sort();
    all.dedup();
    if all.is_empty() { Err("it has none".into()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"# f\xfcr alle\nVIFs { eth0:10.0.0.1/32 }\n";

    #[test]
    fn a_file_that_was_named_is_never_replaced_by_another() {
        let folder = tempfile::tempdir().unwrap();
        let [named, usual] = ["named", "usual"].map(|name| folder.path().join(name));
        std::fs::write(&usual, TEXT).unwrap();
        let error = read_from(Some(&named), std::slice::from_ref(&usual), Path::new(""), "m")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("cannot read {}: No such file", named.display())),
            "{error}"
        );
        std::fs::write(&named, TEXT).unwrap();
        let found = read_from(Some(&named), &[usual], Path::new(""), "m").unwrap();
        assert_eq!((found.path, found.parsed.config.sets.len()), (named, 1));
    }

    #[test]
    fn a_file_may_begin_with_a_mark_and_its_words_are_utf_8() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("w.conf");
        let of = |text: &[u8]| {
            std::fs::write(&file, text).unwrap();
            read_from(Some(&file), &[], Path::new(""), "m")
        };
        let found = of(b"\xef\xbb\xbfGroup = a\n").unwrap();
        assert_eq!(found.parsed.config.group.as_bytes(), b"a");
        let error = of(b"Group = caf\xe9\nMature = 1s\n").unwrap_err().to_string();
        assert!(error.contains("w.conf:1:9") && error.contains("is no UTF-8"), "{error}");
        assert_eq!(error.matches("error: ").count(), 1, "{error}");
    }

    #[test]
    fn without_a_name_the_usual_places_are_looked_at_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let places = ["etc", "here"].map(|name| folder.path().join(name));
        let error = read_from(None, &places, Path::new(""), "m").unwrap_err().to_string();
        let [etc, here] = places.each_ref().map(|place| place.display().to_string());
        assert_eq!(
            error,
            format!("there is no {etc} nor {here}; write one there, or name one with -c")
        );
        std::fs::write(&places[1], TEXT).unwrap();
        assert_eq!(read_from(None, &places, Path::new(""), "m").unwrap().path, places[1]);
        std::fs::write(&places[0], "Grupp = a\n").unwrap();
        let error = read_from(None, &places, Path::new(""), "m").unwrap_err().to_string();
        assert!(error.contains("etc:1:1") && error.contains("did you mean Group?"), "{error}");
    }

    #[test]
    fn whoever_asks_needs_the_socket_and_nothing_else_is_judged() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("w.conf");
        let of = |text: &str| {
            std::fs::write(&file, text).unwrap();
            control_from(Some(&file), &[], Path::new(""))
        };
        let rest = "Prefer nobody.invalid\nRunDynamic gone:up on up\nRunDynamic Pkg::up on up\nPerlUse Pkg\n\
                    VIFs { eth0:10.0.0.300/32 eth0:[fd00::1]/64\nGrupp = a\n";
        for text in [format!("{rest}Control = /run/a\n"), format!("Control = /run/a\n{rest}'open")]
        {
            let found = of(&text).unwrap();
            assert_eq!(found.socket, Some("/run/a".into()), "{text}");
            assert!(found.file == file && found.unread.is_empty(), "{found:?}");
            assert!(found.lists && found.six, "{found:?}");
        }
        let found = of("Control = \"\"\n").unwrap();
        assert!(found.socket.is_none() && !found.six && found.unread.is_empty(), "{found:?}");
        assert!(!found.lists);
        // It may stand where nothing could be read.
        let found = of("Group = 'wack1\nControl = /run/a\n").unwrap();
        assert!(found.socket.is_none() && found.unread.contains("w.conf:1:9"), "{found:?}");
        let error = of("Control = run/a\n").unwrap_err().to_string();
        assert!(error.contains("w.conf:1:11") && error.contains("is no whole path"), "{error}");
        std::fs::remove_file(&file).unwrap();
        let error = control_from(Some(&file), &[], Path::new("")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read "), "{error}");
    }

    #[test]
    fn what_is_no_whole_path_is_taken_from_the_folder_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        std::fs::create_dir(here.join("modules")).unwrap();
        std::fs::write(here.join("modules/mine.so"), "").unwrap();
        let text = "VIFs { eth0:10.0.0.1/32 }\nModuleDir = modules\nRunDynamic mine:up on up\n";
        std::fs::write(here.join("w.conf"), text).unwrap();
        let usual = [here.join("nowhere"), PathBuf::from("./w.conf")];
        let found = read_from(None, &usual, here, "m").unwrap();
        assert_eq!(found.path, here.join("w.conf"));
        let hook = format!("{:?}", found.parsed.config.hooks);
        assert!(hook.contains(here.join("modules/mine.so").to_str().unwrap()), "{hook}");
        assert_eq!(read_from(Some(Path::new("w.conf")), &[], here, "m").unwrap(), found);
        let error = read_from(Some(Path::new("x.conf")), &[], here, "m").unwrap_err().to_string();
        assert!(error.contains(here.join("x.conf").to_str().unwrap()), "{error}");
    }
}
