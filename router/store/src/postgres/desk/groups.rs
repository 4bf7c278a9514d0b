//! Groups: their members, and the channels whose conversations they get.

use patchbay_message::GroupId;

use super::{commit, run};
use crate::{
    Group,
    check::group_row,
    postgres::{PostgresStore, error::Fail, sql::column},
};

pub(super) async fn save(store: &PostgresStore, group: &Group) -> Result<(), Fail> {
    group_row(group)?;
    let id = group.id.0;
    let mut connection = store.desk().await?;
    let transaction = connection.transaction().await?;
    run(
        &transaction,
        "INSERT INTO grp (id, name, strategy) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, strategy = excluded.strategy",
        &[&id, &group.name, &group.strategy.as_str()],
    )
    .await?;
    let sql = "DELETE FROM grp_agent WHERE grp = $1";
    run(&transaction, sql, &[&id]).await?;
    for agent in &group.members {
        let added = run(
            &transaction,
            "INSERT INTO grp_agent AS g (grp, agent) SELECT $1, id FROM agent WHERE id = $2
             ON CONFLICT (grp, agent) DO UPDATE SET agent = g.agent RETURNING agent",
            &[&id, &agent.0],
        )
        .await?;
        if added.affected == 0 {
            return Err(Fail::refused(format!("there is no agent {agent}")));
        }
    }
    let sql = "DELETE FROM grp_channel WHERE grp = $1";
    run(&transaction, sql, &[&id]).await?;
    let channels = column(&group.channels, patchbay_message::ChannelId::as_str);
    run(
        &transaction,
        "INSERT INTO grp_channel (grp, channel) SELECT $1, unnest($2::text[])
         ON CONFLICT DO NOTHING",
        &[&id, &channels],
    )
    .await?;
    commit(transaction, &[]).await
}

pub(super) async fn delete(store: &PostgresStore, id: GroupId) -> Result<(), Fail> {
    let mut connection = store.desk().await?;
    let transaction = connection.transaction().await?;
    let sql = "SELECT id FROM conversation WHERE state IN ('new', 'waiting') AND grp = $1 LIMIT 1";
    if run(&transaction, sql, &[&id.0]).await?.affected > 0 {
        return Err(Fail::conflict("conversations wait in this group"));
    }
    let sql = "SELECT id FROM ticket WHERE state IN ('new', 'reopened') AND grp = $1 LIMIT 1";
    if run(&transaction, sql, &[&id.0]).await?.affected > 0 {
        return Err(Fail::conflict("tickets wait in this group"));
    }
    for sql in [
        "DELETE FROM grp_agent WHERE grp = $1",
        "DELETE FROM grp_channel WHERE grp = $1",
        "DELETE FROM grp WHERE id = $1",
    ] {
        run(&transaction, sql, &[&id.0]).await?;
    }
    commit(transaction, &[]).await
}
