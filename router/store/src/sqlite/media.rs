//! Files that are still at the provider.

use std::time::Duration;

use patchbay_message::Time;
use rusqlite::{Connection, params};

use super::{
    error::Fail,
    people::guarded,
    sql::{all, blob, json, ms, run},
};
use crate::{Changes, MediaFetch, limits::ROWS_MAX};

pub(super) fn write(db: &Connection, changes: &Changes) -> Result<(), Fail> {
    for fetch in &changes.fetches {
        run(
            db,
            "INSERT INTO media_fetch (message, channel, due, attempts) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
            params![
                blob(&fetch.message),
                fetch.channel.as_str(),
                ms(fetch.due),
                fetch.attempts
            ],
        )?;
    }
    for fetched in &changes.fetched {
        let turn = params![blob(&fetched.message), fetched.attempts];
        let changed = match fetched.again {
            None => run(
                db,
                "DELETE FROM media_fetch WHERE message = ?1 AND attempts = ?2",
                turn,
            )?,
            Some(again) => run(
                db,
                "UPDATE media_fetch SET due = ?3 WHERE message = ?1 AND attempts = ?2",
                params![blob(&fetched.message), fetched.attempts, ms(again)],
            )?,
        };
        guarded(changed, || {
            format!("somebody else fetches the files of {}", fetched.message)
        })?;
        if let Some(content) = &fetched.content {
            run(
                db,
                "UPDATE message SET content = ?2 WHERE id = ?1",
                params![blob(&fetched.message), json(content)?],
            )?;
        }
    }
    Ok(())
}

pub(super) fn claim(
    db: &Connection,
    now: Time,
    ttl: Duration,
    limit: u32,
) -> Result<Vec<MediaFetch>, Fail> {
    all(
        db,
        "UPDATE media_fetch SET due = ?1, attempts = attempts + 1 WHERE message IN
             (SELECT message FROM media_fetch WHERE due <= ?2 ORDER BY due, message LIMIT ?3)
         RETURNING message, channel, due, attempts",
        params![ms(now.plus(ttl)), ms(now), limit.min(ROWS_MAX)],
        |c| {
            Ok(MediaFetch {
                message: c.id()?,
                channel: c.channel()?,
                due: c.time()?,
                attempts: c.get()?,
            })
        },
    )
}
