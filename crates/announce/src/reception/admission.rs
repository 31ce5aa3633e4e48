//! What a genuine datagram means: a word of a member, a newcomer to be asked, a proof that settles it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::SocketAddr;

use base::Instant;
use candidacy::Report;
use seal::challenge::Nonce;
use seal::{Entropy, Speaker, Suite};

use super::newcomers::Newcomer;
use super::{Event, Reception, Refused, Transmit, Whereabouts};
use crate::exchange::{Answer, Probe, tag};
use crate::packet::{Decoded, VERSION};

impl<S: Suite> Reception<S> {
    pub(super) fn announced<E: Entropy>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        speaker: Speaker,
        decoded: Decoded,
        entropy: &mut E,
    ) -> Result<(), Refused> {
        let announcement = &decoded.announcement;
        if let Some(member) = self.members.boot_mut(&speaker) {
            if announcement.sequence <= member.sequence {
                member.hear_again(now, from, announcement.sequence);
                return Err(Refused::Duplicate);
            }
            if !member.has_moved(now, from) {
                self.events.push_back(member.hear(now, from, decoded.announcement));
                return Ok(());
            }
        }
        let Some(whereabouts) = Whereabouts::of(announcement, from) else {
            return Err(Refused::Unadmitted);
        };
        if let Some(nonce) = self.newcomers.meet(now, speaker, whereabouts, decoded, entropy) {
            self.transmit(&speaker, whereabouts.exchange, nonce);
        }
        Err(Refused::Unadmitted)
    }

    pub(super) fn answered<E: Entropy>(
        &mut self,
        now: Instant,
        speaker: &Speaker,
        answer: &Answer,
        entropy: &mut E,
    ) -> Result<(), Refused> {
        if let Some(newcomer) = self.newcomers.take_proven(speaker, &answer.nonce) {
            return self.proven(now, newcomer, answer, entropy);
        }
        let round_trip = self.challenges.take(now, speaker, &answer.nonce);
        let (Some(round_trip), Some(member)) = (round_trip, self.members.boot(speaker)) else {
            return Err(Refused::Unasked);
        };
        let (slot, epoch) = (member.slot, member.epoch);
        let report = answer.report;
        // Taken from a rival's contest: both boots answered.
        if let Some(rival) = self.newcomers.take_rival(now, speaker, round_trip) {
            self.events.push_back(Event::TwoBoots {
                machine: speaker.machine,
                slot,
                admitted: (speaker.boot, member.whereabouts.from),
                refused: (rival.speaker.boot, rival.whereabouts.from),
            });
        }
        self.events.push_back(Event::Answered { slot, epoch, report, round_trip });
        Ok(())
    }

    /// A newcomer has answered our number: its boot is alive.
    pub(super) fn proven<E: Entropy>(
        &mut self,
        now: Instant,
        newcomer: Newcomer,
        answer: &Answer,
        entropy: &mut E,
    ) -> Result<(), Refused> {
        let speaker = newcomer.speaker;
        if speaker.machine == self.me.machine {
            self.newcomers.cool(now, speaker, newcomer.whereabouts.exchange);
            let from = newcomer.whereabouts.from;
            self.events.push_back(Event::TwinOfUs { boot: speaker.boot, from });
            return Err(Refused::Double);
        }
        if let Some(member) = self.members.boot_mut(&speaker) {
            // A member that moved has answered from where it is now.
            member.whereabouts = newcomer.whereabouts;
            self.events.push_back(member.hear(
                now,
                newcomer.whereabouts.from,
                newcomer.decoded.announcement,
            ));
            return Ok(());
        }
        let rival = self.members.of(&speaker.machine).map(|m| (m.speaker, m.whereabouts.exchange));
        match rival {
            // Two programs cannot both have one socket address: the old boot is gone.
            Some((old, to)) if to != newcomer.whereabouts.exchange => {
                self.newcomers.contest(now, newcomer);
                self.challenge(now, old, to, entropy);
                Ok(())
            }
            _ => self.admit(now, newcomer, answer.report),
        }
    }

    pub(super) fn admit(
        &mut self,
        now: Instant,
        newcomer: Newcomer,
        report: Report,
    ) -> Result<(), Refused> {
        let Newcomer { speaker, whereabouts, decoded, .. } = newcomer;
        let Decoded { announcement, version } = decoded;
        let Some((slot, epoch, old)) = self.members.admit(now, speaker, whereabouts, &announcement)
        else {
            if self.newcomers.cool(now, speaker, whereabouts.exchange) {
                self.events.push_back(Event::Full { speaker, from: whereabouts.from });
            }
            return Err(Refused::Full);
        };
        if let Some(old) = old {
            self.challenges.forget(&old);
        }
        if version > VERSION {
            self.newer(now, speaker, whereabouts.from, version, true);
        }
        self.events.push_back(Event::Admitted {
            slot,
            epoch,
            speaker,
            replaces: old.map(|old| old.boot),
            report,
            announcement: Box::new(whereabouts.resolve(announcement)),
            whereabouts,
        });
        Ok(())
    }

    /// Says once in a while that somebody speaks a newer version.
    pub(super) fn newer(
        &mut self,
        now: Instant,
        speaker: Speaker,
        from: SocketAddr,
        version: u8,
        understood: bool,
    ) {
        if self.newcomers.may_complain(now, speaker) {
            self.events.push_back(Event::NewerVersion { speaker, from, version, understood });
        }
    }

    pub(super) fn challenge<E: Entropy>(
        &mut self,
        now: Instant,
        speaker: Speaker,
        to: SocketAddr,
        entropy: &mut E,
    ) -> bool {
        let nonce = self.challenges.issue(now, speaker, entropy);
        if let Some(nonce) = nonce {
            self.transmit(&speaker, to, nonce);
        }
        nonce.is_some()
    }

    pub(super) fn transmit(&mut self, whom: &Speaker, to: SocketAddr, nonce: Nonce) {
        let mut bytes = Vec::new();
        self.asker.seal(&Probe { nonce, whom: tag(whom), question: None }, &mut bytes);
        self.transmits.push_back(Transmit { to, bytes });
    }
}
