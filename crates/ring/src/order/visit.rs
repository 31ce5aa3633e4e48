//! What is done with the token while it is here.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{LINGER, Order, Packet, Passed, QUIET, RESEND_FIRST, Step, ranges};
use crate::outbox::{Fan, To};
use crate::settings::UNSTABLE_MAX;
use crate::wire::{DATA_HEAD, Data, Message, Rest, Tag, Token};

/// Packets sent again in one visit.
const AGAIN_MAX: usize = 64;
/// A resting token goes round so often, so that every member's wish for the timeout is heard.
const ROUND: Duration = Duration::from_secs(1);
/// More than one packet lost of so many sent is much, at one member.
const MUCH: u32 = 8;
/// The window never falls below this many packets, nor below one for each member.
const WINDOW_LEAST: u16 = 8;

impl Order {
    /// The token arrived.
    pub(super) fn visit(&mut self, mut token: Token, step: &mut Step<'_>) {
        let known = self.limit;
        self.limit = token.seq;
        self.store.learn(token.seq);
        token.sent = token.sent.saturating_sub(self.my_sent);
        token.backlogged = token.backlogged.saturating_sub(self.my_backlog.into());
        self.my_backlog = false;

        let mut again = self.send_again(&mut token, step);
        self.acknowledge(&mut token, step);

        let limit = if step.settings.accelerated == 0 { token.seq } else { known };
        let mine = self.store.missing(limit);
        let wanted: u64 = mine.iter().map(|(_, count)| count).sum();
        // Of whoever lost most: what many lose a little of each is no full buffer.
        token.lost = token.lost.max(u32::try_from(wanted).unwrap_or(u32::MAX));
        self.adapt(&mut token);
        if wanted > 0 {
            self.counters.requested += wanted;
            let stable = token.stable();
            token.missing = union(&token.missing, &mine);
            token.missing.retain(|(first, _)| *first > stable);
            again += 1;
        }
        if again > 0 || !step.queue.is_empty() || !token.missing.is_empty() {
            token.idle = 0;
        }
        self.my_sent = again as u32;
        token.sent = token.sent.saturating_add(again as u32);
        self.send_and_decide(token, step);
    }

    /// Sends what others miss and takes it off the list. What few miss, and what was sent to all again already, goes
    /// to those singly who may miss it: somebody may hear no multicast of ours.
    fn send_again(&mut self, token: &mut Token, step: &mut Step<'_>) -> usize {
        let mut sent = 0;
        let mut left = Vec::new();
        for seq in token.missing.iter().flat_map(|&(first, count)| first..first + count) {
            let Some(packet) = self.store.get_mut(seq).filter(|_| sent < AGAIN_MAX) else {
                left.push(seq);
                continue;
            };
            let lacking = token.arus.iter().zip(&self.members).enumerate();
            let lacking = lacking.filter(|(at, (aru, _))| *at != self.me && **aru < seq);
            let lacking: Vec<Tag> = lacking.map(|(_, (_, tag))| *tag).collect();
            let singly = core::mem::replace(&mut packet.resent, true) || lacking.len() < 2;
            let data = Data {
                ring: self.short,
                seq,
                token: token.number,
                sender: packet.sender,
                keeps: false,
                recovery: false,
                relay: false,
                body: &packet.body,
            };
            let message = Message::Data(data);
            if singly {
                step.outbox.fan(&Fan { singly: lacking, ..Fan::default() }, &message);
            } else {
                step.outbox.fan(step.fan, &message);
            }
            sent += 1;
        }
        self.counters.resent += sent as u64;
        token.missing = ranges(left.into_iter());
        sent
    }

    /// Writes into the token what is here, and learns from it what is everywhere.
    fn acknowledge(&mut self, token: &mut Token, step: &mut Step<'_>) {
        if !step.held_up {
            token.arus[self.me] = self.store.aru().min(token.seq);
        }
        let wish = u16::try_from(self.wish.as_millis()).unwrap_or(u16::MAX);
        // The greatest wish holds; it sinks slowly, a step for each visit of the first member, when nobody renews it.
        if self.me == 0 {
            token.timeout = token.timeout.saturating_sub(token.timeout / 64 + 1);
        }
        token.timeout = token.timeout.max(wish);
        self.timeout = Duration::from_millis(token.timeout.into());
        self.settle(token.stable(), step.events);
        let stable = token.stable();
        token.missing.retain(|(first, _)| *first > stable);
    }

    /// Once in a rotation, at the first member: much loss narrows the window by a third, none widens it. A little
    /// (a bad wire, not a full buffer) leaves it, for sending less would not help.
    fn adapt(&self, token: &mut Token) {
        if self.me != 0 {
            return;
        }
        if token.lost > token.sent / MUCH {
            let least = WINDOW_LEAST.max(self.members.len() as u16);
            token.window = (token.window - token.window / 3).max(least);
        } else if token.lost == 0 {
            token.window = token.window.saturating_add(1 + token.window / 32);
        }
        token.lost = 0;
    }

    /// Sends what the windows allow, then keeps the token, lets it rest, or passes it on.
    pub(super) fn send_and_decide(&mut self, mut token: Token, step: &mut Step<'_>) {
        token.window = token.window.clamp(1, step.settings.window.max(1));
        self.window = token.window;
        if self.alone() {
            return self.send_alone(token, step);
        }
        let (packets, safe) = self.number(&mut token, step);
        let sent = packets.len();
        self.my_sent += sent as u32;
        token.sent = token.sent.saturating_add(sent as u32);
        let backlog = !step.queue.is_empty();
        token.backlogged = token.backlogged.saturating_sub(self.my_backlog.into());
        token.backlogged = token.backlogged.saturating_add(backlog.into());
        self.my_backlog = backlog;
        if sent > 0 {
            (token.last_sender, token.idle) = (self.me as u8, 0);
        }
        let all = token.arus.iter().all(|aru| *aru == token.seq);
        if all && !backlog && self.may_rest(&token) {
            self.transmit(&packets, token.number, true, step);
            return self.rest(token, step);
        }
        let unstable = token.seq - token.stable();
        let quiet = step.now.since(self.others) > QUIET;
        if sent > 0
            && !backlog
            && !safe
            && quiet
            && token.missing.is_empty()
            && unstable < u64::from(token.window / 2)
        {
            self.transmit(&packets, token.number, true, step);
            let until = step.now + LINGER;
            self.linger = Some(self.linger.map_or(until, |at| at.min(until)));
            self.token = Some(token);
            self.sign = step.now;
            return;
        }
        if step.held_up && sent == 0 && token.missing.is_empty() {
            // Going round fast would only take processor time from those who are to catch up.
            let until = step.now + LINGER;
            self.linger = Some(self.linger.map_or(until, |at| at.min(until)));
            self.token = Some(token);
            self.sign = step.now;
            return;
        }
        // The accelerated ring: the token goes first, the last packets after it.
        let late = usize::from(step.settings.accelerated).min(sent / 2);
        let (before, after) = packets.split_at(sent - late);
        let number = token.number;
        self.transmit(before, number, false, step);
        self.pass_on(token, step);
        self.transmit(after, number, false, step);
    }

    /// With nobody else there is nothing to wait for.
    fn send_alone(&mut self, mut token: Token, step: &mut Step<'_>) {
        while !step.queue.is_empty() {
            token.sent = 0;
            self.number(&mut token, step);
        }
        self.sign = step.now;
        self.token = Some(token);
    }

    /// Numbers packets from the queue, as many as may be sent now. The second value: one of them ends a safe message.
    fn number(&mut self, token: &mut Token, step: &mut Step<'_>) -> (Vec<u64>, bool) {
        let window = u32::from(token.window);
        let share = window / (u32::from(token.backlogged) + 1);
        let spare = window.saturating_sub(token.sent);
        let ahead = (token.stable() + UNSTABLE_MAX).saturating_sub(token.seq);
        let most = u64::from(spare.min(share.max(1))).min(ahead);
        let room = step.settings.datagram - DATA_HEAD;
        let (mut packets, mut safe) = (Vec::new(), false);
        while (packets.len() as u64) < most && !step.queue.is_empty() {
            let (body, ends_safe) = step.queue.fill(room);
            token.seq += 1;
            safe |= ends_safe;
            let packet = Packet::new(self.me as u8, Bytes::from(body));
            // The holder of the token has everything it numbers; a hole below stays one.
            self.store.insert(token.seq, packet);
            packets.push(token.seq);
        }
        if !packets.is_empty() {
            self.counters.sent += packets.len() as u64;
            if !step.held_up || self.alone() {
                token.arus[self.me] = self.store.aru().min(token.seq);
            }
            self.settle(token.stable(), step.events);
        }
        (packets, safe)
    }

    fn transmit(&mut self, packets: &[u64], token: u64, keeps: bool, step: &mut Step<'_>) {
        if self.alone() {
            return;
        }
        for &seq in packets {
            let Some(packet) = self.store.get(seq) else { continue };
            let data = Data {
                ring: self.short,
                seq,
                token,
                sender: packet.sender,
                keeps,
                recovery: false,
                relay: false,
                body: &packet.body,
            };
            step.outbox.fan(step.fan, &Message::Data(data));
        }
    }

    /// Whether the token, with everything everywhere, may stay here: with whoever sent last, or with anybody
    /// after nobody had anything to do for a whole rotation.
    fn may_rest(&self, token: &Token) -> bool {
        usize::from(token.last_sender) == self.me || usize::from(token.idle) >= self.members.len()
    }

    fn rest(&mut self, mut token: Token, step: &mut Step<'_>) {
        let told = self.resting == Some(self.me);
        token.idle = 0;
        self.linger = Some(step.now + ROUND);
        self.sign = step.now;
        if !told {
            let rest = Rest {
                ring: self.short,
                number: token.number,
                seq: token.seq,
                holder: self.me as u8,
                relay: false,
            };
            step.outbox.fan(step.fan, &Message::Rest(rest));
        }
        self.resting = Some(self.me);
        self.token = Some(token);
    }

    pub(super) fn pass_on(&mut self, mut token: Token, step: &mut Step<'_>) {
        token.idle = token.idle.saturating_add(1);
        let next = self.members[(self.me + 1) % self.members.len()];
        self.pass(token, next, step);
    }

    pub(super) fn pass(&mut self, mut token: Token, to: Tag, step: &mut Step<'_>) {
        (self.linger, self.resting) = (None, None);
        token.number += 1;
        let number = token.number;
        let datagram = Bytes::from(Message::Token(token).encode());
        step.outbox.put(To::Peer(to), datagram.clone());
        self.passed_at = step.now;
        self.sign = step.now;
        let (again, wait) = (step.now + RESEND_FIRST, RESEND_FIRST);
        self.passed = Some(Passed { number, to, datagram, again, wait });
        if !step.queue.is_empty() {
            self.want = Some(self.comes_by());
        }
    }
}

/// Both lists of ranges as one.
fn union(a: &[(u64, u64)], b: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut numbers: Vec<u64> =
        a.iter().chain(b).flat_map(|&(first, count)| first..first + count).collect();
    numbers.sort_unstable();
    numbers.dedup();
    ranges(numbers.into_iter())
}
