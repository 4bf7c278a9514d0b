//! Agents: who there is, whether they are there, how much they have.

use patchbay_message::{AgentId, Time};
use rusqlite::{Connection, params};

use super::super::{
    error::Fail,
    events,
    rows::{self, select_agent},
    sql::{all, blob, ms, one, run},
};
use crate::{Agent, AgentUpdate, Presence, check::agent_update, limits::CAPACITY_DEFAULT};

pub(in crate::sqlite) fn load(db: &Connection) -> Result<Vec<Agent>, Fail> {
    let mut agents = all(db, select_agent!("ORDER BY name, id"), [], rows::agent)?;
    for agent in &mut agents {
        agent.groups = groups_of(db, agent.id)?;
    }
    Ok(agents)
}

pub(super) fn find(db: &Connection, id: AgentId) -> Result<Option<Agent>, Fail> {
    let found = one(db, select_agent!("WHERE id = ?1"), [blob(&id)], rows::agent)?;
    found
        .map(|mut agent| {
            agent.groups = groups_of(db, id)?;
            Ok(agent)
        })
        .transpose()
}

fn groups_of(db: &Connection, id: AgentId) -> Result<Vec<patchbay_message::GroupId>, Fail> {
    all(
        db,
        "SELECT grp FROM grp_agent WHERE agent = ?1 ORDER BY grp",
        [blob(&id)],
        |c| c.id(),
    )
}

pub(super) fn save(db: &Connection, update: &AgentUpdate, now: Time) -> Result<Agent, Fail> {
    agent_update(update)?;
    let changed = run(
        db,
        "UPDATE agent SET name = coalesce(?2, name), role = coalesce(?3, role),
             capacity = coalesce(?4, capacity), active = coalesce(?5, active),
             presence = iif(?5 = 0, 'offline', presence)
         WHERE id = ?1",
        params![
            blob(&update.id),
            update.name,
            update.role.map(crate::Role::as_str),
            update.capacity,
            update.active,
        ],
    )?;
    if changed == 0 {
        create(db, update)?;
    }
    if let Some(groups) = &update.groups {
        run(
            db,
            "DELETE FROM grp_agent WHERE agent = ?1",
            [blob(&update.id)],
        )?;
        for group in groups {
            let added = run(
                db,
                "INSERT INTO grp_agent (grp, agent) SELECT id, ?2 FROM grp WHERE id = ?1
                 ON CONFLICT DO UPDATE SET agent = agent",
                params![blob(group), blob(&update.id)],
            )?;
            if added == 0 {
                return Err(Fail::refused(format!("there is no group {group}")));
            }
        }
    }
    events::agent_changed(db, update.id, now)?;
    there(db, update.id)
}

fn create(db: &Connection, update: &AgentUpdate) -> Result<(), Fail> {
    let (Some(name), Some(role)) = (&update.name, update.role) else {
        return Err(Fail::refused("a new agent needs a name and a role"));
    };
    run(
        db,
        "INSERT INTO agent (id, name, role, capacity, load, presence, active)
         VALUES (?1, ?2, ?3, ?4, 0, 'offline', ?5)",
        params![
            blob(&update.id),
            name,
            role.as_str(),
            update.capacity.unwrap_or(CAPACITY_DEFAULT),
            update.active.unwrap_or(true),
        ],
    )?;
    Ok(())
}

pub(super) fn presence(
    db: &Connection,
    id: AgentId,
    presence: Presence,
    now: Time,
) -> Result<Agent, Fail> {
    let changed = run(
        db,
        "UPDATE agent SET presence = ?2 WHERE id = ?1 AND presence <> ?2
             AND (active = 1 OR ?2 = 'offline')",
        params![blob(&id), presence.as_str()],
    )?;
    if changed > 0 {
        events::agent_changed(db, id, now)?;
    }
    there(db, id)
}

pub(super) fn console_seen(db: &Connection, agents: &[AgentId], until: Time) -> Result<(), Fail> {
    for id in agents {
        run(
            db,
            "UPDATE agent SET console_until = ?2 WHERE id = ?1",
            params![blob(id), ms(until)],
        )?;
    }
    Ok(())
}

/// An agent whose console was never seen is not judged by it.
pub(super) fn lapse(db: &Connection, past: Time, now: Time) -> Result<Vec<Agent>, Fail> {
    let gone: Vec<AgentId> = all(
        db,
        "UPDATE agent SET presence = 'offline', console_until = NULL
         WHERE presence <> 'offline' AND console_until <= ?1 RETURNING id",
        [ms(past)],
        |c| c.id(),
    )?;
    let mut agents = Vec::with_capacity(gone.len());
    for id in gone {
        events::agent_changed(db, id, now)?;
        agents.push(there(db, id)?);
    }
    Ok(agents)
}

fn there(db: &Connection, id: AgentId) -> Result<Agent, Fail> {
    find(db, id)?.ok_or_else(|| Fail::Store(format!("there is no agent {id}")))
}
