//! Agents, groups, tokens.

use std::time::Duration;

use patchbay_message::{AgentId, GroupId, TokenId};
use patchbay_store::{
    AgentLoad, AgentUpdate, Changes, CommitError, ConversationState, Group, Presence, Role,
    Strategy, Token, limits,
};

use crate::world::{Dyn, agent, group, now, race, talk_with, web};

fn change(id: AgentId) -> AgentUpdate {
    AgentUpdate {
        id,
        name: None,
        role: None,
        capacity: None,
        groups: None,
        active: None,
    }
}

fn one_more(agent: AgentId, delta: i32, force: bool) -> Changes {
    Changes {
        loads: vec![AgentLoad {
            agent,
            delta,
            force,
            assigned_at: None,
        }],
        ..Changes::default()
    }
}

async fn load(store: &Dyn, id: AgentId) -> u32 {
    let agents = store.agents().await.unwrap();
    agents.iter().find(|agent| agent.id == id).unwrap().load
}

pub(crate) async fn are_made_and_changed(store: &Dyn) {
    let sales = group(store, "Sales", &[]).await;
    let id = AgentId::new();
    let new = AgentUpdate {
        name: Some("Ada".to_owned()),
        role: Some(Role::Supervisor),
        ..change(id)
    };
    let made = store.save_agent(&new).await.unwrap();
    assert_eq!((made.name.as_str(), made.role), ("Ada", Role::Supervisor));
    assert_eq!(made.capacity, limits::CAPACITY_DEFAULT);
    assert_eq!(
        (made.load, made.presence, made.active),
        (0, Presence::Offline, true)
    );
    assert_eq!((made.groups.len(), made.assigned_at), (0, None));

    let more = AgentUpdate {
        capacity: Some(9),
        groups: Some(vec![sales]),
        ..change(id)
    };
    let changed = store.save_agent(&more).await.unwrap();
    assert_eq!(changed.name, "Ada", "what is not said stays");
    assert_eq!((changed.capacity, changed.groups.clone()), (9, vec![sales]));
    assert_eq!(
        store.groups().await.unwrap()[0].members,
        [id],
        "both sides know"
    );
    assert_eq!(store.agents().await.unwrap(), [changed]);
    let kinds: Vec<_> = store.events(0, 10).await.unwrap();
    assert_eq!(kinds.len(), 2);
    assert!(
        kinds
            .iter()
            .all(|event| event.kind == "agent" && event.agent_id == Some(id))
    );
}

pub(crate) async fn what_cannot_be_is_refused(store: &Dyn) {
    agent(store, "Ada", 3).await;
    let bob = agent(store, "Bob", 3).await;
    let events = store.event_bounds().await.unwrap();
    let taken = AgentUpdate {
        name: Some("Ada".to_owned()),
        ..change(bob)
    };
    let conflict = store.save_agent(&taken).await.unwrap_err();
    assert!(
        matches!(conflict, CommitError::Conflict(_)),
        "a name twice: {conflict}"
    );
    let refused = [
        change(AgentId::new()),
        AgentUpdate {
            capacity: Some(limits::CAPACITY_MAX + 1),
            ..change(bob)
        },
        AgentUpdate {
            name: Some(" ".to_owned()),
            ..change(bob)
        },
        AgentUpdate {
            groups: Some(vec![GroupId::new()]),
            ..change(bob)
        },
    ];
    for update in refused {
        let error = store.save_agent(&update).await.unwrap_err();
        assert!(
            matches!(error, CommitError::Refused(_)),
            "{update:?}: {error}"
        );
    }
    assert_eq!(
        store.event_bounds().await.unwrap(),
        events,
        "nothing happened"
    );
}

pub(crate) async fn are_loaded_to_capacity_by_one_of_many(store: &Dyn) {
    let ada = agent(store, "Ada", 3).await;
    let commits = (0..16).map(|_| one_more(ada, 1, false)).collect();
    assert_eq!(
        race(store, commits).await,
        3,
        "as many as there is room for"
    );
    assert_eq!(load(store, ada).await, 3);
}

pub(crate) async fn are_loaded_past_it_by_force_only(store: &Dyn) {
    let ada = agent(store, "Ada", 1).await;
    store.commit(one_more(ada, 1, false)).await.unwrap();
    let refuses = async |why: &str| {
        let refused = store.commit(one_more(ada, 1, false)).await.unwrap_err();
        assert!(
            matches!(refused, CommitError::Conflict(_)),
            "{why}: {refused}"
        );
    };
    refuses("is full").await;
    store
        .commit(one_more(ada, 1, true))
        .await
        .expect("a supervisor insists");
    assert_eq!(load(store, ada).await, 2);
    store.commit(one_more(ada, -3, false)).await.unwrap();
    assert_eq!(load(store, ada).await, 0, "never below zero");

    for presence in [Presence::Away, Presence::Offline] {
        store.presence(ada, presence).await.unwrap();
        refuses("is not online").await;
    }
    let at = now();
    let forced = Changes {
        loads: vec![AgentLoad {
            agent: ada,
            delta: 1,
            force: true,
            assigned_at: Some(at),
        }],
        ..Changes::default()
    };
    store.commit(forced).await.expect("offline too");
    assert_eq!(store.agents().await.unwrap()[0].assigned_at, Some(at));
    let nobody = store
        .commit(one_more(AgentId::new(), 1, true))
        .await
        .unwrap_err();
    assert!(matches!(nobody, CommitError::Conflict(_)), "{nobody}");
}

pub(crate) async fn presence_is_an_event_once(store: &Dyn) {
    let ada = agent(store, "Ada", 1).await;
    let (before, _) = store.event_bounds().await.unwrap();
    let away = store.presence(ada, Presence::Away).await.unwrap();
    assert_eq!(away.presence, Presence::Away);
    store.presence(ada, Presence::Away).await.unwrap();
    let events = store.events(before, 10).await.unwrap();
    assert_eq!(events.len(), 1, "the same again is no news");
    assert_eq!(
        (events[0].kind.as_str(), events[0].agent_id),
        ("agent", Some(ada))
    );
    assert_eq!(events[0].data, serde_json::json!({ "agent_id": ada }));

    let inactive = AgentUpdate {
        active: Some(false),
        ..change(ada)
    };
    let gone = store.save_agent(&inactive).await.unwrap();
    assert_eq!((gone.active, gone.presence), (false, Presence::Offline));
    let still = store.presence(ada, Presence::Online).await.unwrap();
    assert_eq!(
        still.presence,
        Presence::Offline,
        "who may not work is not online"
    );
    store
        .presence(AgentId::new(), Presence::Online)
        .await
        .unwrap_err();
}

pub(crate) async fn lapse_when_their_console_is_gone(store: &Dyn) {
    let ada = agent(store, "Ada", 1).await;
    let bob = agent(store, "Bob", 1).await;
    let api = agent(store, "Robot", 1).await;
    let at = now();
    let later = |seconds| at.plus(Duration::from_secs(seconds));
    store.console_seen(&[ada, bob], later(30)).await.unwrap();
    store.console_seen(&[bob], later(60)).await.unwrap();
    assert_eq!(store.lapse(later(29)).await.unwrap(), []);
    let (before, _) = store.event_bounds().await.unwrap();
    let lapsed = store.lapse(later(30)).await.unwrap();
    assert_eq!(lapsed.len(), 1);
    assert_eq!((lapsed[0].id, lapsed[0].presence), (ada, Presence::Offline));
    let events = store.events(before, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].agent_id, Some(ada));

    store.presence(ada, Presence::Online).await.unwrap();
    assert_eq!(
        store.lapse(later(31)).await.unwrap(),
        [],
        "comes back through the API: stays"
    );
    store.presence(bob, Presence::Away).await.unwrap();
    let lapsed = store.lapse(later(3600)).await.unwrap();
    let who: Vec<_> = lapsed.iter().map(|agent| agent.id).collect();
    assert_eq!(who, [bob], "away lapses too; {api} never had a console");
}

pub(crate) async fn groups_are_made_changed_and_deleted(store: &Dyn) {
    let ada = agent(store, "Ada", 1).await;
    let mut sales = Group {
        id: GroupId::new(),
        name: "Sales".to_owned(),
        strategy: Strategy::RoundRobin,
        members: vec![ada],
        channels: vec![web()],
    };
    store.save_group(&sales).await.unwrap();
    assert_eq!(store.groups().await.unwrap(), [sales.clone()]);
    sales.strategy = Strategy::LeastLoaded;
    sales.members.clear();
    sales.channels.clear();
    store.save_group(&sales).await.unwrap();
    assert_eq!(store.groups().await.unwrap(), [sales.clone()]);
    assert_eq!(store.agents().await.unwrap()[0].groups, []);

    let twin = Group {
        id: GroupId::new(),
        ..sales.clone()
    };
    let conflict = store.save_group(&twin).await.unwrap_err();
    assert!(
        matches!(conflict, CommitError::Conflict(_)),
        "a name twice: {conflict}"
    );
    let stranger = Group {
        members: vec![AgentId::new()],
        ..sales.clone()
    };
    let refused = store.save_group(&stranger).await.unwrap_err();
    assert!(matches!(refused, CommitError::Refused(_)), "{refused}");

    talk_with(store, "v", ConversationState::Waiting, |row| {
        row.group_id = Some(sales.id)
    })
    .await;
    let conflict = store.delete_group(sales.id).await.unwrap_err();
    assert!(
        matches!(conflict, CommitError::Conflict(_)),
        "somebody waits: {conflict}"
    );
    let empty = group(store, "Empty", &[ada]).await;
    store.delete_group(empty).await.unwrap();
    assert_eq!(store.groups().await.unwrap(), [sales]);
    assert_eq!(store.agents().await.unwrap()[0].groups, []);
}

pub(crate) async fn tokens_end(store: &Dyn) {
    let ada = agent(store, "Ada", 1).await;
    let token = |name: &str, agent_id, expires_at| Token {
        id: TokenId::new(),
        name: name.to_owned(),
        role: Role::Agent,
        agent_id,
        created_at: now(),
        expires_at,
        revoked_at: None,
    };
    let long = token(
        "console",
        Some(ada),
        Some(now().plus(Duration::from_secs(600))),
    );
    let old = token("old", None, Some(now().minus(Duration::from_secs(1))));
    let machine = token("machine", None, None);
    for (n, row) in [&long, &old, &machine].into_iter().enumerate() {
        let sha256 = [u8::try_from(n).unwrap(); 32];
        store.save_token(row, &sha256).await.unwrap();
    }
    assert_eq!(
        store.tokens().await.unwrap(),
        [long.clone(), old, machine.clone()]
    );
    assert_eq!(store.token(&[0; 32]).await.unwrap(), Some(long.clone()));
    assert_eq!(store.token(&[1; 32]).await.unwrap(), None, "expired");
    assert_eq!(store.token(&[9; 32]).await.unwrap(), None, "unknown");
    store
        .save_token(&machine, &[3; 32])
        .await
        .expect_err("the same id again");

    assert!(store.revoke_token(machine.id).await.unwrap());
    assert!(!store.revoke_token(TokenId::new()).await.unwrap());
    assert_eq!(store.token(&[2; 32]).await.unwrap(), None, "ended");
    let rows = store.tokens().await.unwrap();
    let ended = rows.iter().find(|row| row.id == machine.id).unwrap();
    assert!(ended.revoked_at.is_some(), "its row stays");

    let inactive = AgentUpdate {
        active: Some(false),
        ..change(ada)
    };
    store.save_agent(&inactive).await.unwrap();
    assert_eq!(
        store.token(&[0; 32]).await.unwrap(),
        None,
        "its agent may not sign in"
    );
}
