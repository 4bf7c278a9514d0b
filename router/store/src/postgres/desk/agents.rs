//! Agents: whether they are there, and what is changed about them.

use patchbay_message::{AgentId, Time};

use super::{commit, run};
use crate::{
    Agent, AgentUpdate, NewEvent, Presence, Role,
    check::agent_update,
    limits::CAPACITY_DEFAULT,
    postgres::{
        PostgresStore,
        error::Fail,
        events,
        rows::{self, select_agent},
        sql::{Step, column, params},
    },
};

pub(super) async fn save(store: &PostgresStore, update: &AgentUpdate) -> Result<Agent, Fail> {
    agent_update(update)?;
    let mut connection = store.desk().await?;
    let transaction = connection.transaction().await?;
    let changed = run(
        &transaction,
        "UPDATE agent SET name = coalesce($2, name), role = coalesce($3, role),
             capacity = coalesce($4, capacity), active = coalesce($5, active),
             presence = CASE WHEN $5 = false THEN 'offline' ELSE presence END
         WHERE id = $1 RETURNING id",
        &[
            &update.id.0,
            &update.name,
            &update.role.map(Role::as_str),
            &update.capacity.map(i64::from),
            &update.active,
        ],
    )
    .await?;
    if changed.affected == 0 {
        create(&transaction, update).await?;
    }
    if let Some(groups) = &update.groups {
        let sql = "DELETE FROM grp_agent WHERE agent = $1";
        run(&transaction, sql, &[&update.id.0]).await?;
        for group in groups {
            let added = run(
                &transaction,
                "INSERT INTO grp_agent AS g (grp, agent) SELECT id, $2 FROM grp WHERE id = $1
                 ON CONFLICT (grp, agent) DO UPDATE SET agent = g.agent RETURNING grp",
                &[&group.0, &update.id.0],
            )
            .await?;
            if added.affected == 0 {
                return Err(Fail::refused(format!("there is no group {group}")));
            }
        }
    }
    commit(transaction, &[events::agent_changed(update.id)]).await?;
    drop(connection);
    there(store, update.id).await
}

async fn create(
    transaction: &deadpool_postgres::Transaction<'_>,
    update: &AgentUpdate,
) -> Result<(), Fail> {
    let (Some(name), Some(role)) = (&update.name, update.role) else {
        return Err(Fail::refused("a new agent needs a name and a role"));
    };
    run(
        transaction,
        "INSERT INTO agent (id, name, role, capacity, load, presence, active)
         VALUES ($1, $2, $3, $4, 0, 'offline', $5)",
        &[
            &update.id.0,
            name,
            &role.as_str(),
            &i64::from(update.capacity.unwrap_or(CAPACITY_DEFAULT)),
            &update.active.unwrap_or(true),
        ],
    )
    .await?;
    Ok(())
}

pub(super) async fn presence(
    store: &PostgresStore,
    id: AgentId,
    presence: Presence,
) -> Result<Agent, Fail> {
    let mut connection = store.desk().await?;
    let transaction = connection.transaction().await?;
    let changed = run(
        &transaction,
        "UPDATE agent SET presence = $2 WHERE id = $1 AND presence <> $2
             AND (active OR $2 = 'offline') RETURNING id",
        &[&id.0, &presence.as_str()],
    )
    .await?;
    if changed.affected > 0 {
        commit(transaction, &[events::agent_changed(id)]).await?;
    } else {
        transaction.rollback().await?;
    }
    drop(connection);
    there(store, id).await
}

pub(super) async fn console_seen(
    store: &PostgresStore,
    agents: &[AgentId],
    until: Time,
) -> Result<(), Fail> {
    let step = Step::new(
        "UPDATE agent SET console_until = $2 WHERE id = ANY($1)",
        params![column(agents, |id| id.0), until.as_ms()],
    );
    store.read(step).await.map(drop)
}

/// An agent whose console was never seen is not judged by it.
pub(super) async fn lapse(store: &PostgresStore, past: Time) -> Result<Vec<Agent>, Fail> {
    let mut connection = store.desk().await?;
    let transaction = connection.transaction().await?;
    let gone: Vec<AgentId> = run(
        &transaction,
        "UPDATE agent SET presence = 'offline', console_until = NULL
         WHERE presence <> 'offline' AND console_until <= $1 RETURNING id",
        &[&past.as_ms()],
    )
    .await?
    .all(|c| c.id())?;
    if gone.is_empty() {
        transaction.rollback().await?;
        return Ok(Vec::new());
    }
    let ids = column(&gone, |id| id.0);
    let sql = select_agent!("WHERE id = ANY($1) ORDER BY name, id");
    let agents = run(&transaction, sql, &[&ids]).await?.all(rows::agent)?;
    let written: Vec<NewEvent> = gone.iter().map(|id| events::agent_changed(*id)).collect();
    commit(transaction, &written).await?;
    Ok(agents)
}

async fn there(store: &PostgresStore, id: AgentId) -> Result<Agent, Fail> {
    let step = Step::new(select_agent!("WHERE id = $1"), params![id.0]);
    let found = store.read(step).await?.one(rows::agent)?;
    found.ok_or_else(|| Fail::Store(format!("there is no agent {id}")))
}
