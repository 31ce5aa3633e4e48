//! Files that hooks and health checks run: they must be there when the configuration is read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What is wrong with the program of a command, and what to do.
///
/// # Errors
/// It is no whole path, is not there, or cannot be executed.
pub(crate) fn runnable(program: &str) -> Result<(), (String, String)> {
    let wrong = |message: String, remedy: &str| Err((message, remedy.to_owned()));
    if !program.starts_with('/') {
        let message = format!("{program:?} is no whole path");
        return wrong(message, "write the program's path from the root; no PATH is searched");
    }
    if program.contains('\0') {
        return wrong(format!("{program:?} has a NUL in it"), "leave it out");
    }
    match std::fs::metadata(program) {
        Err(error) => {
            wrong(format!("{program} cannot be run: {error}"), "put it there, or correct the path")
        }
        Ok(file) if !file.is_file() => {
            wrong(format!("{program} is no file"), "write the path of a program")
        }
        Ok(file) if file.permissions().mode() & 0o111 == 0 => {
            wrong(format!("{program} is not executable"), "make it so: chmod +x")
        }
        Ok(_) => Ok(()),
    }
}

/// The file of a module: in `folder` unless it is a whole path, as it is written, else with `.so` behind it.
///
/// # Errors
/// None of them is there: where it was looked for.
pub(crate) fn module(folder: &Path, file: &str) -> Result<PathBuf, String> {
    let places = [folder.join(file), folder.join(format!("{file}.so"))];
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Ok(place.clone()),
        None => {
            let [one, other] = places.map(|place| place.display().to_string());
            Err(format!("there is neither {one} nor {other}"))
        }
    }
}

/// `file:function` apart.
pub(crate) fn function(text: &str) -> Option<(&str, &str)> {
    let (file, symbol) = text.rsplit_once(':')?;
    let is_name = symbol.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !symbol.is_empty()
        && !symbol.starts_with(|first: char| first.is_ascii_digit());
    // Two colons part the package and the function of Perl.
    (is_name && !file.is_empty() && !file.ends_with(':') && !file.contains('\0'))
        .then_some((file, symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_an_executable_file_by_its_whole_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run");
        let path = file.to_str().unwrap();
        let told = |path: &str| runnable(path).unwrap_err().0;
        assert!(told(path).contains("No such file"));
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(told(path), format!("{path} is not executable"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(runnable(path), Ok(()));
        assert!(told(folder.path().to_str().unwrap()).ends_with("is no file"));
        assert_eq!(told("run"), "\"run\" is no whole path");
    }

    #[test]
    fn a_module_is_found_with_and_without_its_ending() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.so");
        assert!(module(folder.path(), "mine").unwrap_err().ends_with("/mine.so"));
        std::fs::write(&file, "").unwrap();
        assert_eq!(module(folder.path(), "mine"), Ok(file.clone()));
        assert_eq!(module(folder.path(), "mine.so"), Ok(file.clone()));
        assert_eq!(module(Path::new("/"), file.to_str().unwrap()), Ok(file));
    }

    #[test]
    fn a_function_stands_behind_the_last_colon() {
        assert_eq!(function("mine.so:up"), Some(("mine.so", "up")));
        assert_eq!(function("/a:b/mine:up_2"), Some(("/a:b/mine", "up_2")));
        for text in ["up", "Pkg::up", "mine:", ":up", "mine:2up", "mine:a b", ""] {
            assert_eq!(function(text), None, "{text}");
        }
    }
}
