//! Groups: their members, and the channels whose conversations they get.

use patchbay_message::GroupId;
use rusqlite::{Connection, params};

use super::super::{
    error::Fail,
    sql::{all, blob, one, run},
};
use crate::{Group, Strategy, check::group_row};

pub(in crate::sqlite) fn load(db: &Connection) -> Result<Vec<Group>, Fail> {
    let mut groups = all(
        db,
        "SELECT id, name, strategy FROM grp ORDER BY name, id",
        [],
        |c| {
            Ok(Group {
                id: c.id()?,
                name: c.get()?,
                strategy: c.word(Strategy::from_word)?,
                members: Vec::new(),
                channels: Vec::new(),
            })
        },
    )?;
    for group in &mut groups {
        group.members = all(
            db,
            "SELECT agent FROM grp_agent WHERE grp = ?1 ORDER BY agent",
            [blob(&group.id)],
            |c| c.id(),
        )?;
        group.channels = all(
            db,
            "SELECT channel FROM grp_channel WHERE grp = ?1 ORDER BY channel",
            [blob(&group.id)],
            |c| c.channel(),
        )?;
    }
    Ok(groups)
}

pub(super) fn save(db: &Connection, group: &Group) -> Result<(), Fail> {
    group_row(group)?;
    let id = blob(&group.id);
    run(
        db,
        "INSERT INTO grp (id, name, strategy) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, strategy = excluded.strategy",
        params![id, group.name, group.strategy.as_str()],
    )?;
    run(db, "DELETE FROM grp_agent WHERE grp = ?1", [id])?;
    for agent in &group.members {
        let added = run(
            db,
            "INSERT INTO grp_agent (grp, agent) SELECT ?1, id FROM agent WHERE id = ?2
             ON CONFLICT DO UPDATE SET agent = agent",
            params![id, blob(agent)],
        )?;
        if added == 0 {
            return Err(Fail::refused(format!("there is no agent {agent}")));
        }
    }
    run(db, "DELETE FROM grp_channel WHERE grp = ?1", [id])?;
    for channel in &group.channels {
        run(
            db,
            "INSERT INTO grp_channel (grp, channel) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![id, channel.as_str()],
        )?;
    }
    Ok(())
}

pub(super) fn delete(db: &Connection, id: GroupId) -> Result<(), Fail> {
    let waits = one(
        db,
        "SELECT 1 FROM conversation WHERE state IN ('new', 'waiting') AND grp = ?1 LIMIT 1",
        [blob(&id)],
        |_| Ok(()),
    )?;
    if waits.is_some() {
        return Err(Fail::conflict("conversations wait in this group"));
    }
    let waits = one(
        db,
        "SELECT 1 FROM ticket WHERE state IN ('new', 'reopened') AND grp = ?1 LIMIT 1",
        [blob(&id)],
        |_| Ok(()),
    )?;
    if waits.is_some() {
        return Err(Fail::conflict("tickets wait in this group"));
    }
    for sql in [
        "DELETE FROM grp_agent WHERE grp = ?1",
        "DELETE FROM grp_channel WHERE grp = ?1",
        "DELETE FROM grp WHERE id = ?1",
    ] {
        run(db, sql, [blob(&id)])?;
    }
    Ok(())
}
