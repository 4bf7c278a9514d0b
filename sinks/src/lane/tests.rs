//! Whatever comes, in whatever order, with whatever failures: a lane performs 1..n in order, once.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::{After, Arrive, Lane, Wake};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Bus(u64),
    Store(u64),
}

impl Item {
    fn seq(self) -> u64 {
        match self {
            Self::Bus(seq) | Self::Store(seq) => seq,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Deliver { room: bool },
    Finish,
    Fail,
    Wake,
    Refill,
    Crash,
}

/// A bus, a store and a lane between them. Commits happen at once, acks with them.
struct World {
    queue: VecDeque<u64>,
    /// Delivered, not acked.
    open: Vec<u64>,
    done: u64,
    parked: BTreeMap<u64, ()>,
    lane: Lane<Item>,
    running: Option<Item>,
    refilling: bool,
    performed: Vec<u64>,
    held_most: usize,
}

const REFILL_MAX: usize = 3;

impl World {
    fn new(arrivals: Vec<u64>) -> Self {
        Self {
            queue: arrivals.into(),
            open: Vec::new(),
            done: 0,
            parked: BTreeMap::new(),
            lane: Lane::new(0, None, 0),
            running: None,
            refilling: false,
            performed: Vec::new(),
            held_most: 0,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Deliver { room } => self.deliver(room),
            Act::Finish => self.finish(),
            Act::Fail => self.fail(),
            Act::Wake => self.wake(),
            Act::Refill => self.refill(),
            Act::Crash => self.crash(),
        }
        self.held_most = self.held_most.max(self.lane.held());
    }

    fn deliver(&mut self, room: bool) {
        let Some(seq) = self.queue.pop_front() else {
            return;
        };
        self.open.push(seq);
        match self.lane.arrive(seq, Item::Bus(seq), room) {
            Arrive::Start(item) => self.start(item),
            Arrive::Held => {}
            Arrive::Park(item) => self.park(item),
            Arrive::Repeat(item) => self.ack(item),
        }
    }

    fn start(&mut self, item: Item) {
        assert_eq!(self.running, None, "one at a time");
        assert_eq!(item.seq(), self.done + 1, "in order");
        self.running = Some(item);
    }

    fn park(&mut self, item: Item) {
        self.parked.insert(item.seq(), ());
        self.ack(item);
    }

    fn ack(&mut self, item: Item) {
        if let Item::Bus(seq) = item {
            let at = self.open.iter().position(|open| *open == seq);
            self.open.remove(at.expect("acked once"));
        }
    }

    fn finish(&mut self) {
        let Some(item) = self.running.take() else {
            return;
        };
        self.performed.push(item.seq());
        self.done = item.seq();
        self.parked.remove(&item.seq());
        self.ack(item);
        let after = self.lane.performed();
        self.after(after);
    }

    fn fail(&mut self) {
        let Some(item) = self.running.take() else {
            return;
        };
        self.park(item);
        for held in self.lane.rest() {
            self.park(held);
        }
    }

    fn wake(&mut self) {
        let Some((&seq, ())) = self.parked.first_key_value() else {
            return;
        };
        if seq != self.done + 1 {
            return;
        }
        match self.lane.wake(seq) {
            Wake::Start => self.start(Item::Store(seq)),
            Wake::Stale => panic!("nothing is stale when commits happen at once"),
            Wake::NotYet => {}
        }
    }

    fn refill(&mut self) {
        if !std::mem::take(&mut self.refilling) {
            return;
        }
        let rows: Vec<_> = self
            .parked
            .keys()
            .take(REFILL_MAX)
            .map(|seq| (*seq, Item::Store(*seq)))
            .collect();
        let complete = rows.len() < REFILL_MAX;
        let (after, repeats) = self.lane.refilled(rows, complete);
        for repeat in repeats {
            self.ack(repeat);
        }
        self.after(after);
    }

    fn after(&mut self, after: After<Item>) {
        match after {
            After::Start(item) => self.start(item),
            After::Refill => self.refilling = true,
            After::Idle(behind) => behind.into_iter().for_each(|item| self.park(item)),
        }
    }

    /// The process dies before what runs is performed; the bus delivers again what was not acked.
    fn crash(&mut self) {
        self.running = None;
        self.refilling = false;
        for seq in std::mem::take(&mut self.open).into_iter().rev() {
            self.queue.push_front(seq);
        }
        let first = self.parked.keys().next().copied();
        let parked = u32::try_from(self.parked.len()).expect("few");
        self.lane = Lane::new(self.done, first, parked);
    }

    fn settle(&mut self, n: u64) {
        for _ in 0..10_000 {
            if self.done == n && self.queue.is_empty() && !self.refilling {
                return;
            }
            self.deliver(true);
            self.finish();
            self.refill();
            self.wake();
        }
        panic!("stuck at {} of {n}", self.done);
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => any::<bool>().prop_map(|room| Act::Deliver { room }),
        6 => Just(Act::Finish),
        2 => Just(Act::Fail),
        3 => Just(Act::Wake),
        4 => Just(Act::Refill),
        1 => Just(Act::Crash),
    ];
    prop::collection::vec(act, 0..200)
}

/// Every number at least once, mostly in order, some twice.
fn arrivals() -> impl Strategy<Value = (u64, Vec<u64>)> {
    (1_u64..30).prop_flat_map(|n| {
        let repeats = prop::collection::vec(1..=n, 0..10);
        let swaps = prop::collection::vec((0_usize..40, 0_usize..40), 0..10);
        (repeats, swaps).prop_map(move |(repeats, swaps)| {
            let mut all: Vec<u64> = (1..=n).chain(repeats).collect();
            for (a, b) in swaps {
                let len = all.len();
                all.swap(a % len, b % len);
            }
            (n, all)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn performs_everything_in_order_once((n, arrivals) in arrivals(), acts in acts()) {
        let mut world = World::new(arrivals);
        for act in acts {
            world.act(act);
        }
        world.settle(n);
        prop_assert_eq!(&world.performed, &(1..=n).collect::<Vec<_>>());
        prop_assert!(world.parked.is_empty());
        prop_assert!(world.open.is_empty());
        prop_assert!(world.lane.is_idle());
    }
}

#[test]
fn a_resting_first_keeps_what_follows_behind_it() {
    let mut lane = Lane::new(0, None, 0);
    assert_eq!(lane.arrive(1, 'a', true), Arrive::Start('a'));
    assert_eq!(lane.arrive(2, 'b', true), Arrive::Held);
    assert_eq!(lane.arrive(3, 'c', false), Arrive::Park('c'));
    assert_eq!(lane.rest(), vec!['b']);
    assert_eq!(lane.arrive(4, 'd', true), Arrive::Park('d'));
    assert_eq!(lane.wake(2), Wake::NotYet);
    assert_eq!(lane.wake(1), Wake::Start);
    assert_eq!(lane.performed(), After::Refill);
    let rows = vec![(2, 'b'), (3, 'c'), (4, 'd')];
    assert_eq!(lane.refilled(rows, true), (After::Start('b'), vec![]));
    assert_eq!(lane.performed(), After::Start('c'));
    assert_eq!(lane.performed(), After::Start('d'));
    assert_eq!(lane.performed(), After::Idle(vec![]));
}

#[test]
fn a_number_already_performed_is_a_repeat() {
    let mut lane = Lane::new(7, None, 0);
    assert_eq!(lane.arrive(7, (), true), Arrive::Repeat(()));
    assert_eq!(lane.wake(7), Wake::Stale);
    assert_eq!(lane.next(), 8);
}
