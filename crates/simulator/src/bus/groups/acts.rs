//! What clients do.

use base::Random;
use bytes::Bytes;
use ring::Service;
use spread_wire::limits::{BODY_AND_NAMES_MAX, NAME_FIELD_BYTES};
use spread_wire::{
    ClientMessage, GroupName, Hint, Names, Order, PrivateName, Regular, ServiceType,
};

use super::client::{Client, Deed, End, hint};
use super::crowd::Crowd;
use super::desk::{Desk, Pace, Seat};
use crate::bus::trace::{Content, HEAD, MessageId};
use crate::bus::world::World;

const SERVICES: [ServiceType; 6] = [
    ServiceType::UNRELIABLE_MESS,
    ServiceType::RELIABLE_MESS,
    ServiceType::FIFO_MESS,
    ServiceType::CAUSAL_MESS,
    ServiceType::AGREED_MESS,
    ServiceType::AGREED_MESS,
];

/// The groups that clients at machine `i` may join.
fn rooms(crowd: &Crowd, i: usize) -> Vec<GroupName> {
    let shared = (0..crowd.rooms).map(|room| format!("room{room}"));
    let near = [format!("hall{i}"), format!("pair{}", i / 2)];
    shared.chain(near).filter_map(|name| GroupName::new(name.as_bytes()).ok()).collect()
}

fn below(dice: &mut Random, n: usize) -> usize {
    dice.below(n.max(1) as u32) as usize
}

impl World {
    /// The clients at machine `i` do something, `times` times.
    pub(in crate::bus) fn act_as_clients(&mut self, i: usize, times: usize) {
        let (Some(mut desk), Some(crowd)) = (self.desks[i].take(), self.plan.crowd) else { return };
        let some = below(&mut self.dice, 30);
        desk.pass(self.now, some, &mut self.clients);
        for _ in 0..times {
            self.act_as_one(i, &mut desk, &crowd);
        }
        self.desks[i] = Some(desk);
    }

    fn act_as_one(&mut self, i: usize, desk: &mut Desk, crowd: &Crowd) {
        let there = desk.seats.iter().filter(|seat| !seat.gone).count();
        if there == 0 || there < crowd.sessions && below(&mut self.dice, 2 * there) == 0 {
            return self.connect(i, desk, crowd);
        }
        let at = below(&mut self.dice, desk.seats.len());
        let seat = &mut desk.seats[at];
        if seat.gone {
            return;
        }
        let client = &mut self.clients[seat.client];
        let rooms = rooms(crowd, i);
        let room = rooms[below(&mut self.dice, rooms.len())];
        match self.dice.below(100) {
            0..=17 => join(seat, client, room),
            18..=25 if !seat.anchor => {
                client.deeds.push(Deed::Leave(room));
                seat.written.push_back(ClientMessage::Leave(room));
            }
            26..=27 if !seat.anchor => {
                client.end = Some(End::Asked);
                seat.gone = true;
                seat.written.push_back(ClientMessage::Kill);
                desk.used.push(seat.private);
            }
            28..=29 if !seat.anchor => desk.lose(at, &mut self.clients),
            30..=31 => seat.pace = Pace::Fast,
            number if number < 32 + crowd.slow => {
                let stops = self.dice.below(3) == 0 && !seat.anchor;
                seat.pace = if stops { Pace::Stopped(self.now) } else { Pace::Slow };
            }
            _ => self.talk(desk, at, crowd),
        }
    }

    fn connect(&mut self, i: usize, desk: &mut Desk, crowd: &Crowd) {
        let number = self.clients.len();
        let mut name = PrivateName::new(format!("c{number}").as_bytes()).ok();
        if !desk.used.is_empty() && self.dice.unit() < crowd.reuse {
            name = Some(desk.used[below(&mut self.dice, desk.used.len())]);
        }
        let wants = self.dice.unit() < crowd.wanting;
        let Some(name) = name else { return };
        let Ok(session) = desk.groups.connect(name, wants) else { return };
        let mut seat = Seat::new(number, session, name);
        let private = *desk.groups.private_group(&name).group();
        let mut client = Client::new(self.machines[i].life, private, wants);
        if crowd.anchored && !desk.seats.iter().any(|seat| seat.anchor) {
            seat.anchor = true;
            rooms(crowd, i).into_iter().for_each(|room| join(&mut seat, &mut client, room));
        }
        desk.seats.push(seat);
        self.clients.push(client);
    }

    fn talk(&mut self, desk: &mut Desk, at: usize, crowd: &Crowd) {
        let seat = &mut desk.seats[at];
        let to = self.destinations(crowd, seat.client);
        let dice = &mut self.dice;
        let safe = dice.unit() < self.plan.safe;
        let mut service = match safe {
            true => ServiceType::SAFE_MESS,
            false => SERVICES[below(dice, SERVICES.len())],
        };
        if dice.below(8) == 0 {
            service = service | ServiceType::SELF_DISCARD;
        }
        let most = BODY_AND_NAMES_MAX - to.len() * NAME_FIELD_BYTES;
        let room = self.plan.longest.min(most).saturating_sub(HEAD) as f64;
        let length = HEAD + (room * dice.unit().powi(4)) as usize;
        let client = &mut self.clients[seat.client];
        let number = client.sent.len() as u32 + 1;
        let id = MessageId { life: seat.client as u32, number };
        let service_of_ring = if safe { Service::Safe } else { Service::Agreed };
        let content = Content { id, seen: 0, service: service_of_ring, length };
        let message = Regular {
            service,
            sender: None,
            hint: Hint::new(hint(number), Order::NATIVE),
            groups: Names::new(&to),
            body: Bytes::from(content.encode()),
        };
        client.say(to, service);
        seat.written.push_back(ClientMessage::Multicast(message));
    }

    /// Groups that the client may be in or not, private groups of all times, and what nobody is.
    fn destinations(&mut self, crowd: &Crowd, own: usize) -> Vec<GroupName> {
        let dice = &mut self.dice;
        let count = match dice.below(10) {
            0..=5 => 1,
            6..=8 => 1 + below(dice, crowd.destinations.min(5)),
            _ => 1 + below(dice, crowd.destinations),
        };
        let mut to = Vec::with_capacity(count);
        for _ in 0..count {
            let near = rooms(crowd, below(dice, self.plan.machines));
            let name = match dice.below(12) {
                0 => self.clients[own].name,
                1 => self.clients[below(dice, self.clients.len())].name,
                2 => match GroupName::destination(b"#nobody#nowhere") {
                    Ok(name) if dice.below(2) == 0 => name,
                    _ => near[0],
                },
                _ => near[below(dice, near.len())],
            };
            to.push(name);
        }
        to
    }

    /// All clients read what there is, and do nothing more.
    pub(in crate::bus) fn hush_clients(&mut self) {
        for i in 0..self.desks.len() {
            if let Some(desk) = &mut self.desks[i] {
                desk.hurry(&mut self.clients);
            }
            self.collect(i);
        }
    }
}

fn join(seat: &mut Seat, client: &mut Client, room: GroupName) {
    client.deeds.push(Deed::Join(room));
    seat.written.push_back(ClientMessage::Join(room));
}
