//! Address rules: whose requests a route takes.

use std::net::IpAddr;

use base::{AddrBlock, AddrBlocks};

/// Whose requests a route takes, by the client's true address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Everybody, unless blocks are named.
    allow: Option<AddrBlocks>,
    /// These never.
    deny: AddrBlocks,
}

impl AddressRules {
    pub(super) fn new(allow: Option<Vec<AddrBlock>>, deny: Option<Vec<AddrBlock>>) -> Self {
        Self { allow: allow.map(AddrBlocks), deny: AddrBlocks(deny.unwrap_or_default()) }
    }

    /// Whether everybody is welcome.
    pub fn is_open(&self) -> bool {
        self.allow.is_none() && self.deny.0.is_empty()
    }

    /// Whether a client of this address is. What is denied is denied even if it is also allowed.
    pub fn permit(&self, client: IpAddr) -> bool {
        !self.deny.contains(client)
            && self.allow.as_ref().is_none_or(|allowed| allowed.contains(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: Option<&[&str]>, deny: &[&str]) -> AddressRules {
        let blocks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        AddressRules::new(allow.map(blocks), Some(blocks(deny)))
    }

    #[test]
    fn what_is_denied_is_denied_even_if_it_is_allowed() {
        let rules =
            rules(Some(&["10.0.0.0/8", "2001:db8::/32"]), &["10.9.0.0/16", "2001:db8::bad"]);
        for (client, welcome) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.9.2.3", false),
            ("192.0.2.1", false),
            ("2001:db8::1", true),
            ("2001:db8::bad", false),
            ("::1", false),
        ] {
            assert_eq!(rules.permit(client.parse().unwrap()), welcome, "{client}");
        }
    }

    #[test]
    fn without_rules_everybody_is_welcome_and_an_empty_list_welcomes_nobody() {
        let any = "192.0.2.1".parse().unwrap();
        assert!(AddressRules::default().permit(any) && AddressRules::default().is_open());
        assert!(!rules(Some(&[]), &[]).permit(any));
        assert!(rules(None, &["10.0.0.0/8"]).permit(any));
    }
}
