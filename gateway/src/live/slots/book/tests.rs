//! Who gets the answer, and who is told what.

use patchbay_message::InstanceId;
use patchbay_sdk::Reply;

use super::*;

const WAIT: Duration = Duration::from_secs(4);

struct World {
    book: Book<&'static str>,
    now: Instant,
    thread: ThreadId,
}

fn key(name: &str) -> Key {
    let channel = ChannelId::new("service").expect("a channel id");
    (channel, name.to_owned())
}

fn answer(text: &str) -> Arc<RideAnswer> {
    let reply = Reply::Http {
        status: http::StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: text.into(),
    };
    Arc::new(RideAnswer::of(reply).expect("a text"))
}

fn text(answer: &RideAnswer) -> String {
    answer.parts().expect("well-formed").2
}

impl World {
    fn new() -> Self {
        Self {
            book: Book::default(),
            now: Instant::now(),
            thread: ThreadId::new(),
        }
    }

    fn enter(&mut self, name: &str, waiter: &'static str, held_max: u32) -> Arrived<&'static str> {
        let slot = Slot {
            address: "ann".to_owned(),
            deadline: WAIT,
            key: name.to_owned(),
            held_max,
            memory: serde_json::Map::new(),
        };
        let (now, thread) = (self.now, self.thread);
        let since = Time::from_ms(0);
        self.book
            .enter(now, since, &key(name), thread, slot, waiter)
    }

    fn request(&mut self, name: &str, waiter: &'static str) -> u64 {
        match self.enter(name, waiter, 9) {
            Arrived::Held(request) | Arrived::Joined(request, _) => request,
            other => panic!("{other:?}"),
        }
    }

    fn claim(&mut self, message: MessageId) -> Option<String> {
        let granted = self.book.claim(self.now, self.thread, message)?;
        Some(granted.slot.key)
    }

    fn ask(&self, message: MessageId) -> SlotAsk {
        SlotAsk {
            thread_id: self.thread,
            message,
            sinks: InstanceId("sinks".to_owned()),
            ask: 7,
        }
    }

    fn hand(&mut self, message: MessageId, said: &str) -> Option<&'static str> {
        let ask = self.ask(message);
        let handed = self.book.hand(self.now, ask, answer(said));
        handed.map(|(_, waiter)| waiter)
    }
}

#[test]
fn one_message_gets_it_and_no_other() {
    let mut world = World::new();
    world.request("a", "first");
    let (me, other) = (MessageId::new(), MessageId::new());
    assert_eq!(world.claim(me).as_deref(), Some("a"));
    assert_eq!(world.claim(me).as_deref(), Some("a"), "asked again");
    assert_eq!(world.claim(other), None);
    assert_eq!(world.hand(other, "stolen"), None);
    assert_eq!(world.hand(me, "hello"), Some("first"));
    assert_eq!(world.hand(me, "hello"), None, "once");
    assert_eq!(world.claim(other), None, "it has its answer");
    let ask = world.ask(me);
    let told = world.book.told(&key("a"), true);
    assert_eq!(told, Some(Outcome::Written(ask)));
    assert_eq!(world.book.told(&key("a"), true), None, "told once");
}

#[test]
fn a_released_one_is_for_the_next() {
    let mut world = World::new();
    world.request("a", "first");
    let (me, other) = (MessageId::new(), MessageId::new());
    world.claim(me);
    world.book.release(world.thread, other);
    assert_eq!(world.claim(other), None, "not another's to release");
    world.book.release(world.thread, me);
    assert_eq!(world.claim(other).as_deref(), Some("a"));
    assert_eq!(world.hand(me, "hello"), None, "given away");
}

#[test]
fn a_repeat_takes_the_place_of_the_older_request_and_keeps_the_claim() {
    let mut world = World::new();
    let older = world.request("a", "older");
    let me = MessageId::new();
    world.claim(me);
    world.now += WAIT / 2;
    let Arrived::Joined(newer, replaced) = world.enter("a", "newer", 1) else {
        panic!("a repeat needs no room");
    };
    assert_eq!(replaced, "older");
    assert_eq!(world.book.leave(&key("a"), older), None, "not its place");
    assert_eq!(world.hand(me, "hello"), Some("newer"));
    assert_eq!(world.book.leave(&key("a"), newer), None, "it is answered");
}

#[test]
fn a_repeat_after_the_answer_gets_the_same_answer() {
    let mut world = World::new();
    world.request("a", "first");
    let me = MessageId::new();
    world.claim(me);
    world.hand(me, "hello");
    world.book.told(&key("a"), true);
    let Arrived::Again(answer) = world.enter("a", "second", 1) else {
        panic!("it has an answer");
    };
    assert_eq!(text(&answer), "hello");
    assert_eq!(world.claim(MessageId::new()), None);
    assert_eq!(world.book.told(&key("a"), false), None, "it was written");
    world.now += KEPT;
    world.request("b", "another");
    let Arrived::Held(_) = world.enter("a", "late", 9) else {
        panic!("it is forgotten");
    };
}

/// The first connection breaks before it took the answer, while a repeat has it in hand: whether it left
/// us is known only when both have said so.
#[test]
fn nothing_was_written_once_every_connection_says_so() {
    for (second, expected) in [(true, "written"), (false, "not written")] {
        let mut world = World::new();
        world.request("a", "first");
        let me = MessageId::new();
        world.claim(me);
        world.hand(me, "hello");
        world.enter("a", "second", 9);
        assert_eq!(world.book.told(&key("a"), false), None);
        let told = match world.book.told(&key("a"), second) {
            Some(Outcome::Written(_)) => "written",
            Some(Outcome::NotWritten(_)) => "not written",
            None => "nothing",
        };
        assert_eq!(told, expected);
        let again = world.enter("a", "third", 9);
        assert_eq!(again.word(), if second { "again" } else { "held" });
    }
}

#[test]
fn what_ends_soon_is_not_claimed_and_what_ends_first_is_claimed_first() {
    let mut world = World::new();
    world.request("a", "first");
    world.now += WAIT / 2;
    world.request("b", "second");
    let (one, two) = (MessageId::new(), MessageId::new());
    assert_eq!(world.claim(one).as_deref(), Some("a"));
    assert_eq!(world.claim(two).as_deref(), Some("b"));
    let mut world = World::new();
    world.request("a", "first");
    world.now += WAIT + Duration::from_millis(1);
    assert_eq!(world.claim(one), None);
}

#[test]
fn as_many_wait_as_may() {
    let mut world = World::new();
    let first = world.enter("a", "first", 2);
    let Arrived::Held(first) = first else {
        panic!("{first:?}");
    };
    world.enter("b", "second", 2);
    assert_eq!(world.enter("c", "third", 2), Arrived::Full);
    assert!(world.book.waits(world.thread));
    assert_eq!(world.book.leave(&key("a"), first), Some(world.thread));
    assert_eq!(world.enter("c", "third", 2).word(), "held");
    assert_eq!(world.book.held(&key("a").0), 2);
}

#[test]
fn answers_are_kept_up_to_their_bound() {
    let mut world = World::new();
    for n in 0..=KEPT_MAX {
        let name = n.to_string();
        world.request(&name, "request");
        let me = MessageId::new();
        world.claim(me);
        world.hand(me, "hello");
        world.book.told(&key(&name), true);
    }
    assert_eq!(world.enter("0", "again", 9).word(), "held", "forgotten");
    let last = KEPT_MAX.to_string();
    assert_eq!(world.enter(&last, "again", 9).word(), "again");
    assert!(!world.book.waits(ThreadId::new()));
}
