//! The rule of the floors: a crate depends only on crates of lower floors.
//!
//! Dependencies of tests count as well, with one exception: a test may use an aid.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::map::Place;
use crate::tools;

/// One dependency between two of our crates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    from: String,
    to: String,
    for_tests: bool,
}

/// Returns what breaks the rule, one sentence each.
pub(crate) fn check(map: &[Place]) -> Result<Vec<String>> {
    let mut command = tools::cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let metadata = serde_json::from_str(&tools::output(&mut command)?).context("cargo metadata")?;
    let (members, edges) = read(&metadata);
    Ok(violations(map, &members, &edges))
}

fn read(metadata: &Value) -> (Vec<String>, Vec<Edge>) {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let members: Vec<String> = packages.iter().map(|package| text(package, "name")).collect();
    let edges = packages
        .iter()
        .flat_map(|package| {
            let dependencies = package["dependencies"].as_array();
            let dependencies = dependencies.map(Vec::as_slice).unwrap_or_default().iter();
            // Only what lies in this tree: a crate of the registry may have the name of one of ours.
            dependencies.filter(|dependency| dependency["path"].is_string()).map(|dependency| {
                Edge {
                    from: text(package, "name"),
                    to: text(dependency, "name"),
                    for_tests: dependency["kind"] == "dev",
                }
            })
        })
        .filter(|edge| members.contains(&edge.to))
        .collect();
    (members, edges)
}

fn violations(map: &[Place], members: &[String], edges: &[Edge]) -> Vec<String> {
    let find = |name: &str| map.iter().find(|place| place.name == name);
    let mut found: Vec<String> = members
        .iter()
        .filter(|name| find(name).is_none())
        .map(|name| format!("{name} has no floor in ARCHITECTURE.md"))
        .collect();
    for Edge { from, to, for_tests } in edges {
        let (Some(user), Some(used)) = (find(from), find(to)) else { continue };
        let allowed = match (user.floor, used.floor) {
            (None, _) => true,
            (Some(_), None) => *for_tests,
            (Some(user), Some(used)) => used < user,
        };
        if !allowed {
            let show =
                |place: &Place| place.floor.map_or("an aid".into(), |f| format!("floor {f}"));
            found.push(format!("{from} ({}) depends on {to} ({})", show(user), show(used)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Vec<Place> {
        let place = |name: &str, floor, core| Place { name: name.to_owned(), floor, core };
        vec![place("low", Some(0), true), place("high", Some(4), false), place("aid", None, false)]
    }

    fn judge(from: &str, to: &str, for_tests: bool) -> Vec<String> {
        let edge = Edge { from: from.to_owned(), to: to.to_owned(), for_tests };
        violations(&map(), &[from.to_owned(), to.to_owned()], &[edge])
    }

    #[test]
    fn a_crate_may_use_lower_floors_only() {
        assert!(judge("high", "low", false).is_empty());
        assert_eq!(judge("low", "high", false), ["low (floor 0) depends on high (floor 4)"]);
        assert_eq!(judge("low", "high", true).len(), 1);
        assert_eq!(judge("high", "high", false).len(), 1);
    }

    #[test]
    fn aids_use_everything_and_are_used_by_tests_only() {
        assert!(judge("aid", "high", false).is_empty());
        assert!(judge("low", "aid", true).is_empty());
        assert_eq!(judge("high", "aid", false), ["high (floor 4) depends on aid (an aid)"]);
    }

    #[test]
    fn a_crate_that_is_not_on_the_map_is_named() {
        assert_eq!(judge("new", "low", false), ["new has no floor in ARCHITECTURE.md"]);
    }

    #[test]
    fn edges_are_read_from_what_cargo_prints() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "a", "dependencies": [
                { "name": "b", "kind": null, "path": "/b" }, { "name": "b", "kind": "dev", "path": "/b" },
                { "name": "b", "kind": null }, { "name": "serde", "kind": null }
            ] },
            { "name": "b", "dependencies": [] },
        ] });
        let (members, edges) = read(&metadata);
        assert_eq!(members, ["a", "b"]);
        assert_eq!(edges.iter().map(|e| e.for_tests).collect::<Vec<_>>(), [false, true]);
    }
}
