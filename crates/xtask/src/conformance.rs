//! What `docs/conformance.md` claims: each test it names exists.

use std::fs;
use std::path::Path;

/// Sentences about tests that are named in the text and are not there.
pub(crate) fn faults(root: &Path, text: &str) -> Vec<String> {
    let named = text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::"));
    named
        .filter_map(|(file, test)| {
            let file = format!("{file}.rs");
            let source = fs::read_to_string(root.join(&file)).unwrap_or_default();
            // As a function, or as the name of a trial.
            let there =
                source.contains(&format!("fn {test}(")) || source.contains(&format!("\"{test}\""));
            (!there).then(|| format!("docs/conformance.md names {test}, which is not in {file}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_is_named() {
        let root = crate::tools::root();
        let here = "crates/xtask/src/conformance.rs";
        assert_eq!(faults(&root, &format!("`{here}::a_test_that_is_not_there_is_named`")), [""; 0]);
        assert_eq!(faults(&root, &format!("`{here}::{}{}`", "else", "where")).len(), 1);
        assert_eq!(faults(&root, "`nowhere.rs::a_test`").len(), 1);
    }
}
