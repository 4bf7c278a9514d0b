//! Reply windows.

use patchbay_message::ThreadId;
use rusqlite::{Connection, params};

use super::{
    error::Fail,
    sql::{all, blob, opt_ms, run},
};
use crate::{Changes, ReplyWindow, WindowNow, limits::ROWS_MAX, windows::quota_number};

pub(super) fn write(db: &Connection, changes: &Changes) -> Result<(), Fail> {
    for window in &changes.windows {
        run(
            db,
            "INSERT INTO reply_window AS w (thread, quota, message, ends_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (thread, quota) DO UPDATE SET message = excluded.message,
                 ends_at = excluded.ends_at
             WHERE excluded.ends_at IS NULL OR excluded.ends_at >= w.ends_at",
            params![
                blob(&window.thread),
                quota_number(window.quota),
                blob(&window.message),
                opt_ms(window.ends_at)
            ],
        )?;
    }
    for (message, part) in &changes.unspend {
        run(
            db,
            "UPDATE attempt SET spends = NULL WHERE message = ?1 AND part = ?2",
            params![blob(message), part],
        )?;
    }
    Ok(())
}

pub(super) fn load(db: &Connection, thread: ThreadId) -> Result<Vec<WindowNow>, Fail> {
    let windows = all(
        db,
        "SELECT quota, message, ends_at FROM reply_window WHERE thread = ?1
         ORDER BY ends_at IS NULL, ends_at, quota",
        [blob(&thread)],
        |c| {
            let quota: i64 = c.get()?;
            Ok(ReplyWindow {
                thread,
                quota: u32::try_from(quota).ok(),
                message: c.id()?,
                ends_at: c.opt_time()?,
            })
        },
    )?;
    let spent = |window: ReplyWindow| {
        let spent = all(
            db,
            "SELECT message, part FROM attempt WHERE spends = ?1 ORDER BY message, part LIMIT ?2",
            params![blob(&window.message), ROWS_MAX],
            |c| Ok((c.id()?, c.get()?)),
        )?;
        Ok(WindowNow { window, spent })
    };
    windows.into_iter().map(spent).collect()
}
