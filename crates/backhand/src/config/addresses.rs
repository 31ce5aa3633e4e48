//! The section `[addresses]`, judged beside what the rest of the file says of the cluster and of the bus.

use std::path::{Path, PathBuf};

use addresses::config::{AddressesSection, Around, Config};
use base::Problem;
use resources::config::Cluster;

/// The addresses that the file asks for. `bus` says whether this program runs a daemon of the bus.
pub(super) fn check(
    section: Option<&AddressesSection>,
    cluster: &Cluster,
    bus: bool,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let section = section?;
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let named = cluster.name.as_ref().map(ToString::to_string);
    let machine = named.unwrap_or_else(|| host.into_owned());
    super::keep(section.check(&Around { machine: &machine, bus }), problems)
}

/// Where the service that the file asks for listens for `backhand vip`: of the file named, else of the first of the usual places that
/// exists. The rest of the file is not judged: a mistake in it must not keep anybody from seeing where the addresses are.
pub(crate) fn socket(named: Option<&Path>) -> Result<PathBuf, String> {
    let usual = || PathBuf::from(addresses::config::DEFAULT_SOCKET);
    let there = || super::PLACES.iter().map(Path::new).find(|path| path.exists());
    let Some(path) = named.or_else(there) else { return Ok(usual()) };
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("{name}: {error}; name a file that can be read, or the socket with --socket")
    })?;
    let file: toml::Table = text.parse().map_err(|_| {
        format!("{name} is no TOML; correct it (backhand check), or name the socket with --socket")
    })?;
    let written = file.get("addresses").and_then(|section| section.get("socket"));
    match written.and_then(toml::Value::as_str) {
        Some("") => Err(format!(
            "{name} says that there is no socket (addresses.socket = \"\"); leave that out, or name one with --socket"
        )),
        Some(written) => Ok(written.into()),
        None => Ok(usual()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn addresses_need_a_bus_of_this_program_or_of_another() {
        let text = "[addresses]\nlist = [\"10.0.0.10\"]\n";
        let mistakes = Config::read("b.toml", text).unwrap_err().to_string();
        assert!(mistakes.contains("there is no section [bus]"), "{mistakes}");
        assert!(
            mistakes.contains("  help: write [bus], or addresses.daemon = \"4803\""),
            "{mistakes}"
        );
        let config = Config::read("b.toml", &format!("{text}daemon = \"4803\"\n")).unwrap();
        assert!(config.bus.is_none() && config.addresses.is_some());
        let config = Config::read("b.toml", &format!("[bus]\n{text}")).unwrap();
        assert_eq!(config.addresses.unwrap().daemon, None);
    }

    #[test]
    fn the_socket_is_known_though_the_rest_of_the_file_is_mistaken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.toml");
        let at = |text: &str| {
            std::fs::write(&file, text).unwrap();
            super::socket(Some(&file))
        };
        assert_eq!(at("[addresses]\nsocket = \"/run/a\"\nnope = 1\n"), Ok("/run/a".into()));
        assert_eq!(at("[http]\n"), Ok(addresses::config::DEFAULT_SOCKET.into()));
        assert!(at("[addresses]\nsocket = \"\"\n").unwrap_err().contains("there is no socket"));
        assert!(at("[addresses\n").unwrap_err().contains("is no TOML"));
        std::fs::remove_file(&file).unwrap();
        assert!(super::socket(Some(&file)).unwrap_err().contains("--socket"));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_how_it_is_written() {
        let rest = "[bus]\n[addresses]\nlist = [\"10.0.0.10\"]\n";
        for (text, remedy) in [
            ("health = \"x\"\n", "write [[addresses.health]] in two brackets, once for each"),
            ("hook = 5\n", "write [[addresses.hook]] in two brackets, once for each"),
            ("[addresses.quorum]\nmembers = [\"a\"]\n", "write a table: { name = value }"),
            ("[[addresses.health]]\nstatus = 200\n", "write a list: [200, \"300-399\"]"),
        ] {
            let mistakes =
                Config::read("b.toml", &format!("{rest}{text}")).unwrap_err().to_string();
            assert!(mistakes.contains(&format!("  help: {remedy}")), "{mistakes}");
        }
    }

    #[test]
    fn a_machine_is_known_by_the_name_of_the_cluster() {
        let text = "[cluster]\nname = \"web1\"\n[bus]\n[addresses]\nlist = [\"10.0.0.10\"]\n";
        let config = Config::read("b.toml", text).unwrap();
        assert_eq!(config.addresses.unwrap().machine, "web1");
    }

    #[test]
    fn a_mistake_stands_with_its_line_and_caret() {
        let text = "[bus]\n[addresses]\nlist = [\"10.0.0.10\", [\"10.0.0.11\", \"127.0.0.1\"]]\n";
        let mistakes = Config::read("b.toml", text).unwrap_err().to_string();
        assert!(mistakes.contains("b.toml:3:36") && mistakes.contains("loopback"), "{mistakes}");
    }

    #[test]
    fn what_only_follows_from_a_set_that_was_left_out_is_not_told() {
        let rest = "prefer = [\"10.0.0.10\"]\n[addresses.quorum]\nmembers = { a = 1, b = 1, c = 1 }\n\
                    [[addresses.hook]]\nevent = \"on up\"\ncommand = [\"/bin/true\"]\nsets = [\"db\"]\n";
        let db = "[[addresses.set]]\nname = \"db\"\nquorum = true\naddresses = [\"10.0.0.20\"]\n";
        let good = format!("[bus]\n[addresses]\nlist = [\"10.0.0.10\"]\n{rest}{db}");
        assert!(Config::read("b.toml", &good).is_ok());
        for (right, wrong) in [
            // Of form, and of meaning.
            ("[\"10.0.0.10\"]\nprefer", "[\"10.0.0.1O\"]\nprefer"),
            ("name = \"db\"", "nme = \"db\""),
            ("quorum = true", "quorum = \"yes\""),
            ("[\"10.0.0.20\"]", "[\"10.0.0.20/33\"]"),
            ("[\"10.0.0.20\"]", "[\"127.0.0.1\"]"),
            ("[bus]", "[buss]"),
        ] {
            assert!(good.contains(right), "{right}");
            let text = good.replace(right, wrong);
            let mistakes = Config::read("b.toml", &text).unwrap_err().to_string();
            assert_eq!(mistakes.matches("error: ").count(), 1, "{wrong}: {mistakes}");
        }
        let mistakes = Config::read("b.toml", &good.replace("10.0.0.10", "127.0.0.1")).unwrap_err();
        assert_eq!(mistakes.to_string().matches("error: ").count(), 1, "{mistakes}");
        // What is wrong by itself is told beside them.
        let text = good.replace("[\"10.0.0.20\"]", "[\"127.0.0.1\"]").replace("a = 1", "a = 1001");
        let mistakes = Config::read("b.toml", &text).unwrap_err().to_string();
        assert_eq!(mistakes.matches("error: ").count(), 2, "{mistakes}");
        // And with all sets there, what names none of them.
        for (right, wrong) in
            [("sets = [\"db\"]", "sets = [\"dp\"]"), ("[\"10.0.0.10\"]\n[", "[\"10.0.0.11\"]\n[")]
        {
            assert!(Config::read("b.toml", &good.replace(right, wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_hides_no_mistake_of_those_beside_it() {
        let text = "[bus]
[addresses]
list = [\"10.0.0.300\", \"10.0.0.10\", \"127.0.0.1\", [\"10.0.0.11\", \"x\", \"10.0.0.10\"]]
notify = [\"neighbors\", { hosts = \"10.0.0.0/24\", throttle = 0 }]
prefer = [\"eth0:10.0.0.10\"]
";
        let mistakes = Config::read("b.toml", text).unwrap_err().to_string();
        for place in ["3:9", "3:36", "3:63", "3:68", "4:11", "4:60", "5:11"] {
            assert!(mistakes.contains(&format!("b.toml:{place}\n")), "{place}: {mistakes}");
        }
        assert_eq!(mistakes.matches("error: ").count(), 7, "{mistakes}");
    }

    #[test]
    fn a_section_in_two_pairs_of_brackets_is_told_to_take_one() {
        let text = "[bus]\n[[addresses]]\nlist = [\"10.0.0.10\"]\n";
        let mistakes = Config::read("b.toml", text).unwrap_err().to_string();
        assert!(mistakes.contains("write [addresses] in one pair of brackets"), "{mistakes}");
        assert_eq!(mistakes.matches("error: ").count(), 1, "{mistakes}");
    }

    #[test]
    fn mistakes_of_form_and_of_meaning_are_told_together_each_at_its_place() {
        let text = "[bus]
[addresses]
list = [\"10.0.0.10\", [\"10.0.0.300\", \"10.0.0.11\"], { address = \"10.0.0.12/40\" }]
notify = [{ hosts = \"10.0.0.1\", throtle = 3 }, \"10.0.0.0/x\"]
weight = 0
[addresses.balance]
per_round = \"some\"
[[addresses.health]]
tcp = \"127.0.0.1:80\"
status = [99]
";
        let mistakes = Config::read("b.toml", text).unwrap_err().to_string();
        for place in ["3:23", "3:63", "4:33", "4:48", "5:10", "7:13", "10:11"] {
            assert!(mistakes.contains(&format!("b.toml:{place}")), "{place}: {mistakes}");
        }
        // What only follows is not told.
        assert_eq!(mistakes.matches("error: ").count(), 7, "{mistakes}");
    }
}
