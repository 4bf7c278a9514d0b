//! Who gets what, without IO: turns, limits, groups, stickiness, waking.

use std::collections::HashMap;

use patchbay_message::{
    AgentId, ChannelId, ContactId, ConversationId, GroupId, Severity, SignalBody, ThreadId,
    TicketId, Time,
};
use patchbay_router::assign::{self, Plan, Step};
use patchbay_store::{
    Agent, Conversation, ConversationState, Facts, Group, Presence, Role, Strategy, Ticket,
    TicketEvent, TicketState,
};
use uuid::Uuid;

fn now() -> Time {
    Time::from_ms(1_777_000_000_000)
}

fn channel(id: &str) -> ChannelId {
    ChannelId::new(id).unwrap()
}

fn agent(n: u128, capacity: u32, load: u32) -> Agent {
    Agent {
        id: AgentId(Uuid::from_u128(n)),
        name: format!("agent {n}"),
        role: Role::Agent,
        capacity,
        load,
        presence: Presence::Online,
        assigned_at: None,
        groups: vec![],
        active: true,
    }
}

fn group(n: u128, strategy: Strategy, members: &[u128], channels: &[&str]) -> Group {
    Group {
        id: GroupId(Uuid::from_u128(n)),
        name: format!("group {n}"),
        strategy,
        members: members
            .iter()
            .map(|&n| AgentId(Uuid::from_u128(n)))
            .collect(),
        channels: channels.iter().map(|id| channel(id)).collect(),
    }
}

fn conversation(n: u128, state: ConversationState) -> Conversation {
    let waits = matches!(state, ConversationState::New | ConversationState::Waiting);
    Conversation {
        id: ConversationId(Uuid::from_u128(n)),
        contact_id: ContactId(Uuid::from_u128(n)),
        thread_id: ThreadId(Uuid::from_u128(n)),
        channel: channel("web"),
        partition: 0,
        state,
        group_id: None,
        agent_id: None,
        last_agent_id: None,
        waiting_since: waits.then(now),
        snoozed_until: None,
        created_at: now(),
        updated_at: now(),
        last_pos: 0,
        unread: 0,
        last_preview: None,
        last_from: None,
        last_message_at: None,
        version: 1,
    }
}

fn desk(agents: Vec<Agent>, groups: Vec<Group>) -> Facts {
    Facts {
        agents: agents.into_iter().map(|agent| (agent.id, agent)).collect(),
        groups: groups.into_iter().map(|group| (group.id, group)).collect(),
        ..Facts::default()
    }
}

fn plan(facts: Facts, strategy: Strategy) -> Plan {
    assign::plan(facts, now(), strategy, &mut Uuid::now_v7)
}

/// Which conversation each step gives to which agent.
fn given(steps: &[Step]) -> Vec<(u128, u128)> {
    steps
        .iter()
        .filter(|step| step.assigns())
        .map(|step| {
            let row = &step.update.row;
            (row.id.0.as_u128(), row.agent_id.unwrap().0.as_u128())
        })
        .collect()
}

fn waiting(n: std::ops::RangeInclusive<u128>) -> Vec<Conversation> {
    n.map(|n| conversation(n, ConversationState::Waiting))
        .collect()
}

#[test]
fn round_robin_takes_turns_within_one_look_and_stops_at_the_limit() {
    let mut facts = desk(vec![agent(1, 2, 0), agent(2, 3, 1)], vec![]);
    facts.waiting = waiting(11..=16);
    let plan = plan(facts, Strategy::RoundRobin);
    assert_eq!(given(&plan.steps), [(11, 1), (12, 2), (13, 1), (14, 2)]);
    let places: Vec<(u128, u32)> = (plan.queue.iter())
        .map(|(id, _, place)| (id.0.as_u128(), *place))
        .collect();
    assert_eq!(places, [(15, 1), (16, 2)]);
}

#[test]
fn least_loaded_fills_the_smallest_share_first() {
    let mut facts = desk(vec![agent(1, 10, 5), agent(2, 4, 1)], vec![]);
    facts.waiting = waiting(11..=13);
    // 1/4, then 2/4 = 5/10 (the agent with the smaller id), then 2/4.
    let plan = plan(facts, Strategy::LeastLoaded);
    assert_eq!(given(&plan.steps), [(11, 2), (12, 1), (13, 2)]);
}

#[test]
fn a_group_gets_its_channels_only_and_counts_its_own_queue() {
    let sales = group(90, Strategy::RoundRobin, &[2], &["web"]);
    let mut facts = desk(vec![agent(1, 5, 0), agent(2, 1, 0)], vec![sales]);
    facts.waiting = waiting(11..=12);
    let mut other = conversation(13, ConversationState::New);
    other.channel = channel("sms");
    facts.waiting.push(other);
    let plan = plan(facts, Strategy::RoundRobin);
    assert_eq!(given(&plan.steps), [(11, 2), (13, 1)]);
    assert_eq!(plan.queue.len(), 1);
    assert_eq!(plan.queue[0].2, 1, "first in its group's queue");
}

#[test]
fn who_had_it_gets_it_again_if_free() {
    let mut facts = desk(vec![agent(1, 5, 0), agent(2, 5, 4), agent(3, 1, 1)], vec![]);
    facts.waiting = waiting(11..=12);
    facts.waiting[0].last_agent_id = Some(AgentId(Uuid::from_u128(2)));
    facts.waiting[1].last_agent_id = Some(AgentId(Uuid::from_u128(3)));
    let plan = plan(facts, Strategy::LeastLoaded);
    assert_eq!(given(&plan.steps), [(11, 2), (12, 1)]);
}

#[test]
fn nobody_who_is_away_inactive_or_an_auditor_is_given_anything() {
    let mut away = agent(1, 5, 0);
    away.presence = Presence::Away;
    let mut gone = agent(2, 5, 0);
    gone.active = false;
    let mut auditor = agent(3, 5, 0);
    auditor.role = Role::Auditor;
    let mut facts = desk(vec![away, gone, auditor], vec![]);
    facts.waiting = vec![conversation(11, ConversationState::New)];
    let plan = plan(facts, Strategy::RoundRobin);
    assert_eq!(given(&plan.steps), []);
    let rows: Vec<ConversationState> = (plan.steps.iter())
        .map(|step| step.update.row.state)
        .collect();
    assert_eq!(rows, [ConversationState::Waiting], "seen, and nobody free");
}

#[test]
fn a_rest_that_is_over_goes_back_to_its_agent_or_into_the_queue() {
    let mut facts = desk(vec![agent(1, 5, 0), agent(2, 1, 1)], vec![]);
    for (n, agent) in [(11, 1), (12, 2)] {
        let mut row = conversation(n, ConversationState::Snoozed);
        row.agent_id = Some(AgentId(Uuid::from_u128(agent)));
        row.snoozed_until = Some(now());
        facts.woken.push(row);
    }
    let plan = plan(facts, Strategy::RoundRobin);
    assert_eq!(given(&plan.steps), [(11, 1)]);
    let queued = &plan.steps[1].update.row;
    assert_eq!(queued.state, ConversationState::Waiting);
    assert_eq!(queued.agent_id, None);
    assert_eq!(queued.last_agent_id, Some(AgentId(Uuid::from_u128(2))));
    assert_eq!(queued.waiting_since, Some(now()));
}

#[test]
fn contacts_are_told_who_has_them_now() {
    let mut facts = desk(vec![agent(1, 5, 0)], vec![]);
    facts.waiting = waiting(11..=11);
    let plan = plan(facts, Strategy::RoundRobin);
    let signal = plan.steps[0].signal.clone().unwrap();
    let agent = Some("agent 1".to_owned());
    assert_eq!(signal.body, SignalBody::Assigned { agent });
    assert_eq!(signal.thread_id, ThreadId(Uuid::from_u128(11)));
}

#[test]
fn an_absent_agents_conversations_go_back_with_their_load() {
    let gone = agent(1, 5, 2);
    let mut rows = vec![
        conversation(11, ConversationState::Open),
        conversation(12, ConversationState::Pending),
        conversation(13, ConversationState::Open),
    ];
    rows[0].agent_id = Some(gone.id);
    rows[1].agent_id = Some(gone.id);
    let steps = assign::requeue(rows, &gone, now(), &mut Uuid::now_v7);
    let states: HashMap<u128, ConversationState> = (steps.iter())
        .map(|step| (step.update.row.id.0.as_u128(), step.update.row.state))
        .collect();
    assert_eq!(states.len(), 2, "not the one somebody else has by now");
    assert!(
        states
            .values()
            .all(|state| *state == ConversationState::Waiting)
    );
    assert!(
        steps
            .iter()
            .all(|step| step.load.as_ref().unwrap().delta == -1)
    );
}

fn ticket(n: u128, severity: Severity, waits_s: i64) -> Ticket {
    let since = Time::from_ms(now().as_ms() - waits_s * 1000);
    Ticket {
        id: TicketId(Uuid::from_u128(n)),
        number: 1,
        channel: channel("web"),
        device: "f7".into(),
        code: format!("E{n}"),
        contact_id: ContactId(Uuid::from_u128(n)),
        conversation_id: ConversationId(Uuid::from_u128(n)),
        partition: 0,
        state: TicketState::New,
        category: None,
        severity,
        title: String::new(),
        group_id: None,
        agent_id: None,
        last_agent_id: None,
        waiting_since: Some(since),
        n_raised: 1,
        n_flaps: 0,
        settles_at: None,
        first_raised_at: since,
        raised_at: since,
        cleared_at: None,
        created_at: since,
        updated_at: since,
        closed_at: None,
        last_pos: 1,
        version: 1,
    }
}

/// Which ticket each step gives to which agent.
fn given_tickets(plan: &Plan) -> Vec<(u128, u128)> {
    let steps = plan.tickets.iter().filter(|step| step.assigns());
    steps
        .map(|step| {
            let row = &step.update.row;
            (row.id.0.as_u128(), row.agent_id.unwrap().0.as_u128())
        })
        .collect()
}

#[test]
fn tickets_and_conversations_share_the_room_and_neither_queue_starves_the_other() {
    let mut facts = desk(vec![agent(1, 4, 0)], vec![]);
    facts.waiting = waiting(11..=14);
    for (row, waits_s) in facts.waiting.iter_mut().zip([40, 20, 5, 1]) {
        row.waiting_since = Some(Time::from_ms(now().as_ms() - waits_s * 1000));
    }
    // Worst first, as they are loaded.
    facts.waiting_tickets = vec![
        ticket(21, Severity::Critical, 30),
        ticket(22, Severity::Minor, 10),
        ticket(23, Severity::Minor, 3),
    ];
    let plan = plan(facts, Strategy::LeastLoaded);
    assert_eq!(given(&plan.steps), [(11, 1), (12, 1)]);
    assert_eq!(given_tickets(&plan), [(21, 1), (22, 1)]);
    assert_eq!(plan.waiting_tickets, 1);
    let first = &plan.tickets[0];
    assert_eq!(first.update.from, TicketState::New);
    assert_eq!(first.update.row.state, TicketState::Processing);
    assert_eq!(first.update.row.waiting_since, None);
    let entry = first.entry.as_ref().unwrap();
    assert_eq!((entry.kind, entry.pos), (TicketEvent::Assigned, 2));
}

#[test]
fn a_ticket_goes_to_its_group_and_to_who_had_it() {
    let sales = group(90, Strategy::RoundRobin, &[2, 3], &["web"]);
    let mut facts = desk(
        vec![agent(1, 5, 0), agent(2, 5, 0), agent(3, 5, 4)],
        vec![sales],
    );
    let mut had = ticket(21, Severity::Major, 9);
    had.state = TicketState::Reopened;
    had.last_agent_id = Some(AgentId(Uuid::from_u128(3)));
    facts.waiting_tickets = vec![had, ticket(22, Severity::Major, 8)];
    let plan = plan(facts, Strategy::RoundRobin);
    assert_eq!(given_tickets(&plan), [(21, 3), (22, 2)]);
    let group = Some(GroupId(Uuid::from_u128(90)));
    assert!((plan.tickets.iter()).all(|step| step.update.row.group_id == group));
}

#[test]
fn what_has_settled_is_to_be_confirmed_if_it_is_cleared() {
    let flapping = |cleared: bool| {
        let mut row = ticket(21, Severity::Major, 90);
        row.state = TicketState::Processing;
        row.agent_id = Some(AgentId(Uuid::from_u128(1)));
        row.settles_at = Some(now());
        row.n_flaps = 3;
        row.cleared_at = cleared.then(now);
        row
    };
    let step = assign::settle(flapping(true), now()).unwrap();
    assert_eq!(step.update.row.state, TicketState::PendingConfirmation);
    assert_eq!(step.update.row.settles_at, None);
    assert_eq!(step.entry.unwrap().kind, TicketEvent::Settled);
    assert!(step.load.is_none(), "its agent keeps it");
    let step = assign::settle(flapping(false), now()).unwrap();
    assert_eq!(step.update.row.state, TicketState::Processing);
    assert_eq!(step.update.row.settles_at, None);
    assert!(step.entry.is_none());
    assert_eq!(step.update.row.n_flaps, 0, "its next clear is not held");
    let before = Time::from_ms(now().as_ms() - 1);
    assert!(assign::settle(flapping(true), before).is_none(), "not yet");
}

#[test]
fn an_absent_agents_tickets_go_back_or_are_anybodys() {
    let gone = agent(1, 5, 2);
    let mut rows: Vec<Ticket> = (21..24).map(|n| ticket(n, Severity::Major, 9)).collect();
    rows[0].state = TicketState::Processing;
    rows[1].state = TicketState::PendingConfirmation;
    rows[2].state = TicketState::Processing;
    for row in &mut rows[..2] {
        row.agent_id = Some(gone.id);
        row.waiting_since = None;
    }
    let steps = assign::requeue_tickets(rows, &gone, now());
    let states: Vec<TicketState> = steps.iter().map(|step| step.update.row.state).collect();
    assert_eq!(
        states,
        [TicketState::Reopened, TicketState::PendingConfirmation]
    );
    for step in &steps {
        assert_eq!(step.update.row.agent_id, None);
        assert_eq!(step.update.row.last_agent_id, Some(gone.id));
        assert_eq!(step.load.as_ref().unwrap().delta, -1);
    }
}
