//! The three sections read from real text, good and bad.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    cluster: Cluster,
    #[serde(default)]
    announce: Announce,
    #[serde(default)]
    measure: Measure,
}

fn check(text: &str) -> Result<Config, String> {
    let file: File = toml::from_str(text).map_err(|e| e.message().to_owned())?;
    Config::check(&file.cluster, &file.announce, &file.measure)
        .map_err(|problems| problems.iter().map(|p| format!("{p}\n")).collect())
}

fn key_file(bytes: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cluster.key");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

const GOOD_KEY: &[u8] = b"  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

#[test]
fn an_empty_file_is_alone_and_says_so() {
    let config = check("").unwrap();
    assert!(config.protection.is_alone() && config.targets.is_empty());
    assert!(!config.accepts("127.0.0.1".parse().unwrap()));
    assert!(!config.accepts("10.0.0.1".parse().unwrap()));
    assert_eq!(config.interval, Duration::from_secs(1));
    assert_eq!((config.port, config.exchange_port), (4445, 4446));
    assert!(config.assumed.iter().any(|line| line.contains("stays alone")), "{:?}", config.assumed);
}

#[test]
fn a_key_opens_the_network() {
    let (_dir, path) = key_file(GOOD_KEY, 0o600);
    let config = check(&format!(
        r#"
        [cluster]
        name = "web1"
        key_file = {path:?}
        [announce]
        interval = "250ms"
        as = "www2:8081"
        [measure]
        scope = "cgroup"
        "#
    ))
    .unwrap();
    assert_eq!(config.name, "web1");
    assert_eq!(config.targets[0].to.ip(), IpAddr::V4(DEFAULT_GROUP));
    assert!(config.accept.contains("192.168.7.7".parse().unwrap()));
    assert!(!config.accept.contains("203.0.113.7".parse().unwrap()));
    assert_eq!(config.advertised, Some("www2:8081".parse().unwrap()));
    assert_eq!(config.scope, Scope::Cgroup);
    assert!(matches!(config.protection, Protection::Key(ref key) if !key.is_published()));
}

#[test]
fn a_network_target_without_a_key_is_refused_at_its_place() {
    let text = "[announce]\ntargets = [\"127.0.0.1:4445\", \"10.0.5.255:4445\"]";
    let file: File = toml::from_str(text).unwrap();
    let problems = Config::check(&file.cluster, &file.announce, &file.measure).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "announce.targets[1]");
    assert_eq!(&text[problems[0].at.clone().unwrap()], "\"10.0.5.255:4445\"");
    assert!(problems[0].remedy.contains("cluster.key_file"));
    let insecure = check(&format!("{text}\n[cluster]\ninsecure = true")).unwrap();
    assert!(matches!(insecure.protection, Protection::Insecure));
}

#[test]
fn a_key_file_must_exist_be_secret_and_long() {
    let read = |path: &PathBuf| check(&format!("[cluster]\nkey_file = {path:?}")).unwrap_err();
    let (dir, path) = key_file(GOOD_KEY, 0o644);
    let error = read(&path);
    assert!(error.contains("mode 644") && error.contains("run chmod 600"), "{error}");
    let error = read(&dir.path().join("absent"));
    assert!(error.contains("cluster.key_file") && error.contains("backhand key > "), "{error}");
    let error = read(&dir.path().to_path_buf());
    assert!(error.contains("not a regular file"), "{error}");
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    assert!(read(&pipe).contains("not a regular file"), "and nobody waits for its writer");
    let (_dir, path) = key_file(b"secret\n", 0o600);
    let error = read(&path);
    assert!(
        error.contains("6 characters that are neither") && error.contains("umask 077"),
        "{error}"
    );
    let (_dir, path) = key_file(&[0xff; 5000], 0o600);
    assert!(read(&path).contains("neither 64 hexadecimal digits"));
}

#[test]
fn without_a_key_only_loopback_is_believed_whatever_is_accepted() {
    let accept = "[cluster]\naccept = [\"0.0.0.0/0\", \"::1\"]\n";
    assert!(!check(accept).unwrap().accepts("127.0.0.9".parse().unwrap()));
    let asked = format!("{accept}[announce]\ntargets = [\"127.0.0.1:4445\"]");
    let config = check(&asked).unwrap();
    assert!(
        matches!(config.protection, Protection::Loopback) && config.protection.key().is_published()
    );
    assert!(config.accepts("127.0.0.9".parse().unwrap()) && config.accepts("::1".parse().unwrap()));
    assert!(!config.accepts("10.0.0.1".parse().unwrap()));
}

#[test]
fn every_mistake_names_what_to_write_instead() {
    for (text, reason) in [
        ("[cluster]\nkeyfile = \"x\"", "unknown field `keyfile`"),
        ("[cluster]\nname = \"web 1\"", "not a machine name"),
        ("[cluster]\naccept = []", "nobody is accepted"),
        ("[cluster]\naccept = [\"10.0.5.1/24\"]", "did you mean 10.0.5.0/24"),
        ("[cluster]\nstate_dir = \"state\"", "is relative"),
        ("[announce]\ninterval = \"49ms\"", "not between 50ms and 1m"),
        ("[announce]\ninterval = \"2m\"", "not between 50ms and 1m"),
        ("[announce]\ninterval = 1", "invalid type"),
        ("[announce]\nport = 0", "0 is not a port"),
        ("[announce]\nport = 4446", "4446 is also announce.port"),
        ("[announce]\nport = 70000", "70000 is not a port"),
        ("[announce]\ntargets = []", "0 targets are listed"),
        ("[announce]\naddress = \"0.0.0.0\"", "not an address of one machine"),
        ("[announce]\naddress = \"10.0.0.1\"", "there is no cluster key"),
        ("[measure]\nscope = \"host\"", "unknown variant `host`"),
    ] {
        let error = check(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn state_goes_where_the_system_wants_it() {
    let vars = |pairs: &'static [(&'static str, &'static str)]| {
        move |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| PathBuf::from(v))
    };
    let all: &[_] = &[("STATE_DIRECTORY", "/s"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
    assert_eq!(default_state_dir(vars(all), true), PathBuf::from("/s"));
    assert_eq!(default_state_dir(vars(&all[1..]), true), PathBuf::from("/var/lib/backhand"));
    assert_eq!(default_state_dir(vars(&all[1..]), false), PathBuf::from("/x/backhand"));
    assert_eq!(
        default_state_dir(vars(&all[2..]), false),
        PathBuf::from("/h/.local/state/backhand")
    );
    assert_eq!(default_state_dir(vars(&[]), false), PathBuf::from("/var/tmp/backhand"));
    assert_eq!(
        default_state_dir(vars(&[("STATE_DIRECTORY", "/a:/b")]), false),
        PathBuf::from("/a")
    );
}
