//! Mistakes in the file and on the command line: exit status 2, the place, and what to write instead.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use testkit::trial::Failed;

use crate::support::{KEY, PROGRAM};
use crate::{Named, says};

pub(crate) const TRIALS: &[Named] = &[
    ("an_unknown_key_is_shown_with_its_place_and_the_key_that_was_meant", unknown_key),
    ("a_value_out_of_bounds_is_shown_with_its_place_and_its_bounds", out_of_bounds),
    ("all_mistakes_of_meaning_are_told_at_once", all_at_once),
    ("mistakes_of_form_do_not_hide_mistakes_of_meaning", of_both_kinds),
    ("what_only_follows_from_a_misread_key_is_not_told", nothing_that_follows),
    ("every_mistake_comes_with_a_remedy", remedies),
    ("a_missing_key_file_says_how_to_make_one", missing_key),
    ("a_key_file_that_others_can_read_is_refused", readable_key),
    ("a_document_root_that_is_not_there_is_named", missing_root),
    ("a_configuration_that_cannot_be_read_is_named", missing_file),
    ("a_configuration_in_order_says_what_is_assumed", in_order),
    ("each_new_key_is_another_and_can_be_used", new_keys),
];

/// Exit status of a mistake.
const MISTAKE: Option<i32> = Some(2);

fn backhand(folder: &TempDir, arguments: &[&str]) -> (Output, String) {
    let output = Command::new(PROGRAM).args(arguments).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// What `check` says of this text, which `run` has to refuse in the same words.
fn refused(folder: &TempDir, text: &str) -> Result<String, Failed> {
    fs::write(folder.path().join("b.toml"), text)?;
    let (checked, said) = backhand(folder, &["check", "--config", "b.toml"]);
    let (run, said_by_run) = backhand(folder, &["run", "--config", "b.toml"]);
    if (checked.status.code(), run.status.code()) != (MISTAKE, MISTAKE) {
        return Err(format!("check: {}, run: {}\n{said}", checked.status, run.status).into());
    }
    if said != said_by_run {
        return Err(format!("check says:\n{said}\nand run says:\n{said_by_run}").into());
    }
    Ok(said)
}

fn key_file(path: &Path, mode: u32) -> String {
    fs::write(path, KEY).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    format!("[cluster]\nkey_file = \"{}\"\n", path.display())
}

fn unknown_key() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let said = refused(&folder, "[http]\nworkers = 1\nlisen = [\"127.0.0.1:8080\"]\n")?;
    let lines = ["b.toml:3:1", "3 | lisen = [\"127.0.0.1:8080\"]", "  | ^^^^^\n"];
    says(&said, &lines)?;
    says(&said, &["lisen: this key is not known here", "help: did you mean listen?"])?;
    let said = refused(&folder, "[htp]\n")?;
    says(&said, &["b.toml:1:2", " |  ^^^\n", "did you mean http?"])
}

fn out_of_bounds() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let said = refused(&folder, "[announce]\ninterval = \"1ms\"\n")?;
    says(&said, &["b.toml:2:12", "2 | interval = \"1ms\"", "            ^^^^^", "50ms and 1m"])
}

fn all_at_once() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let text = "[http]\nworkers = 0\nlisten = [\"here:80\"]\n[status]\npath = \"x\"\n[log]\nlevel = \"=\"\n";
    let said = refused(&folder, text)?;
    says(&said, &["http.workers", "http.listen[0]", "status.path", "log.level", "b.toml:2:11"])
}

fn of_both_kinds() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let text = "[cluster]\nnmae = \"web1\"\n[http]\nworkers = 0\ntrusted = [\"x\", \"10.0.0.1\", \"y\"]\n\
                [[route]]\nchain = [\"byFoo\"]\n[status]\npath = \"backhand\"\n[log]\nlevel = \"inof\"\n";
    let said = refused(&folder, text)?;
    let at = [
        "b.toml:2:1",
        "b.toml:4:11",
        "b.toml:5:12",
        "b.toml:5:29",
        "b.toml:7:10",
        "b.toml:9:8",
        "b.toml:11:9",
    ];
    let found: Vec<_> = at.iter().map(|place| said.find(&format!("{place}\n"))).collect();
    if found.iter().any(Option::is_none) || !found.is_sorted() {
        return Err(format!("not each of {at:?}, in order: {said}").into());
    }
    says(&said, &["did you mean name?", "http.trusted[2]", "\"inof\" is no level"])
}

fn nothing_that_follows() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let text = "[cluster]\nkeyfile = \"k\"\n[announce]\ntargets = [\"10.0.5.255:4445\"]\n[local]\ndirectroy = \"/\"\n";
    let said = refused(&folder, text)?;
    says(&said, &["did you mean key_file?", "did you mean directory?"])?;
    assert_eq!(said.matches("error: ").count(), 2, "{said}");
    Ok(())
}

fn remedies() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    for text in [
        "[cluster]\nname = \"web 1\"",
        "[cluster]\ninsecure = 1",
        "[cluster]\naccept = [\"10.0.5.1/24\"]",
        "[cluster]\nstate_dir = \"state\"",
        "[announce]\ninterval = 1",
        "[announce]\ninterval = \"1ms\"",
        "[announce]\ntargets = \"10.0.0.1:4445\"",
        "[announce]\ntargets = [\"10.0.0.1\"]",
        "[announce]\ntargets = [{ ttl = 1 }]",
        "[announce]\nas = \"web1\"",
        "[announce]\naddress = \"web1\"",
        "[announce]\nport = 0",
        "[announce]\nport = \"x\"",
        "[measure]\nscope = \"x\"",
        "[log]\nformat = \"xml\"",
        "[status]\npath = 1",
    ] {
        let said = refused(&folder, text)?;
        assert_eq!(
            (said.matches("error: ").count(), said.matches("  help: ").count()),
            (1, 1),
            "{said}"
        );
    }
    Ok(())
}

fn missing_key() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("no-key");
    let text = format!("[cluster]\nkey_file = \"{}\"\n", path.display());
    let said = refused(&folder, &text)?;
    says(&said, &["b.toml:2:12", "cannot read", "no-key", "No such file", "backhand key > "])
}

fn readable_key() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    for mode in [0o644, 0o640, 0o604] {
        let text = key_file(&folder.path().join("key"), mode);
        let said = refused(&folder, &text)?;
        let mode = format!("can be read by others than its owner (mode {mode:o})");
        says(&said, &["b.toml:2:12", &mode, "run chmod 600"])?;
    }
    Ok(())
}

fn missing_root() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("no-site");
    let said = refused(&folder, &format!("[local]\ndirectory = \"{}\"\n", root.display()))?;
    says(&said, &["b.toml:2:13", "no-site", "does not exist", "help: "])?;
    fs::write(&root, "a file")?;
    let said = refused(&folder, &format!("[local]\ndirectory = \"{}\"\n", root.display()))?;
    says(&said, &["b.toml:2:13", "no-site", "is not a directory", "help: "])
}

fn missing_file() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    for command in ["check", "run"] {
        let (output, said) = backhand(&folder, &[command, "--config", "none.toml"]);
        assert_eq!(output.status.code(), MISTAKE, "{said}");
        says(&said, &["none.toml: No such file", "--config"])?;
    }
    let (output, said) = backhand(&folder, &["run", "--confg", "b.toml"]);
    assert_eq!(output.status.code(), MISTAKE, "{said}");
    says(&said, &["--confg", "--config"])
}

fn in_order() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let text = key_file(&folder.path().join("key"), 0o600) + "name = \"web1\"\n";
    fs::write(folder.path().join("b.toml"), text)?;
    let (output, said) = backhand(&folder, &["check", "--config", "b.toml"]);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "");
    let told = String::from_utf8(output.stdout)?;
    says(&told, &["b.toml: in order", "assumed: no announce.targets", "(http.listen)"])?;
    // No file is no mistake either.
    let (output, said) = backhand(&folder, &["check"]);
    assert!(output.status.success(), "{said}");
    Ok(())
}

fn new_keys() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let keys = [(); 2].map(|()| backhand(&folder, &["key"]).0.stdout);
    assert_ne!(keys[0], keys[1]);
    let text = key_file(&folder.path().join("key"), 0o600);
    fs::write(folder.path().join("key"), &keys[0])?;
    fs::write(folder.path().join("b.toml"), text)?;
    let (output, said) = backhand(&folder, &["check", "--config", "b.toml"]);
    assert!(output.status.success(), "{said}");
    Ok(())
}
