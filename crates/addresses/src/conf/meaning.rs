//! What a `wackamole.conf` means, judged: the checked configuration, with what it leaves open filled in.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use spread_client::Endpoint;
use spread_wire::GroupName;

use super::Ask;
use super::lexer::Token;
use super::mistake::Mistake;
use super::parser::{Draft, NO_PERL, Wanted, Whom};
use super::words::MANY;
use crate::config::judge::{self, LeftOut, Written};
use crate::config::{
    ADDRESSES_MAX, AddressText, Balance, Block, Config, DEFAULT_GROUP, FRAMES_PER_SECOND,
    GUARDIAN_PORT, Guardian, HOOKS_MAX, Hook, HookRun, HookSets, NOTIFY_MAX, Notify, PerRound, Set,
    WEIGHT, WhenAllUnhealthy, bad_daemon, bad_socket, program,
};

/// Most hosts that are looked up: each may take seconds.
pub(super) const LOOKUPS_MAX: usize = 64;

/// Bits of the network around an address of IPv4 without an `n`, whatever its length is, as with the original.
const NET: u8 = 24;

/// Judges what is written. The configuration is of use only if no mistake is noted.
pub(super) fn judge(
    mut draft: Draft<'_>,
    machine: &str,
    ask: &mut Ask<'_>,
) -> (Config, Vec<Mistake>) {
    let mut judge = Judge {
        mistakes: std::mem::take(&mut draft.mistakes),
        assumed: Vec::new(),
        warnings: Vec::new(),
    };
    let config = judge.config(&mut draft, machine, ask);
    (config, judge.mistakes)
}

/// The control socket, if one is written. The rest is not looked at.
pub(super) fn control(draft: &Draft<'_>) -> Result<Option<PathBuf>, Mistake> {
    let Some(token) = draft.control.filter(|token| !token.text.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(token.text);
    match bad_socket(&path) {
        Some((message, remedy)) => Err(Mistake::new(&token, message, remedy)),
        None => Ok(Some(path)),
    }
}

struct Judge {
    mistakes: Vec<Mistake>,
    assumed: Vec<String>,
    warnings: Vec<String>,
}

impl Judge {
    fn wrong(&mut self, token: &Token<'_>, message: impl Into<String>, remedy: impl Into<String>) {
        self.note(Mistake::new(token, message, remedy));
    }

    fn note(&mut self, mistake: Mistake) {
        if self.mistakes.len() < MANY {
            self.mistakes.push(mistake);
        }
    }

    fn config(&mut self, draft: &mut Draft<'_>, machine: &str, ask: &mut Ask<'_>) -> Config {
        let second = Duration::from_secs(1);
        self.said(draft);
        // What follows from a mistake of form is not told: an address may be preferred that could not be read.
        let formed = self.mistakes.is_empty();
        let (sets, left_out) = self.sets(draft);
        let prefer = if formed { self.prefer(draft, &sets, &left_out, ask) } else { Vec::new() };
        let notify = self.notify(draft, &sets);
        let cache = notify.iter().any(|whom| matches!(whom, Notify::Neighbours { .. }));
        let module_dir = PathBuf::from(draft.module_dir.map_or(".", |folder| folder.text));
        let hooks = self.hooks(draft, &module_dir, ask);
        Config {
            machine: machine.to_owned(),
            group: self.group(draft),
            daemon: Some(self.spread(draft)),
            private_name: None,
            retry_interval: draft.retry.unwrap_or(5 * second),
            mature: draft.mature.unwrap_or(5 * second),
            lease: 3 * second,
            balance: Balance {
                interval: draft.interval.unwrap_or(4 * second),
                per_round: draft.per_round.unwrap_or(PerRound::Number(1)),
            },
            sets,
            prefer,
            prefer_after: Duration::ZERO,
            weight: WEIGHT,
            capacity: 0,
            share_neighbours_every: draft.arp_cache.or(cache.then_some(60 * second)),
            notify,
            pass_on: true,
            grace: second / 5,
            announce_every: 30 * second,
            frames_per_second: FRAMES_PER_SECOND,
            quorum: None,
            when_all_unhealthy: WhenAllUnhealthy::Keep,
            health: Vec::new(),
            hooks,
            module_dir,
            control: self.control(draft),
            socket: None,
            guardian: Guardian { enabled: true, suspicion: second / 2, port: GUARDIAN_PORT },
            stop_within: 5 * second,
            historical: true,
            assumed: std::mem::take(&mut self.assumed),
            warnings: std::mem::take(&mut self.warnings),
        }
    }

    /// What is not written, and what is but does nothing.
    fn said(&mut self, draft: &Draft<'_>) {
        if draft.mature.is_none() {
            self.assumed
                .push("no Mature: 5s, as the manual says; the original daemon waited 300s".into());
        }
        if draft.interval.is_none() {
            self.assumed.push(
                "no Interval of Balance: 4s, as the manual says; the original daemon waited 300s"
                    .into(),
            );
        }
        if draft.sets.is_empty() && self.mistakes.is_empty() {
            self.warnings.push("there are no VirtualInterfaces: nothing will be held".into());
        }
        if let Some(facility) = draft.log_facility {
            self.warnings.push(format!(
                "LogFacility = {}: as with the original it changes nothing; the log goes to the system's with the facility daemon, or with -d to standard error",
                facility.text.escape_debug()
            ));
        }
        for name in &draft.repeated {
            self.warnings.push(format!(
                "line {}: {} stands more than once; the last one counts",
                name.place.line, name.text
            ));
        }
    }

    fn group(&mut self, draft: &Draft<'_>) -> GroupName {
        let usual = crate::config::default_group();
        let Some(token) = &draft.group else {
            self.assumed.push(format!(
                "no Group: {DEFAULT_GROUP:?}; every machine must be in the same group"
            ));
            return usual;
        };
        GroupName::new(token.text.as_bytes()).unwrap_or_else(|error| {
            let said = error.to_string();
            let (message, remedy) =
                said.split_once("; ").unwrap_or((&said, "write a name such as wack1"));
            self.wrong(token, message, remedy);
            usual
        })
    }

    fn spread(&mut self, draft: &Draft<'_>) -> Endpoint {
        let text = draft.spread.map_or("4803", |token| token.text);
        if draft.spread.is_none() {
            self.assumed.push("no Spread: 4803".into());
        }
        match (text.parse::<Endpoint>(), &draft.spread) {
            (Ok(endpoint), token) if !text.is_empty() => {
                if let (Some(token), Some((message, remedy))) = (token, bad_daemon(&endpoint)) {
                    self.wrong(token, message, remedy);
                }
                endpoint
            }
            (read, token) => {
                if let Some(token) = token {
                    let said = read.err().map(|error| error.to_string()).unwrap_or_default();
                    let remedy =
                        said.split_once("; ").map_or("write a port, such as 4803", |s| s.1);
                    self.wrong(token, "this is no address of a daemon of the bus", remedy);
                }
                Endpoint::Unix("/tmp/4803".into())
            }
        }
    }

    fn control(&mut self, draft: &Draft<'_>) -> Option<PathBuf> {
        control(draft).unwrap_or_else(|mistake| {
            self.note(mistake);
            None
        })
    }

    fn sets(&mut self, draft: &mut Draft<'_>) -> (Vec<Set>, LeftOut) {
        let written = std::mem::take(&mut draft.sets);
        // Filled in behind the judge: where nobody has written a network, nobody has said where it ends.
        let unsaid: HashSet<IpAddr> = written
            .iter()
            .flat_map(|(addresses, _)| addresses)
            .filter(|(text, _)| text.ip.is_ipv4() && text.net.is_none())
            .map(|(text, _)| text.ip)
            .collect();
        let written = written.into_iter().map(|(addresses, place)| Written {
            name: None,
            addresses: addresses.into_iter().map(|(text, token)| (text, false, token)).collect(),
            kernel: true,
            quorum: false,
            place,
        });
        let (mut sets, left_out) = judge::sets(written.collect(), &mut |place, message, remedy| {
            self.wrong(place, message, remedy)
        });
        for address in sets.iter_mut().flat_map(|set| &mut set.addresses) {
            if unsaid.contains(&address.ip) {
                address.net = NET;
            }
        }
        (sets, left_out)
    }

    fn prefer(
        &mut self,
        draft: &Draft<'_>,
        sets: &[Set],
        left_out: &LeftOut,
        ask: &mut Ask<'_>,
    ) -> Vec<IpAddr> {
        if let Some(Wanted::Block(_, token) | Wanted::Host(token)) = draft.prefer.get(ADDRESSES_MAX)
        {
            let message = format!("more than {ADDRESSES_MAX} entries are preferred");
            self.wrong(
                token,
                message,
                "write blocks, or nothing: who prefers everything prefers nothing",
            );
            return Vec::new();
        }
        let mut wanted = Vec::new();
        let mut known = HashSet::new();
        let mut lookups = 0;
        let heads = || sets.iter().map(Set::head);
        for want in &draft.prefer {
            match want {
                Wanted::Block(AddressText { ip, prefix, .. }, token) => {
                    let block = match prefix {
                        Some(length) => Block::around(*ip, *length).unwrap_or(Block::one(*ip)),
                        None => Block::one(*ip),
                    };
                    let inside: Vec<IpAddr> = heads().filter(|ip| block.contains(*ip)).collect();
                    let mut gone = left_out.addresses.iter();
                    if inside.is_empty() && gone.any(|ip| block.contains(*ip)) {
                        continue;
                    }
                    if inside.is_empty() && block != Block::one(*ip) {
                        let message = format!("no set begins with an address of {block}");
                        self.wrong(token, message, "write the first address of a set");
                    } else if inside.is_empty() {
                        wanted.push((*ip, *token));
                    }
                    let inside = inside.into_iter().filter(|ip| known.insert(*ip));
                    wanted.extend(inside.map(|ip| (ip, *token)));
                }
                Wanted::Host(token) => {
                    lookups += 1;
                    if lookups > LOOKUPS_MAX {
                        let message = format!("more than {LOOKUPS_MAX} names are preferred");
                        self.wrong(token, message, "write addresses");
                        break;
                    }
                    let found = match (ask.resolve)(token.text) {
                        Ok(found) => found,
                        Err(why) => {
                            let message = format!("the name leads to no address: {why}");
                            self.wrong(token, message, "write the address, or None");
                            continue;
                        }
                    };
                    let inside: Vec<IpAddr> = heads().filter(|ip| found.contains(ip)).collect();
                    let gone = |ip: &IpAddr| left_out.addresses.contains(ip);
                    if inside.is_empty() && !found.iter().any(gone) {
                        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                        let message = format!(
                            "no set begins with an address of this name ({})",
                            found.join(", ")
                        );
                        self.wrong(token, message, "write the first address of a set");
                    }
                    let inside = inside.into_iter().filter(|ip| known.insert(*ip));
                    wanted.extend(inside.map(|ip| (ip, *token)));
                }
            }
        }
        judge::prefer(wanted, sets, left_out, &mut |place, message, remedy| {
            self.wrong(place, message, remedy)
        })
    }

    fn notify(&mut self, draft: &Draft<'_>, sets: &[Set]) -> Vec<Notify> {
        let mut notify = Vec::new();
        for whom in &draft.notify {
            let (text, throttle, ping, token) = match whom {
                Whom::Cache { ping } => {
                    notify.push(Notify::Neighbours { ping: *ping });
                    continue;
                }
                Whom::Hosts { text, throttle, ping, token } => (text, *throttle, *ping, token),
            };
            if notify.len() == NOTIFY_MAX {
                let message = format!("more than {NOTIFY_MAX} entries");
                self.wrong(token, message, "write blocks of hosts, or arp-cache");
                break;
            }
            let AddressText { interface, ip, prefix, net } = text;
            if net.is_some() {
                let message = "a block of hosts has no network of its own";
                self.wrong(token, message, "leave out the n and what is behind it");
            }
            let whole = Block::one(*ip);
            let block = prefix.and_then(|length| Block::around(*ip, length)).unwrap_or(whole);
            if let Some((message, remedy)) = judge::too_many_hosts(block, sets) {
                self.wrong(token, message, remedy);
            }
            notify.push(Notify::Hosts { interface: interface.clone(), block, throttle, ping });
        }
        notify
    }

    fn hooks(&mut self, draft: &Draft<'_>, folder: &Path, ask: &mut Ask<'_>) -> Vec<Hook> {
        let mut hooks = Vec::new();
        for (token, event) in &draft.hooks {
            if hooks.len() == HOOKS_MAX {
                self.wrong(token, format!("more than {HOOKS_MAX} hooks"), "leave some out");
                break;
            }
            let Some((file, symbol)) = program::function(token.text) else {
                let message = "this is a function of Perl, and there is no Perl in this program";
                self.wrong(token, message, NO_PERL);
                continue;
            };
            match (ask.module)(folder, file) {
                Ok(file) => hooks.push(Hook {
                    event: *event,
                    run: HookRun::Module { file, symbol: symbol.to_owned() },
                    timeout: Duration::from_secs(10),
                    sets: HookSets::All,
                }),
                Err(message) => {
                    self.wrong(token, message, "put it there, or write ModuleDir and its folder");
                }
            }
        }
        hooks
    }
}
